"""Studies: one folder a paper, its claims as a table of expected against measured, and its figures.

The folder `dynamics/studies/NAME/` is the study: its `__init__.py` states the paper as `PAPER`, and its `study.py` has
`run(out, *, data_dir=None, full=False, seed=0) -> list[Claim]`, which writes figures and data to the folder `out`.
A folder that is added is found, and one that is removed leaves nothing behind.
"""

import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any

from dynamics.errors import ConfigError
from dynamics.studies.claims import Claim, save_claims
from dynamics.support.bounds import Bounds, Count, Scale, Seed, Size, require_within

__all__ = ["STUDIES", "Claim", "load_study", "save_claims", "study_settings"]


_RANGES: Mapping[str, Any] = {
    "seed": Seed,
    "num_pairs": Annotated[int, Bounds(2, 10**6, whole=True)],
    "dim": Size,
    "init_scale": Scale,
    "num_seeds": Annotated[int, Bounds(1, 10**4, whole=True)],
    "steps": Count,
}
"""What the settings may be that studies leave open; a study may ask for more."""


def find_studies(path: Sequence[str]) -> dict[str, str]:
    """Name -> module of every study below the folders of a search path."""
    folders = (found.name for found in pkgutil.iter_modules(path) if found.ispkg)
    return {folder.replace("_", "-"): f"{__name__}.{folder}.study" for folder in folders}


STUDIES = find_studies(__path__)
"""Name of each study -> its module, which is imported when it is asked for."""


def load_study(name: str) -> ModuleType:
    """Import the module of a study.

    Parameters
    ----------
    name : str
        Name of the study, a key of `STUDIES`.

    Raises
    ------
    ConfigError
        If there is no study of this name.
    """
    if name not in STUDIES:
        raise ConfigError(f"There is no study `{name}`; known are {', '.join(STUDIES)}.")
    return import_module(STUDIES[name])


def study_settings(name: str, chosen: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings that a user chose for a study, if the study leaves all of them open.

    Parameters
    ----------
    name : str
        Name of the study, a key of `STUDIES`.
    chosen : mapping
        Name of an argument of the study's `run` -> value.

    Raises
    ------
    ConfigError
        If there is no study of this name, if it takes no such argument, or if a number is out of its range.
    """
    open_to_choice = inspect.signature(load_study(name).run).parameters
    for setting, value in chosen.items():
        if setting not in open_to_choice:
            raise ConfigError(f"The study `{name}` fixes `{setting}` itself and takes no other value for it.")
        if setting in _RANGES:
            require_within(setting, value, _RANGES[setting])
    return chosen
