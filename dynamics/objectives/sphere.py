"""Means over all directions: what a statistic of slices is when there are infinitely many of them.

The mean of cos⟨a, v⟩ over unit vectors a depends on |v| alone: it is ₀F₁(; d/2; −|v|²/4), a Bessel function of |v|.
A weighted sum of such means over frequencies t is a mean of cos(u|v|), and the law of u = t ⟨a, v⟩/|v| is known. A
Gauss rule for the law of u² leaves a few dozen cosines of all frequencies and directions,

    Σ_k w_k E_a cos(t_k ⟨a, v⟩) = Σ_m c_m cos(u_m |v|) .

>>> rule = cosines([1.0], [1.0], dim=3)
>>> value = float(mean_cosine(jnp.asarray(4.0), rule))  # |v|² = 4, and in three dimensions sin|v|/|v|
>>> bool(np.isclose(value, np.sin(2.0) / 2.0, rtol=1e-6))
True
"""

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Float

from dynamics.typing import Array

Numbers = Float[np.ndarray, " knots"] | list[float]
Rule = tuple[np.ndarray, np.ndarray]
"""Frequencies u_m and weights c_m."""

_DIRECTIONS = 64  # nodes of the rule for the law of ⟨a, v⟩/|v|
_NEAR = 1e-6  # squared lengths below which a cosine is its Taylor series, whose derivatives need no root


def cosines(frequencies: Numbers, weights: Numbers, dim: int) -> Rule:
    """Frequencies u_m and weights c_m with Σ_k w_k E_a cos(t_k ⟨a, v⟩) = Σ_m c_m cos(u_m |v|).

    Parameters
    ----------
    frequencies, weights : array (K,)
        t_k, and w_k ≥ 0.
    dim : int
        Dimension d of the directions.
    """
    return _gauss(tuple(map(float, frequencies)), tuple(map(float, weights)), dim)


def mean_cosine(squared_lengths: Float[Array, "..."], rule: Rule) -> Float[Array, "..."]:
    """Σ_m c_m cos(u_m √y) at squared lengths y of any shape, with derivatives of all orders also at zero."""
    y, near = squared_lengths[..., None], squared_lengths[..., None] < _NEAR
    u, c = (jnp.asarray(each, squared_lengths.dtype) for each in rule)
    x = jnp.square(u) * y
    series = 1 - x / 2 * (1 - x / 12 * (1 - x / 30))
    return (c * jnp.where(near, series, jnp.cos(u * jnp.sqrt(jnp.where(near, 1.0, y))))).sum(axis=-1)


def squared_distances(embeddings: Float[Array, "views dim"]) -> Float[Array, "views views"]:
    """|z_i − z_j|² of all rows, from their differences, so that small distances keep their digits."""
    return jnp.square(embeddings[:, None] - embeddings[None]).sum(axis=-1)


@lru_cache(maxsize=64)
def _gauss(frequencies: tuple[float, ...], weights: tuple[float, ...], dim: int) -> Rule:
    """Gauss rule of the law of u², from as many steps of Lanczos on its points as lengths to a few √d need."""
    s, shares = _law_of_cosine(dim)
    v = np.outer(np.square(frequencies), s**2).ravel()
    mass = np.outer(weights, shares).ravel()
    v, mass = v[mass > 0], mass[mass > 0]
    many = min(16 + int(np.ceil(2 * np.sqrt(dim))), len(np.unique(v)))
    basis, diagonal, beside = [np.sqrt(mass / mass.sum())], [], []
    for _ in range(many):
        step = v * basis[-1]
        diagonal.append(float(step @ basis[-1]))
        for _ in range(2):  # twice, against rounding
            step -= np.array(basis).T @ (np.array(basis) @ step)
        beside.append(float(np.linalg.norm(step)))
        if beside[-1] < 1e-14 * v.max():
            break
        basis.append(step / beside[-1])
    jacobi = np.diag(diagonal) + np.diag(beside[: len(diagonal) - 1], 1) + np.diag(beside[: len(diagonal) - 1], -1)
    nodes, vectors = np.linalg.eigh(jacobi)
    return np.sqrt(np.maximum(nodes, 0)), mass.sum() * vectors[0] ** 2


def _law_of_cosine(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and shares of the law of ⟨a, v⟩/|v|, whose density is (1 − s²)^{(d−3)/2}."""
    if dim == 1:
        return np.array([1.0]), np.array([1.0])
    s, weights = scipy.special.roots_gegenbauer(_DIRECTIONS, dim / 2 - 1)
    return s, weights / weights.sum()
