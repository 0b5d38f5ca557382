"""Studies: one file a paper, its claims as a table of expected against measured, and its figures.

A study is a module with `run(out, *, data_dir=None, full=False, seed=0) -> list[Claim]`, which writes its figures and
data to the folder `out`. A new one is one more line in `STUDIES`.
"""

import inspect
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from dynamics.errors import ConfigError
from dynamics.studies.claims import Claim, claims_table, save_claims

__all__ = ["STUDIES", "Claim", "claims_table", "load_study", "save_claims", "study_settings"]

STUDIES = {
    "stepwise": "dynamics.studies.stepwise.study",  # Simon et al. 2023
    "spectral-embedding": "dynamics.studies.spectral_embedding.study",  # Balestriero & LeCun 2022
    "inductive-bias": "dynamics.studies.inductive_bias.study",  # HaoChen & Ma 2022
    "homomorphic": "dynamics.studies.homomorphic.study",  # Keller, Suau, Zappella 2023
    "simve": "dynamics.studies.simve.study",  # Bizeul et al. 2024
}
"""Name -> module, imported when it is asked for."""


def load_study(name: str) -> ModuleType:
    """Import a study; `ConfigError` if there is none of this name."""
    if name not in STUDIES:
        raise ConfigError(f"There is no study `{name}`; known are {', '.join(STUDIES)}.")
    return import_module(STUDIES[name])


def study_settings(name: str, chosen: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings that a user chose for a study; `ConfigError` if the study has fixed one of them itself."""
    open_to_choice = inspect.signature(load_study(name).run).parameters
    for setting in chosen:
        if setting not in open_to_choice:
            raise ConfigError(f"The study `{name}` fixes {setting} itself; leave --{setting.replace('_', '-')} out.")
    return chosen
