"""`--config`: a saved run whose settings become the defaults of a command."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro

from dynamics.errors import ConfigError
from dynamics.experiment.config import Config
from dynamics.recipe.config import Recipe

RUN_COMMANDS = ("compare", "simulate", "train", "sweep", "rank")
"""Commands that make runs or forecasts of some, and so take the settings of one."""


@dataclass(frozen=True)
class Saved:
    """Settings of a saved run.

    Parameters
    ----------
    config : Config or Recipe
        The settings.
    resolved : mapping
        What the run came to besides them, such as on how many pairs it was compared.
    dynamics : str, optional
        Name of the solvable model, where it was one.
    """

    config: Config | Recipe
    resolved: Mapping[str, Any] = field(default_factory=dict)
    dynamics: str | None = None


SAVED: ContextVar[Saved | None] = ContextVar("SAVED", default=None)
"""The run that the command line names with --config."""


@dataclass
class _Named:
    """The flags that may exclude each other."""

    config: Path | None = None
    preset: str | None = None
    recipe: str | None = None


def saved_run(arguments: Sequence[str]) -> Saved | None:
    """The run that a command line names with --config, if it names one.

    Raises
    ------
    DataError
        If there is no such file, or it is damaged.
    ConfigError
        If its settings cannot be used, the command makes no such run, or a preset is named besides it.
    """
    command = next((word for word in arguments if not word.startswith("-")), None)
    if command not in RUN_COMMANDS or not any(word.split("=")[0] == "--config" for word in arguments):
        return None
    named, _ = tyro.cli(_Named, prog="dynamics", args=arguments, return_unknown_args=True, add_help=False)
    if named.config is None:
        return None
    from dynamics.runs.again import DYNAMICS, config_of
    from dynamics.runs.settings import read_settings

    settings = read_settings(named.config)
    config = config_of(settings, str(named.config))
    if isinstance(config, Recipe) and command in ("simulate", "rank"):
        raise ConfigError(
            f"{named.config} is of a practical recipe, for which nothing is simulated; use train, compare or sweep."
        )
    given = "preset" if named.preset is not None else "recipe"
    if named.preset is not None or (named.recipe is not None and isinstance(config, Config)):
        raise ConfigError(f"`config` already says what is run; leave `{given}` out.")
    return Saved(config, settings.resolved, settings.config.get(DYNAMICS))


def with_dynamics(arguments: Sequence[str], saved: Saved | None) -> list[str]:
    """The command line with the solvable model of the saved run, where `simulate` is not told another one."""
    known = any(word.split("=")[0] == "--dynamics" for word in arguments)
    if saved is None or saved.dynamics is None or known or "simulate" not in arguments:
        return list(arguments)
    return [*arguments, "--dynamics", saved.dynamics]
