"""Kernels in closed form: linear, Gaussian, arc-cosine, and the infinitely wide fully connected ReLU network.

The last two share no code with neural-tangents, so they serve as its reference.

>>> import numpy as np
>>> from dynamics.kernels import arc_cosine
>>> float(arc_cosine(order=1)(np.ones((1, 3)), np.ones((1, 3)))[0, 0])
3.0
"""

import math

import jax.numpy as jnp

from dynamics.errors import ConfigError
from dynamics.kernels.kernel import ColumnViews, Kernel, RowViews
from dynamics.typing import Array, Gram


def linear() -> Kernel:
    """Linear kernel x · y on flattened views."""

    def function(x1: RowViews, x2: ColumnViews) -> Gram:
        return _inner(x1, x2)[0]

    return Kernel("linear", function, key="linear")


def rbf(length_scale: float) -> Kernel:
    """Gaussian kernel exp(−‖x − y‖²/2ℓ²) on flattened views.

    Parameters
    ----------
    length_scale : float
        ℓ, in the units of the views' Euclidean distance.

    Raises
    ------
    ConfigError
        If `length_scale` is not positive.
    """
    if not length_scale > 0:
        raise ConfigError(f"rbf: length_scale is {length_scale}; give a positive number.")

    def function(x1: RowViews, x2: ColumnViews) -> Gram:
        xy, xx, yy = _inner(x1, x2)
        # rounding can leave a distance of −1e-16 between equal views
        return jnp.exp(-jnp.maximum(xx + yy - 2 * xy, 0) / (2 * length_scale**2))

    return Kernel(f"rbf({length_scale:g})", function, key=f"rbf {length_scale!r}")


def arc_cosine(order: int) -> Kernel:
    """Arc-cosine kernel 2 E_w[Θ(w·x) Θ(w·y) (w·x)^q (w·y)^q], w ~ N(0, I) (Cho & Saul 2009, Eqs. 1–6).

    Parameters
    ----------
    order : {0, 1}
        The power q. 0 stands for step functions, with the kernel (π − θ)/π; 1 for ReLU, with
        ‖x‖‖y‖ (sin θ + (π − θ) cos θ)/π, where θ is the angle between x and y.

    Raises
    ------
    ConfigError
        If `order` is neither 0 nor 1.
    """
    if order not in (0, 1):
        raise ConfigError(f"arc_cosine: order is {order}; choose 0 (step) or 1 (ReLU).")

    def function(x1: RowViews, x2: ColumnViews) -> Gram:
        φφ, dφdφ = _relu_expectations(*_inner(x1, x2))
        return 2 * (dφdφ if order == 0 else φφ)

    return Kernel(f"arc-cosine({order})", function, key=f"arc-cosine {order}")


def relu_network(depth: int, kind: str = "ntk", *, w_std: float = math.sqrt(2), b_std: float | None = None) -> Kernel:
    """Kernel of `networks.MLP(depth=…, activation="relu")` at infinite width, by its recursion.

    NNGP: Lee et al. (2018), Eqs. 5 and 11. NTK: Jacot et al. (2018), Theorem 1, for a readout of unit scale without
    bias.

    Parameters
    ----------
    depth : int
        Number of hidden layers.
    kind : {"ntk", "nngp"}
        "ntk" is the neural tangent kernel; "nngp" is the limit of h hᵀ/N, with h the last hidden layer.
    w_std, b_std : float
        Scales of weights and biases.

    Raises
    ------
    ConfigError
        If `kind` is unknown or `depth` below 1.
    """
    require_kind("relu_network", kind)
    if depth < 1:
        raise ConfigError(f"relu_network: depth is {depth}; give an integer of at least 1.")
    b2 = (b_std or 0.0) ** 2

    def function(x1: RowViews, x2: ColumnViews) -> Gram:
        # Σ: covariance of the pre-activations between the two stacks and within each; Θ: their tangent kernel
        fan_in = math.prod(x1.shape[1:])
        Σ, Σ11, Σ22 = (w_std**2 * k / fan_in + b2 for k in _inner(x1, x2))
        Θ = Σ
        for layer in range(1, depth + 1):
            φφ, dφdφ = _relu_expectations(Σ, Σ11, Σ22)
            if layer == depth:
                break
            Σ, Σ11, Σ22 = w_std**2 * φφ + b2, w_std**2 * Σ11 / 2 + b2, w_std**2 * Σ22 / 2 + b2
            Θ = Σ + w_std**2 * Θ * dφdφ
        return φφ if kind == "nngp" else φφ + Θ * dφdφ

    key = f"relu-network {kind} {depth} {w_std!r} {b_std!r}"
    return Kernel(f"relu-network-{kind}(depth {depth})", function, key=key)


def require_kind(caller: str, kind: str) -> None:
    """Raise `ConfigError` unless `kind` names a kernel of an infinitely wide network."""
    if kind not in ("ntk", "nngp"):
        raise ConfigError(f"{caller}: kind {kind!r} is unknown; choose from ntk, nngp.")


def _inner(x1: RowViews, x2: ColumnViews) -> tuple[Array, Array, Array]:
    """Return x·y (a, b), ‖x‖² (a, 1) and ‖y‖² (1, b)."""
    x1, x2 = (jnp.asarray(x).reshape(len(x), -1) for x in (x1, x2))
    return x1 @ x2.T, (x1**2).sum(-1)[:, None], (x2**2).sum(-1)[None, :]


def _relu_expectations(k12: Array, k11: Array, k22: Array) -> tuple[Array, Array]:
    """Return E[φ(u) φ(v)] and E[φ'(u) φ'(v)] for (u, v) ~ N(0, [[k11, k12], [k12, k22]]), φ = ReLU."""
    # arctan2, not arccos: its slope stays finite at θ = 0. There the determinant is all rounding, and its root would
    # put 1e-8 in place of an angle of zero.
    determinant = k11 * k22 - k12**2
    root = jnp.sqrt(jnp.where(determinant > 64 * jnp.finfo(k12.dtype).eps * k11 * k22, determinant, 0))
    θ = jnp.arctan2(root, k12)
    return (root + (math.pi - θ) * k12) / (2 * math.pi), (math.pi - θ) / (2 * math.pi)
