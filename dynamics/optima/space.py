"""What a learner can express: any embedding at all, a linear map of the inputs, or a function of a kernel's space.

All three are linear in features Φ (N, r) whose coefficients w have the norm of the function, so that one solver serves
them: Φ = I without parameters, Φ = X for z = xW, and K = ΦΦᵀ for z = k(x, X)α.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from dynamics.errors import KernelError
from dynamics.modes.factor import feature_range, semidefinite_factor
from dynamics.support.one_line import one_line
from dynamics.typing import Array, SquareGram

Regime = Literal["nonparametric", "linear", "kernel"]


@dataclass(frozen=True, eq=False)
class FunctionSpace:
    """Functions f = Φw on N training views, and their values elsewhere.

    Parameters
    ----------
    features : array (N, r)
        Features Φ, of full column rank.
    coefficients : array (p, r)
        Features of a new point from its row, φ(x) = row(x) · coefficients; rows are inputs (p numbers) in the linear
        regime, k(x, X) in the kernel regime.
    regime : str
        `nonparametric`, `linear` or `kernel`.
    tolerance : float
        What counts as rounding in the entries of ΦΦᵀ.
    """

    features: Float[np.ndarray, "views features"]
    coefficients: Float[np.ndarray, "entries features"]
    regime: Regime
    tolerance: float = 0.0

    __repr__ = one_line

    def functions(self, rows: Float[Array, "points entries"], weights: Float[Array, "features dim"]) -> np.ndarray:
        """Values (b, d) at new points of the functions with the given weights.

        Raises
        ------
        ValueError
            If the space is nonparametric, which says nothing about new points.
        """
        if self.regime == "nonparametric":
            raise ValueError(
                "Embeddings without parameters say nothing about new points; use `linear_space` or `kernel_space`."
            )
        return np.asarray(rows, np.float64) @ (self.coefficients @ weights)


def free_space(num_views: int) -> FunctionSpace:
    """Space of all embeddings of N views, without parameters."""
    return FunctionSpace(np.eye(num_views), np.eye(num_views), "nonparametric")


def linear_space(inputs: Float[Array, "views entries"]) -> FunctionSpace:
    """Space of the linear maps z = xW of the inputs X (N, p); the columns of X may be linearly dependent.

    Raises
    ------
    KernelError
        If all inputs are zero.
    """
    U, S, Zt, tolerance = feature_range(inputs)
    if not S.size:
        raise KernelError("All inputs are zero, so linear maps have nothing to work with.")
    return FunctionSpace(U * S, Zt.T, "linear", tolerance**2)


def kernel_space(gram: SquareGram) -> FunctionSpace:
    """Space of the functions z = k(x, X)α of a kernel with Gram matrix K (N, N) on the training views.

    Raises
    ------
    KernelError
        If K has negative eigenvalues beyond rounding, or is zero.
    """
    factor = semidefinite_factor(gram)
    if not factor.features.size:
        raise KernelError("The Gram matrix is zero, so there is nothing to learn.")
    return FunctionSpace(factor.features, factor.duals, "kernel", factor.tolerance)
