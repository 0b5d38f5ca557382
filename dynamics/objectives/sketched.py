"""SIGReg and LeJEPA: embeddings that look Gaussian along every slice (Balestriero & LeCun 2025).

The statistic of Epps and Pulley compares the characteristic function of projections p = ⟨a, z⟩ onto a slice a with that
of the standard normal distribution,

    T(a) = n Σ_k w_k e^{−t_k²/2} |(1/n) Σ_i e^{i t_k p_i} − e^{−t_k²/2}|² ,

on 17 knots t_k from 0 to 3, with the weights w_k of the trapezoidal rule on [−3, 3]. SIGReg is its mean over slices, in
each of the two halves of the views. It is multiplied by the number n of pairs, so its weight grows with the batch.

>>> first, second = curvatures()
>>> round(first, 3), round(second, 3)
(1.546, 2.432)
"""

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

from dynamics.objectives.door import check_setting, of_embeddings
from dynamics.objectives.slices import directions
from dynamics.objectives.sphere import cosines, mean_cosine, squared_distances
from dynamics.support.bounds import Bounds
from dynamics.typing import Array, Embedding

KNOTS = Bounds(2, 10**4, whole=True)
"""How many knots the integral over t may have."""

SHARE = Bounds(0.0, 1.0)
"""The share λ of a sketched term, against 1 − λ of the distance of partners."""

_LAST_KNOT = 3.0


@of_embeddings
def sigreg(
    embeddings: Embedding, slices: int | None = 256, knots: int = 17, key: Key[jax.Array, ""] | None = None
) -> Float[jax.Array, ""]:
    """Mean over slices and halves of the statistic of Epps and Pulley, times n, as the released code of LeJEPA has it.

    For small embeddings the gradient of one half is −∇ = (1/d)(C₁ Z − C₂ 1mᵀ) with the mean m and the constants that
    `curvatures` gives, half of that of the statistic of Z alone. Zero is therefore a saddle like any other.

    Parameters
    ----------
    embeddings : array (2n, d)
        F, views in the order x_1 … x_n, x'_1 … x'_n.
    slices : int, optional
        Number S ≥ 2 of slices; None takes the mean over all directions in closed form, in O(n²d) operations.
    knots : int
        Number of knots t_k ≥ 2 from 0 to 3.
    key : jax key, optional
        Key from which the slices are drawn; without one they are fixed (`dynamics.objectives.slices`).

    Raises
    ------
    ConfigError
        If there are fewer than two slices or two knots.
    """
    halves = jnp.split(embeddings, 2)
    if slices is None:
        return jnp.mean(jnp.stack([mean_epps_pulley(half, knots) for half in halves]))
    A = directions(embeddings.shape[1], slices, key, embeddings.dtype)
    return jnp.mean(jnp.stack([epps_pulley(half @ A, knots).mean() for half in halves]))


@of_embeddings
def lejepa(
    embeddings: Embedding,
    weight: float = 0.02,
    slices: int | None = 256,
    knots: int = 17,
    key: Key[jax.Array, ""] | None = None,
) -> Float[jax.Array, ""]:
    """L = λ SIGReg + (1 − λ) ‖Z − Z'‖_F²/(4nd), the distance of two views from their mean (Balestriero & LeCun 2025).

    Parameters
    ----------
    embeddings : array (2n, d)
        F, views in the order x_1 … x_n, x'_1 … x'_n.
    weight : float
        Share λ of SIGReg, from 0 to 1; 0.02 in the released example, 0.05 in the paper.
    slices, knots, key
        As in `sigreg`.

    Raises
    ------
    ConfigError
        If a setting is out of its range.
    """
    check_setting("weight", weight, Annotated[float, SHARE])
    return weight * sigreg(embeddings, slices, knots, key) + (1 - weight) * distance_from_mean(embeddings)


def distance_from_mean(embeddings: Embedding) -> Float[jax.Array, ""]:
    """Mean square, over all entries, of the difference between an embedding and the mean of its pair."""
    z, z_prime = jnp.split(embeddings, 2)
    return jnp.square(z - z_prime).mean() / 4


def epps_pulley(projections: Float[Array, "views slices"], knots: int = 17) -> Float[Array, " slices"]:
    """The statistic T of every column of projections, times their number of rows."""
    t, weights, phi = _rule(knots)
    angle = projections * t[1]
    cosine, sine = jnp.cos(angle), jnp.sin(angle)

    def turned(point: tuple, _: None) -> tuple[tuple, tuple]:
        """From e^{i t_k p} to the next knot, which costs products in place of a cosine and a sine."""
        x, y = point
        return (x * cosine - y * sine, x * sine + y * cosine), (x.mean(axis=0), y.mean(axis=0))

    start = jnp.ones_like(projections), jnp.zeros_like(projections)
    _, (real, imaginary) = jax.lax.scan(turned, start, None, length=knots)
    squares = jnp.square(real - jnp.asarray(phi, real.dtype)[:, None]) + jnp.square(imaginary)
    return len(projections) * jnp.asarray(weights * phi, real.dtype) @ squares


def mean_epps_pulley(embeddings: Float[Array, "views dim"], knots: int = 17) -> Float[Array, ""]:
    """The mean of the statistic T over all directions, times n: what it is expected to be with fresh slices.

    E_a T = n Σ_k w_k φ_k [ (1/n²) Σ_ij E_a cos(t_k⟨a, z_i − z_j⟩) − (2φ_k/n) Σ_i E_a cos(t_k⟨a, z_i⟩) + φ_k² ]
    """
    t, weights, phi = _rule(knots)
    n, dim = embeddings.shape
    among = mean_cosine(squared_distances(embeddings), cosines(t, weights * phi, dim)).mean()
    alone = mean_cosine(jnp.square(embeddings).sum(axis=1), cosines(t, weights * phi**2, dim)).mean()
    return n * (among - 2 * alone + float(weights @ phi**3))


def curvatures(knots: int = 17) -> tuple[float, float]:
    """C₁ = Σ w φ t² (1 − φ) and C₂ = Σ w φ t², φ = e^{−t²/2}: −∇T = (2/d)(C₁ Z − C₂ 1mᵀ) for small embeddings Z.

    Raises
    ------
    ConfigError
        If there are fewer than two knots.
    """
    t, weights, phi = _rule(knots)
    return float(weights @ (phi * (1 - phi) * t**2)), float(weights @ (phi * t**2))


def _rule(knots: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Knots t from 0 to 3, weights of the trapezoidal rule on [−3, 3] of an even function, and φ = e^{−t²/2}."""
    check_setting("knots", knots, Annotated[int, KNOTS])
    t = np.linspace(0.0, _LAST_KNOT, knots)
    weights = np.full(knots, 2 * _LAST_KNOT / (knots - 1))
    weights[[0, -1]] /= 2
    return t, weights, np.exp(-(t**2) / 2)
