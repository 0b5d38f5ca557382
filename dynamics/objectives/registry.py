"""Objectives of practical recipes by name, with the settings of their papers.

>>> loss = objective("simclr", temperature=0.2)
>>> OBJECTIVES["byol"].needs_predictor
True
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax

from dynamics.errors import ConfigError
from dynamics.objectives.contrastive import nt_xent
from dynamics.objectives.correlation import barlow_twins, barlow_twins_normalised
from dynamics.objectives.predictor import byol, simsiam
from dynamics.objectives.spectral import spectral_contrastive
from dynamics.objectives.variance import vicreg_released


@dataclass(frozen=True)
class Objective:
    """What a training loop needs to know of an objective.

    Parameters
    ----------
    loss : callable
        Loss of the embeddings F (2n, d), at the settings of the paper; with a predictor, of the predictions (2n, d)
        and the targets (2n, d).
    source : str
        Where loss and settings come from.
    needs_predictor : bool
        Whether the loss takes predictions and targets.
    moving_target : bool
        Whether the targets come from a moving average of the network (`moving_average`) and not from itself.
    """

    loss: Callable[..., jax.Array]
    source: str
    needs_predictor: bool = False
    moving_target: bool = False


OBJECTIVES = {
    "barlow-twins": Objective(barlow_twins, "Simon et al. 2023, eq. 2: λ = 1, no normalisation"),
    "barlow-twins-practical": Objective(
        partial(barlow_twins_normalised, epsilon=1e-5), "Zbontar et al. 2021: λ = 0.0051, batch normalisation"
    ),
    "vicreg": Objective(vicreg_released, "Bardes et al. 2022: weights 25, 25, 1"),
    "simclr": Objective(nt_xent, "Chen et al. 2020: τ = 0.5, as on CIFAR-10"),
    "spectral-contrastive": Objective(spectral_contrastive, "HaoChen et al. 2021, eq. 6"),
    "byol": Objective(byol, "Grill et al. 2020", needs_predictor=True, moving_target=True),
    "simsiam": Objective(simsiam, "Chen & He 2021", needs_predictor=True),
}
"""Name -> loss, with the defaults of its paper."""


def objective(name: str, **settings: float) -> Callable[..., jax.Array]:
    """Loss of that name, with other settings than the paper's where they are given.

    Raises
    ------
    ConfigError
        If there is no such objective, or it has no such setting.
    """
    if name not in OBJECTIVES:
        raise ConfigError(f"There is no objective {name!r}; choose from {', '.join(OBJECTIVES)}.")
    loss = OBJECTIVES[name].loss
    known = {
        key: parameter
        for key, parameter in inspect.signature(loss).parameters.items()
        if parameter.default is not parameter.empty and key != "graph"
    }
    for setting in settings:
        if setting not in known:
            raise ConfigError(f"Objective {name} has no setting {setting!r}; it has {', '.join(known) or 'none'}.")
    return partial(loss, **settings)
