"""What `config.json` holds: everything needed to repeat a run, in one form for all rungs."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from dynamics.errors import ConfigError, DataError, DynamicsError
from dynamics.support import files
from dynamics.support.environment import versions
from dynamics.support.schema import load_record

FORMAT = 2
"""Version of the form of a run folder. Folders of version 0.1 have no number."""

CONFIG = "config.json"

Kind = Literal["experiment", "recipe"]
"""An experiment has a `Config` (rungs 0 to 3), a recipe a `Recipe` (rung 4)."""


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a run and what its automatic ones came to.

    Parameters
    ----------
    kind : {"experiment", "recipe"}
        Kind of the record that `config` holds.
    command : str
        The command that made the run, such as `compare` or `simulate`.
    config : mapping
        The settings, as plain values.
    arguments : list of str
        The words of the command line that made the run, after the name of the program; empty if it was made otherwise.
    title : str
        Two lines for a figure; empty until the run has been prepared.
    resolved : mapping
        What the automatic settings came to; empty until the run has been prepared.
    modes : str
        Fingerprint of the modes of the kernel that drives the run (`dynamics.runs.consistency`); empty without them.
    versions : mapping
        Versions of Python and of the packages that the numbers depend on.
    format : int
        `FORMAT` of the version of dynamics that wrote the file.
    """

    kind: Kind
    command: str
    config: dict[str, Any]
    arguments: list[str] = []
    title: str = ""
    resolved: dict[str, Any] = {}
    modes: str = ""
    versions: dict[str, str] = msgspec.field(default_factory=versions)
    format: int = FORMAT

    @property
    def learning_rate(self) -> float | None:
        """η: what automatic settings came to, or else the setting itself; None if it followed the network."""
        rate = self.resolved.get("learning_rate", self.config.get("learning_rate"))
        return rate if isinstance(rate, int | float) else None

    @property
    def steps_per_epoch(self) -> int | None:
        """Training steps in which all images are seen once; None of a run that sees all of them at every step."""
        return self.resolved.get("steps_per_epoch")

    @property
    def command_line(self) -> str:
        """What to type to make the run again; the name of the command alone where its arguments are not known."""
        return shlex.join(["dynamics", *(self.arguments or shlex.split(self.command))])


def write_settings(folder: Path, settings: RunSettings) -> None:
    """Write `config.json`, atomically."""
    files.save_json(folder / CONFIG, msgspec.to_builtins(settings))


def read_settings(folder: Path) -> RunSettings:
    """Read the `config.json` of a run.

    Parameters
    ----------
    folder : Path
        Folder of the run, or the file itself.

    Raises
    ------
    DataError
        If there is no such file, it is damaged, or another version of dynamics wrote it.
    """
    path = files.expanded(folder)
    path = path if os.path.isfile(path) else path / CONFIG
    if not os.path.isfile(path):
        raise DataError(f"{files.brief(folder)}: holds no run (there is no {CONFIG}); give the folder of a run.")
    if load_record(path, _Versioned).format != FORMAT:
        raise DataError(f"{path}: was written by another version of dynamics; run the command again.")
    return load_record(path, RunSettings)


def require_same(folder: Path, wanted: RunSettings, without_effect: Sequence[str] = ()) -> None:
    """Raise `ConfigError` if the folder holds a run with other settings; those `without_effect` may differ."""
    saved = read_settings(folder)
    advice = "choose another folder, or `force` to replace it"
    if saved.kind != wanted.kind:
        raise ConfigError(f"{folder} holds a run of another kind ({saved.kind}); {advice}.")
    for name in sorted(_different(saved.config, wanted.config) - set(without_effect)):
        raise ConfigError(
            f"{folder} holds a run with {name} = {saved.config.get(name)}, not {wanted.config.get(name)}; {advice}."
        )


def holds_run(folder: Path, wanted: RunSettings, without_effect: Sequence[str] = ()) -> bool:
    """Whether a folder holds this very run; not if it holds another one, one that cannot be read, or none."""
    try:
        require_same(folder, wanted, without_effect)
    except DynamicsError:
        return False
    return True


class _Versioned(msgspec.Struct):
    format: int = 1


def _different(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    return {name for name in {*one, *other} if _as_json(one.get(name)) != _as_json(other.get(name))}


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
