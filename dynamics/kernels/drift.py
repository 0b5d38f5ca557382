"""How far a kernel has moved during training; the lazy approximation takes this to be zero.

>>> import numpy as np
>>> kernel_drift(np.diag([1.0, 0.0]), np.diag([3.0, 4.0]))
Drift(distance=0.8, alignment=0.6, scale=3.0)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from dynamics.errors import KernelError
from dynamics.kernels.empirical import MEMORY, Apply, empirical_ntk
from dynamics.kernels.gram import gram
from dynamics.typing import Array, SquareGram, Views


class Drift(NamedTuple):
    """Change of a kernel, measured apart from an overall factor, which only makes training faster or slower.

    Parameters
    ----------
    distance : float
        ‖K − s K₀‖_F / ‖K‖_F with the best s: 0 if the kernel was merely rescaled, 1 if nothing of it is left.
    alignment : float
        ⟨K₀, K⟩_F / ‖K₀‖_F ‖K‖_F, with distance² + alignment² = 1 (kernel alignment, Cristianini et al. 2001).
    scale : float
        s = ⟨K₀, K⟩_F / ‖K₀‖_F².
    """

    distance: float
    alignment: float
    scale: float


def kernel_drift(kernel_at_start: Float[Array, "_ _"], kernel_now: Float[Array, "_ _"]) -> Drift:
    """Compare two Gram matrices of one network on the same views.

    Evaluate them on a few fixed views while training (`kernel_probe`): the cost grows like the square of their number.

    Parameters
    ----------
    kernel_at_start, kernel_now : array (a, b)
        K₀ and K. Kernels of several outputs (a, b, d, d) are compared as `theta.reshape(a, -1)`.

    Raises
    ------
    KernelError
        If the shapes of the kernels differ, or one of them is zero or not finite.
    """
    K0, K = np.asarray(kernel_at_start, np.float64), np.asarray(kernel_now, np.float64)
    if K0.shape != K.shape:
        raise KernelError(
            f"Kernels of shapes {K0.shape} and {K.shape} cannot be compared; use the same views for both."
        )
    norm0, norm = np.linalg.norm(K0), np.linalg.norm(K)
    if not (0 < norm0 < np.inf and 0 < norm < np.inf):
        raise KernelError("A kernel that is zero or not finite has no drift; check the network's parameters.")
    U0, U = K0 / norm0, K / norm
    alignment = float(np.vdot(U0, U))
    # the difference itself: √(1 − alignment²) would lose drifts below 1e-8
    return Drift(float(np.linalg.norm(U - alignment * U0)), alignment, float(alignment * norm / norm0))


def kernel_probe(
    apply: Apply,
    views: Views,
    *,
    collection: str | None = None,
    output: int | None = None,
    memory: int = MEMORY,
    dtype: str = "float32",
) -> Callable[[Any], SquareGram]:
    """Return a function that maps parameters to the tangent kernel on fixed views, for use in a recorder.

    The network is traced and compiled at the first call only.

    Parameters
    ----------
    apply, collection, output, memory, dtype
        The network and how its kernel is evaluated, as for `empirical_ntk`. float32 resolves drifts above 1e-6.
    views : array (a, *input_shape)
        Views on which the kernel is evaluated. Few suffice: 32 tell how far a kernel has moved.

    Returns
    -------
    callable
        params (with `collection`, variables) -> Gram matrix (a, a).
    """
    views = np.asarray(views)

    def probe(params: Any) -> SquareGram:
        kernel = empirical_ntk(apply, params, collection=collection, output=output, memory=memory, dtype=dtype)
        return gram(kernel, views, dtype=dtype)

    return probe
