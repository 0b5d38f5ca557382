"""VISReg: scale and shape of the embeddings apart, the shape along slices (Wu, Balestriero & Levine 2026).

Along a slice the projections of standardised embeddings are sorted and compared with the quantiles of the standard
normal distribution. The standard deviations that standardise are not differentiated through, so the shape term pulls on
the scale, too: by δ/σ, where δ is what the projections lack of the quantiles. Small embeddings therefore do not feel
the constant gradient of (1 − σ)² alone (`dynamics.objectives.escape`).
"""

from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Float, Key

from dynamics.objectives.door import check_setting, of_embeddings
from dynamics.objectives.sketched import SHARE, distance_from_mean
from dynamics.objectives.slices import Slices, directions
from dynamics.typing import Array, Embedding


@of_embeddings
def visreg(
    embeddings: Embedding,
    weight: float = 0.9,
    scale_weight: float = 1.0,
    shape_weight: float = 1.0,
    center_weight: float = 1.0,
    slices: int = 4096,
    epsilon: float = 1e-6,
    key: Key[jax.Array, ""] | None = None,
) -> Float[jax.Array, ""]:
    """L = λ (a scale + b shape + c centre) + (1 − λ) ‖Z − Z'‖_F²/(4nd), each term a mean over the two halves.

    With the mean m_k and the standard deviation σ_k (1/n) of every dimension of a half,

        scale = (1/d) Σ_k (1 − σ_k)² ,   centre = (1/d) Σ_k m_k² ,   shape = (1/nS) Σ_a Σ_i (p_(i),a − q_i)² ,

    where p are the projections of the standardised embeddings onto slice a, in ascending order, and q_i are the normal
    quantiles Φ^{−1}(i/(n+1)).

    Parameters
    ----------
    embeddings : array (2n, d)
        F, views in the order x_1 … x_n, x'_1 … x'_n.
    weight : float
        Share λ of the regularisation, from 0 to 1.
    scale_weight, shape_weight, center_weight : float
        Weights a, b, c of its terms.
    slices : int
        Number S ≥ 2 of slices.
    epsilon : float
        Smallest standard deviation; below it the scale term has no gradient.
    key : jax key, optional
        Key from which the slices are drawn; without one they are fixed (`dynamics.objectives.slices`).

    Raises
    ------
    ConfigError
        If a setting is out of its range.
    """
    check_setting("weight", weight, Annotated[float, SHARE])
    A = directions(embeddings.shape[1], slices, key, embeddings.dtype)
    regularisation = jnp.zeros((), embeddings.dtype)
    for half in jnp.split(embeddings, 2):
        mean = half.mean(axis=0)
        centred = half - mean
        deviations = jnp.sqrt(jnp.maximum(jnp.square(centred).mean(axis=0), epsilon**2))
        scale, centre = jnp.square(1 - deviations).mean(), jnp.square(mean).mean()
        shape = _distance_from_normal(centred / jax.lax.stop_gradient(deviations), A)
        regularisation += (scale_weight * scale + shape_weight * shape + center_weight * centre) / 2
    return weight * regularisation + (1 - weight) * distance_from_mean(embeddings)


def _distance_from_normal(standardised: Embedding, slices: Slices) -> Float[Array, ""]:
    """Mean squared distance of the sorted projections from the quantiles of the standard normal distribution."""
    n = len(standardised)
    quantiles = jax.scipy.special.ndtri(jnp.arange(1, n + 1, dtype=standardised.dtype) / (n + 1))
    return jnp.square(jnp.sort(standardised @ slices, axis=0) - quantiles[:, None]).mean()
