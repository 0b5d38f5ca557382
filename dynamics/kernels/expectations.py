"""Gaussian expectations of activations, for the layer recursions of infinitely wide networks.

(u, v) ~ N(0, [[k11, k12], [k12, k22]]); wanted are E[φ(u) φ(v)] and E[φ'(u) φ'(v)].

The angle of the arc-cosine kernel is arctan2(s, c) with s = √(1 − c²), which is well-conditioned at c = 1 where arccos
is not. XLA's arctan2 on a CPU calls the C library for every entry (24 ns); arctan2(s, c) = s·Q(c) on 0 ≤ c ≤ 1, where
Q(c) = arccos(c)/√(1 − c²) is analytic (its singularity is at c = −1) and a short polynomial to rounding (0.5 ns).
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.typing import Array

Entries = Float[Array, "..."]

# Degrees at which the Chebyshev series reach rounding: they fall like 5.8^−degree (Q) and 13.9^−degree (arcsin(√w)/√w).
_DEGREES = {"angle": {4: 9, 8: 21}, "arcsin": {4: 7, 8: 15}}


class Expectations(NamedTuple):
    """What an activation does to a covariance.

    Parameters
    ----------
    scale : callable
        k11 -> σ1, such that the correlation that `pair` needs is k12/(σ1 σ2).
    variance : callable
        k11 -> E[φ(u)²].
    pair : callable
        (k12, σ1, σ2, 1/σ1, 1/σ2) -> E[φ(u) φ(v)], E[φ'(u) φ'(v)]; the four last broadcast against k12.
    """

    scale: Callable[[Entries], Entries]
    variance: Callable[[Entries], Entries]
    pair: Callable[..., tuple[Entries, Entries]]


def relu_pair(k: Entries, s1: Entries, s2: Entries, inverse1: Entries, inverse2: Entries) -> tuple[Entries, Entries]:
    """σ1 σ2 (sin θ + (π − θ) cos θ)/2π and (π − θ)/2π (Cho & Saul 2009, Eqs. 3–6)."""
    c = k * (inverse1 * inverse2)
    # where the two views are one, 1 − c² is all rounding, and its root would put 1e-8 in place of an angle of zero
    s_squared = 1 - c * c
    s = jnp.sqrt(jnp.where(s_squared > 64 * jnp.finfo(k.dtype).eps, s_squared, 0))
    angle = s * _polynomial("angle", 2 * jnp.abs(c) - 1)
    rest = jnp.where(c > 0, math.pi - angle, angle) * (0.5 / math.pi)
    return (s1 * s2) * (s * (0.5 / math.pi) + rest * c), rest


def erf_pair(k: Entries, s1: Entries, s2: Entries, inverse1: Entries, inverse2: Entries) -> tuple[Entries, Entries]:
    """(2/π) arcsin ξ and (4/π)/(σ1 σ2 √(1 − ξ²)), ξ = 2 k12/(σ1 σ2), σ² = 1 + 2k (Williams 1997, Eq. 11)."""
    inverse = inverse1 * inverse2
    ξ = 2 * k * inverse
    size = jnp.abs(ξ)
    # arcsin ξ = π/2 − 2 arcsin √((1 − ξ)/2) brings every argument below 1/2
    small = size <= 0.5
    w = jnp.where(small, size * size, (1 - size) / 2)
    z = jnp.where(small, size, jnp.sqrt(w))
    part = z * _polynomial("arcsin", 8 * w - 1)
    angle = jnp.where(small, part, math.pi / 2 - 2 * part)
    return (2 / math.pi) * jnp.sign(ξ) * angle, (4 / math.pi) * inverse / jnp.sqrt(1 - ξ * ξ)


EXPECTATIONS = {
    "relu": Expectations(jnp.sqrt, lambda k: k / 2, relu_pair),
    "erf": Expectations(
        lambda k: jnp.sqrt(1 + 2 * k), lambda k: (2 / math.pi) * jnp.arcsin(2 * k / (1 + 2 * k)), erf_pair
    ),
}
"""By the name of the activation."""


def _polynomial(name: str, u: Entries) -> Entries:
    coefficients = _coefficients(name, u.dtype.itemsize)
    value = jnp.full_like(u, coefficients[-1])
    for c in coefficients[-2::-1]:
        value = value * u + c
    return value


@lru_cache
def _coefficients(name: str, itemsize: int) -> list[float]:
    """Coefficients in powers of u of the Chebyshev interpolant on −1 ≤ u ≤ 1, lowest first."""
    degree = _DEGREES[name][itemsize]
    φ = (np.arange(degree + 1) + 0.5) * np.pi / (degree + 1)
    if name == "angle":  # c = (1 + u)/2 = cos²(φ/2), so s needs no difference of nearly equal numbers
        c = np.cos(φ / 2) ** 2
        s = np.sin(φ / 2) * np.sqrt(1 + c)
        values = np.arctan2(s, c) / s
    else:  # w = (1 + u)/8
        z = np.cos(φ / 2) / 2
        values = np.arcsin(z) / z
    series = 2 / (degree + 1) * np.cos(np.outer(np.arange(degree + 1), φ)) @ values
    series[0] /= 2
    return np.polynomial.chebyshev.cheb2poly(series).tolist()
