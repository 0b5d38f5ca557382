"""The tangent kernel of the hidden layers under a few readout directions, which moves a small readout's kernel.

>>> import numpy as np
>>> from dynamics.kernels.hidden import hidden_kernel
>>> x = np.eye(3)[:2]
>>> hidden_kernel(lambda V, x: x @ V, np.ones((3, 4)), np.eye(4)[:, :2], x)[0, 0]
array([[1., 0.],
       [0., 1.]])
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from dynamics.errors import CapacityError, ConfigError
from dynamics.kernels.empirical import MEMORY, Apply, full_empirical_ntk
from dynamics.kernels.kernel import ColumnViews, RowViews
from dynamics.typing import Array


def readout_directions(
    hidden: Float[Array, "views units"], duals: Float[Array, "views modes"], rank: int
) -> Float[np.ndarray, "units rank"]:
    """Return orthonormal directions B that span h₀ᵀv_j, where a small readout goes with the leading modes.

    Parameters
    ----------
    hidden : array (2n, N)
        h₀, the last hidden layer on the training views.
    duals : array (2n, m)
        Coefficients v_j of the modes of the kernel h₀h₀ᵀ, as in `ContrastiveModes.duals`, the leading ones first.
    rank : int
        r, the number of directions.

    Raises
    ------
    ConfigError
        If there are fewer modes than directions, or they are dependent.
    """
    h0, V = np.asarray(hidden, np.float64), np.asarray(duals, np.float64)
    if not 1 <= rank <= min(V.shape[1], h0.shape[1]):
        raise ConfigError(f"readout_directions: rank is {rank}; give 1 to {min(V.shape[1], h0.shape[1])}.")
    B, R = np.linalg.qr(h0.T @ V[:, :rank])
    sizes = np.abs(np.diag(R))
    if sizes.min() < 1e-12 * sizes.max():
        raise ConfigError(f"readout_directions: the {rank} leading modes give dependent directions; lower the rank.")
    return B


def hidden_kernel(
    features: Apply,
    params: Any,
    directions: Float[Array, "units rank"],
    x1: RowViews,
    x2: ColumnViews | None = None,
    *,
    scale: float = 1.0,
    memory: int = MEMORY,
    dtype: str = "float64",
) -> Float[np.ndarray, "rows columns rank rank"]:
    """Return Θ^B_jk(x, y) = u² Σ_ab B_aj B_bk ∂h_a(x) · ∂h_b(y), contracted through the layers.

    It is the tangent kernel of the hidden layers with readout B. For the kernel between test points and training views
    give both.

    Parameters
    ----------
    features : callable
        (params, x (batch, …)) -> h (batch, N), such as `partial(network.apply, method="features")`.
    params : pytree of arrays
        The network's parameters. Those that the features do not depend on do not count.
    directions : array (N, r)
        B.
    x1, x2 : arrays
        Views; x2 = x1 by default.
    scale : float
        u, with which the function is F = u h W.
    memory : int
        Bound, in bytes, on the kernel, and on what is held at once while it is made.
    dtype : {"float64", "float32"}
        Precision of the network.

    Raises
    ------
    CapacityError
        If the kernel does not fit into the memory.
    ConfigError
        As in `empirical_ntk`.
    """
    B = np.asarray(directions, np.float64)
    rows, columns, rank = len(x1), len(x1 if x2 is None else x2), B.shape[1]
    needed = np.dtype(dtype).itemsize * rows * columns * rank**2
    if needed > memory:
        raise CapacityError(
            f"hidden_kernel: {rows} × {columns} views with {rank} directions need {needed:.2g} bytes, more than "
            f"memory={memory:.2g}; take fewer directions, or `dynamics.flow.reduced_model`, which never forms it."
        )
    theta = full_empirical_ntk(_Projected(features, B), params, x1, x2, memory=memory, dtype=dtype)
    return scale**2 * theta


class _Projected:
    """(params, x) -> h(x) B."""

    def __init__(self, features: Apply, directions: np.ndarray) -> None:
        self.features, self.directions = features, directions

    def __call__(self, params: Any, x: Array) -> Array:
        h = self.features(params, x)
        return h @ self.directions.astype(h.dtype)
