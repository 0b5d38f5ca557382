"""Kernels of a finite network as it stands: the neural tangent kernel and the conjugate kernel of (apply, params).

Everything runs in float64, with the parameters cast inside, so that the Gram matrix of a float32 network is positive
semi-definite to rounding.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.kernels.kernel import ColumnViews, Kernel, RowViews, blocks
from dynamics.precision import double_precision
from dynamics.typing import Array, Gram, Views

Apply = Callable[[Any, Views], Array]
"""(params, x (batch, …)) -> (batch, columns); one row must not depend on the others (no batch normalisation)."""

MEMORY = 2**29
"""Default bound, in bytes, on the Jacobians held at once."""


def empirical_ntk(apply: Apply, params: Any, *, output: int | None = None, memory: int = MEMORY) -> Kernel:
    """Return the empirical neural tangent kernel (1/d) Σ_k Σ_θ ∂_θf_k(x) ∂_θf_k(y) (Jacot et al. 2018, Sec. 4).

    Parameters
    ----------
    apply : callable
        (params, x (batch, …)) -> embeddings (batch, d), row by row.
    params : pytree of arrays
        Where to linearise.
    output : int, optional
        Use this output alone instead of the mean over all d.
    memory : int
        Bound on the Jacobians held at once, in bytes: two blocks of views, 8·d·parameters bytes a view.

    Returns
    -------
    Kernel
        A Jacobian is computed once for a row block in a sweep over the columns, and contracted leaf by leaf.

    Raises
    ------
    ConfigError
        If `memory` does not hold the Jacobians of two views or `output` is not an output (when called).
    """
    params = _float64(params)
    name = "empirical-ntk" if output is None else f"empirical-ntk(output {output})"

    def bind(x1: RowViews) -> Callable[[ColumnViews], Gram]:
        d = _outputs(apply, params, x1.shape[1:])
        if output is not None and not -d <= output < d:
            raise ConfigError(f"{name}: the network has {d} outputs; give an index from 0 to {d - 1}.")
        scale = 1.0 / d if output is None else 1.0
        jacobian = partial(_jacobian, apply, params, output=output)
        with double_precision():
            J1 = jacobian(_views64(x1))

        def against(x2: ColumnViews) -> Gram:
            with double_precision():
                return scale * _contract(J1, J1 if x2 is x1 else jacobian(_views64(x2)))

        return against

    def tile_side(view_shape: tuple[int, ...]) -> int:
        d = 1 if output is not None else _outputs(apply, params, view_shape)
        return _views_in(memory, d, params, name)

    return Kernel(name, lambda x1, x2: bind(x1)(x2), tile_side, bind)


def full_empirical_ntk(
    apply: Apply, params: Any, x1: RowViews, x2: ColumnViews | None = None, *, memory: int = MEMORY
) -> Float[np.ndarray, "rows columns d d"]:
    """Return the matrix-valued empirical kernel Σ_θ ∂_θf_k(x) ∂_θf_l(y), array (a, b, d, d), float64.

    Parameters and errors are those of `empirical_ntk`; with infinite width it tends to k(x, y) I_d.
    """
    params, x1 = _float64(params), np.asarray(x1)
    x2 = x1 if x2 is None else np.asarray(x2)
    d = _outputs(apply, params, x1.shape[1:])
    side = _views_in(memory, d, params, "full_empirical_ntk")
    values = np.empty((len(x1), len(x2), d, d))
    with double_precision():
        for row in blocks(len(x1), side):
            J1 = _jacobian(apply, params, _views64(x1[row]), output=None)
            for column in blocks(len(x2), side):
                J2 = _jacobian(apply, params, _views64(x2[column]), output=None)
                values[row, column] = _contract(J1, J2, full=True)
    return values


def conjugate_kernel(features: Apply, params: Any) -> Kernel:
    """Return the conjugate kernel h(x) · h(y)/N of a layer with N features.

    For the last hidden layer, with readout f = h W/√N, it is the part of the neural tangent kernel that belongs to the
    readout, and the kernel of training from a small readout.

    Parameters
    ----------
    features : callable
        (params, x (batch, …)) -> h (batch, N), such as `partial(network.apply, method="features")`.
    params : pytree of arrays
        The network's parameters.
    """
    params = _float64(params)

    def bind(x1: RowViews) -> Callable[[ColumnViews], Gram]:
        def h(x: Views) -> Array:
            with double_precision():
                values = _evaluate(features, params, _views64(x))
                return values.reshape(len(values), -1)

        h1 = h(x1)

        def against(x2: ColumnViews) -> Gram:
            h2 = h1 if x2 is x1 else h(x2)
            with double_precision():
                return h1 @ h2.T / h1.shape[1]

        return against

    return Kernel("conjugate", lambda x1, x2: bind(x1)(x2), bind=bind)


@partial(jax.jit, static_argnums=0)
def _evaluate(apply: Apply, params: Any, x: Array) -> Array:
    return apply(params, x)


@partial(jax.jit, static_argnums=0, static_argnames="output")
def _jacobian(apply: Apply, params: Any, x: Array, *, output: int | None) -> list[Array]:
    """Return ∂f(x)/∂θ for every leaf θ, each array (batch, d, entries), d = 1 for one chosen output."""

    def one(params: Any, x: Array) -> Array:
        f = apply(params, x[None])[0]
        return f if output is None else f[output][None]

    leaves = jax.tree.leaves(jax.vmap(jax.jacrev(one), (None, 0))(params, x))
    return [leaf.reshape(*leaf.shape[:2], -1) for leaf in leaves]


@partial(jax.jit, static_argnames="full")
def _contract(J1: list[Array], J2: list[Array], *, full: bool = False) -> Array:
    """Sum over parameters: (a, b, d, d) if `full`, otherwise its trace over the outputs, (a, b)."""
    axes = "akp,blp->abkl" if full else "akp,bkp->ab"
    return sum(jnp.einsum(axes, j1, j2) for j1, j2 in zip(J1, J2, strict=True))


def _float64(params: Any) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype=np.float64), params)


def _views64(x: Views) -> Array:
    return jnp.asarray(x, dtype=jnp.float64)


def _outputs(apply: Apply, params: Any, view_shape: tuple[int, ...]) -> int:
    with double_precision():
        return jax.eval_shape(apply, params, jax.ShapeDtypeStruct((1, *view_shape), jnp.float64)).shape[1]


def _views_in(memory: int, d: int, params: Any, name: str) -> int:
    bytes_per_view = 8 * d * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    side = memory // (2 * bytes_per_view)
    if side < 1:
        raise ConfigError(
            f"{name}: the Jacobians of two views need {2 * bytes_per_view:.2g} bytes, more than memory={memory:.2g}; "
            "raise it or choose one output."
        )
    return side
