"""The objective of a recipe as a function of the embeddings, with the settings that the recipe gives it."""

from collections.abc import Callable
from functools import partial

import jax

from dynamics.objectives import infonce
from dynamics.objectives.registry import OBJECTIVES, objective
from dynamics.recipe.config import Recipe

COSINES = ("simclr", "byol", "simsiam")
"""Objectives that do not see the scale of the embeddings."""

_SETTINGS = {
    "barlow-twins": ("off_diagonal",),
    "barlow-twins-practical": ("off_diagonal",),
    "vicreg": ("covariance_weight", "epsilon"),
    "simclr": ("temperature",),
}
_CENTRED = ("barlow-twins", "spectral-contrastive")


def recipe_loss(recipe: Recipe) -> Callable[..., jax.Array]:
    """Loss of embeddings (2n, d) of the whole batch, in the order x_1 … x_n, x'_1 … x'_n.

    They are those of `dynamics.objectives`, where their conventions stand; `barlow-twins` and `spectral-contrastive`
    take the embeddings about their mean over all 2n views. With a predictor (`byol`, `simsiam`) it is a loss of
    predictions and targets.
    """
    name = recipe.objective
    if name == "infonce":
        return partial(infonce, temperature=recipe.temperature, similarity="dot", candidates="others")
    loss = objective(name, **{setting: getattr(recipe, setting) for setting in _SETTINGS.get(name, ())})
    if name not in _CENTRED:
        return loss
    return lambda F: loss(F - F.mean(axis=0))


def needs_predictor(recipe: Recipe) -> bool:
    """Whether the loss is one of predictions and targets."""
    return recipe.objective in OBJECTIVES and OBJECTIVES[recipe.objective].needs_predictor


def moving_target(recipe: Recipe) -> bool:
    """Whether the targets come from a moving average of the network."""
    return recipe.objective in OBJECTIVES and OBJECTIVES[recipe.objective].moving_target
