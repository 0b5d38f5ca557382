"""The outcome of a study, kept in its folder: the settings it ran with, its claims, and how long it took.

A study that is asked for again with the same settings is read from its folder instead of being run; with other settings
it is refused, so that no outcome is overwritten unasked.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dynamics.errors import ConfigError
from dynamics.studies.claims import Claim, load_claims, save_claims
from dynamics.support import files
from dynamics.support.environment import versions
from dynamics.support.schema import load_record

SETTINGS, CLAIMS = "study.json", "claims.json"


@dataclass(frozen=True)
class Outcome:
    """What came out of a study.

    Parameters
    ----------
    name : str
        Name of the study.
    folder : Path
        Folder with its claims, figures and data.
    settings : mapping
        The settings it ran with: seed, data folder, size, and those that the user chose.
    claims : sequence of Claim
        Its claims with their verdicts.
    seconds : float
        How long it ran.
    versions : mapping
        Versions of the packages that it ran with.
    earlier : bool
        Whether it was read from the folder instead of being run.
    """

    name: str
    folder: Path
    settings: Mapping[str, Any]
    claims: Sequence[Claim]
    seconds: float
    versions: Mapping[str, str]
    earlier: bool = False

    @property
    def figures(self) -> list[Path]:
        """Figures that the study drew, as PNG files, in the order of their names."""
        return sorted(self.folder.glob("*.png"))


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    """What `study.json` holds."""

    study: str
    settings: dict[str, Any]
    seconds: float
    versions: dict[str, str]


def carry_out(
    name: str,
    folder: str | Path,
    *,
    data_dir: Path | None = None,
    full: bool = False,
    seed: int = 0,
    force: bool = False,
    **settings: Any,
) -> Outcome:
    """Run a study, or read its outcome if the folder holds it already.

    Parameters
    ----------
    name : str
        Name of the study, a key of `STUDIES`.
    folder : Path
        Folder for its claims, figures and data.
    data_dir, full, seed
        As `run` of every study takes them.
    force : bool
        Whether to run the study whatever the folder holds.
    **settings
        Settings that the study leaves open.

    Raises
    ------
    ConfigError
        If there is no such study or setting, a number is out of its range, or the folder cannot be written or holds the
        outcome of another study or of other settings.
    """
    from dynamics.studies import load_study, study_settings

    study_settings(name, {**settings, "seed": seed})
    asked = {"seed": seed, "full": full, "data_dir": None if data_dir is None else str(data_dir), **settings}
    folder = files.output_folder(folder)
    if (folder / SETTINGS).is_file() and not force:
        return _read(folder, name, asked)
    started = time.monotonic()
    claims = load_study(name).run(folder, data_dir=data_dir, full=full, seed=seed, **settings)
    outcome = Outcome(name, folder, asked, claims, time.monotonic() - started, versions())
    save_claims(claims, folder / CLAIMS)
    saved = _Saved(name, asked, outcome.seconds, dict(outcome.versions))
    files.save_json(folder / SETTINGS, msgspec.to_builtins(saved))  # last: it says that the study has ended
    return outcome


def _read(folder: Path, name: str, asked: Mapping[str, Any]) -> Outcome:
    saved = load_record(folder / SETTINGS, _Saved)
    if (saved.study, saved.settings) != (name, asked):
        raise ConfigError(
            f"{folder} holds the study `{saved.study}` with {_listed(saved.settings)}; choose another folder, or "
            "`force` to replace it."
        )
    claims = load_claims(folder / CLAIMS)
    return Outcome(name, folder, asked, claims, saved.seconds, saved.versions, earlier=True)


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
