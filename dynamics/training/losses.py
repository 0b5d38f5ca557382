"""The objective of a recipe as a function of the embeddings, in the conventions of rung 4."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics.objectives import (
    barlow_twins,
    barlow_twins_normalised,
    infonce,
    nt_xent,
    spectral_contrastive,
    vicreg,
)
from dynamics.objectives.graph import partners
from dynamics.recipe import Recipe
from dynamics.typing import Embedding

NORMALISATION_EPSILON = 1e-5
"""Of the batch normalisation inside the released Barlow Twins loss: embeddings smaller than 3e-3 are not normalised."""


COSINES = ("simclr", "byol", "simsiam")
"""Objectives that do not see the scale of the embeddings."""


def recipe_loss(recipe: Recipe) -> Callable[..., jax.Array]:
    """Loss of embeddings (2n, d) of the whole batch, in the order x_1 … x_n, x'_1 … x'_n.

    With a predictor (`byol`, `simsiam`) it is a function of the predictions and of the targets.

    | objective | centred | scaled | constants |
    |---|---|---|---|
    | `barlow-twins` | over both views | no | λ = `off_diagonal` |
    | `barlow-twins-normalised` | each view | each dimension, ε = 1e-5 | λ = `off_diagonal` |
    | `vicreg` | over both views | no | α, β, γ and ε; all divided by d, as in the released code |
    | `simclr` | no | each embedding to norm 1 | τ = `temperature` |
    | `infonce` | no | no | τ = `temperature` |
    | `spectral-contrastive` | over both views | no | |
    | `byol`, `simsiam` | no | each embedding to norm 1 | |
    """

    def centred(F: Embedding) -> Embedding:
        return F - F.mean(axis=0)

    losses: dict[str, Callable[..., jax.Array]] = {
        "barlow-twins": lambda F: barlow_twins(centred(F), recipe.off_diagonal),
        "barlow-twins-normalised": lambda F: barlow_twins_normalised(F, recipe.off_diagonal, NORMALISATION_EPSILON),
        "vicreg": lambda F: vicreg(F, 25.0, recipe.covariance_weight, 25.0, recipe.epsilon) / F.shape[1],
        "simclr": lambda F: nt_xent(F, recipe.temperature),
        "infonce": lambda F: infonce(F, recipe.temperature, "dot", "others"),
        "spectral-contrastive": lambda F: spectral_contrastive(centred(F)),
        "byol": prediction_loss,
        "simsiam": prediction_loss,
    }
    return losses[recipe.objective]


def prediction_loss(predictions: Embedding, targets: Embedding) -> jax.Array:
    """Mean over all views of −cos(p_i, t_j), j the partner of i: SimSiam's (Chen & He 2021, eq. 2).

    BYOL's (Grill et al. 2020, eq. 2, both ways round) is 4 times this plus 4.
    """
    p = predictions / jnp.linalg.norm(predictions, axis=1, keepdims=True)
    t = targets / jnp.linalg.norm(targets, axis=1, keepdims=True)
    return -jnp.vdot(p, partners(t)) / len(p)
