"""Studies: one file a paper, its claims as a table of expected against measured, and its figures.

A study is a module with `run(out, *, data_dir=None, full=False, seed=0) -> list[Claim]`, which writes its figures and
data to the folder `out`. A new one is one more line in `STUDIES`.
"""

from importlib import import_module
from types import ModuleType

from dynamics.errors import ConfigError
from dynamics.studies.claims import Claim, claims_table, save_claims

__all__ = ["STUDIES", "Claim", "claims_table", "load_study", "save_claims"]

STUDIES = {
    "stepwise": "dynamics.studies.stepwise",  # Simon et al. 2023
}
"""Name -> module, imported when it is asked for."""


def load_study(name: str) -> ModuleType:
    """Import a study; `ConfigError` if there is none of this name."""
    if name not in STUDIES:
        raise ConfigError(f"There is no study `{name}`; known are {', '.join(STUDIES)}.")
    return import_module(STUDIES[name])
