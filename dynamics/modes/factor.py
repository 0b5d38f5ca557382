"""Factors of positive semidefinite matrices, with one rule for what is rank and what is rounding.

>>> import numpy as np
>>> from dynamics.modes.factor import semidefinite_factor
>>> features = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
>>> factor = semidefinite_factor(features @ features.T)  # indefinite by the rounding of float32
>>> factor.features.shape
(40, 6)
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Shaped
from numpy.typing import DTypeLike

from dynamics.errors import KernelError
from dynamics.typing import Array

PRECISIONS = (float(np.finfo(np.float64).eps), 1e-13, 1e-10, float(np.finfo(np.float32).eps))
"""Relative precisions that the entries of a matrix may have, the finest first; the last is that of float32."""

LARGEST_ASYMMETRY = 1e-6
"""Relative difference of a matrix and its transpose that still counts as rounding."""


class Factor(NamedTuple):
    """A positive semidefinite matrix K (N, N) as a product, K = ΦΦᵀ.

    Parameters
    ----------
    features : array (N, r)
        Φ, of full column rank r, the numerical rank of K.
    duals : array (N, r)
        V with KV = Φ and VᵀKV = I.
    tolerance : float
        What counts as rounding in the entries of K.
    """

    features: Float[np.ndarray, "views rank"]
    duals: Float[np.ndarray, "views rank"]
    tolerance: float


class Range(NamedTuple):
    """The part of features Ψ (N, p) that is not rounding, Ψ ≈ U diag(S) Zᵀ.

    Parameters
    ----------
    U : array (N, r)
        Left singular vectors, in orthonormal columns.
    S : array (r,)
        Singular values, descending, all above `tolerance`.
    Zt : array (r, p)
        Right singular vectors, in orthonormal rows.
    tolerance : float
        What counts as rounding in a singular value.
    """

    U: Float[np.ndarray, "views rank"]
    S: Float[np.ndarray, " rank"]
    Zt: Float[np.ndarray, "rank features"]
    tolerance: float


def semidefinite_factor(
    matrix: Float[Array, "views views"],
    *,
    scale: float | None = None,
    precision: float | None = None,
    name: str = "Gram matrix",
) -> Factor:
    """Factorise a positive semidefinite matrix by a Cholesky decomposition with pivots that stops at its rank.

    How precise the entries are is often not known: a kernel computed in float32 may arrive as float64. Pivots as small
    as the rounding errors of the entries would amplify these errors, and then a part of the matrix is left over. So
    the finest of `PRECISIONS` is taken at which nothing is left over; with precision ε the tolerance is N ε `scale`.

    Parameters
    ----------
    matrix : array (N, N)
        K, symmetric and positive semidefinite up to rounding.
    scale : float, optional
        Size of the numbers that K was computed from, max |K_ij| by default. Give it where K is a small difference of
        large numbers, such as a kernel after centring.
    precision : float, optional
        Share of `scale` below which an entry is rounding, where it is known. It takes the place of N ε.
    name : str
        What the matrix is called in error messages.

    Returns
    -------
    Factor
        The factorisation. Its rank is 0 if all entries are rounding.

    Raises
    ------
    KernelError
        If the matrix is not square, not finite, not symmetric, or has negative eigenvalues beyond rounding.
    """
    K = np.asarray(matrix, np.float64)
    require_symmetric(K, name)
    size = len(K)
    scale = float(np.abs(K).max(initial=0.0)) if scale is None else scale
    tolerances = [precision * scale] if precision is not None else [size * eps * scale for eps in PRECISIONS]
    if np.abs(K).max(initial=0.0) <= tolerances[0]:
        return Factor(np.zeros((size, 0)), np.zeros((size, 0)), tolerances[0])
    for tolerance in tolerances:
        lower, pivots, rank, _ = scipy.linalg.lapack.dpstrf(K, tol=tolerance, lower=1)
        pivots = pivots - 1
        L = np.tril(lower)[:, :rank]
        Phi = np.empty_like(L)
        Phi[pivots] = L
        left_over = np.abs(K - Phi @ Phi.T).max() if rank < size else 0.0
        if left_over <= 2 * tolerance:
            V = np.zeros_like(Phi)
            V[pivots[:rank]] = scipy.linalg.solve_triangular(L[:rank], np.eye(rank), lower=True, trans="T")
            return Factor(Phi, V, tolerance)
    smallest = scipy.linalg.eigvalsh(K, subset_by_index=(0, 0))[0]
    raise KernelError(
        f"The {name} is not positive semi-definite: it has the negative eigenvalue {smallest:.3g}, and entries up to "
        f"{scale:.3g}; check the kernel."
    )


def feature_range(
    features: Shaped[Array, "views features"], *, scale: float | None = None, dtype: DTypeLike | None = None
) -> Range:
    """Singular value decomposition of features, without the singular values that are rounding.

    Those are the ones up to max(N, p) ε `scale`, with ε the precision of the numbers (integers count as float64).

    Parameters
    ----------
    features : array (N, p)
        Features Ψ.
    scale : float, optional
        Size of the numbers that Ψ was computed from; by default the Frobenius norm of Ψ. Give it after centring.
    dtype : data type, optional
        Type in which the numbers were computed; by default the type of `features`.
    """
    Psi = np.asarray(features)
    computed = np.dtype(Psi.dtype if dtype is None else dtype)
    eps = np.finfo(np.promote_types(computed, np.float32) if computed.kind == "f" else np.float64).eps
    Psi = Psi.astype(np.float64)
    U, S, Zt = np.linalg.svd(Psi, full_matrices=False)
    tolerance = float(max(Psi.shape) * eps * (np.linalg.norm(Psi) if scale is None else scale))
    kept = S > tolerance
    return Range(U[:, kept], S[kept], Zt[kept], tolerance)


def require_symmetric(matrix: Float[np.ndarray, "..."], name: str = "Gram matrix") -> None:
    """Raise `KernelError` unless a matrix is square, finite and symmetric up to rounding."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise KernelError(f"The {name} has shape {matrix.shape}; give as many columns as rows.")
    if not np.isfinite(matrix).all():
        raise KernelError(f"The {name} has NaN or infinite entries; check the kernel and the scale of the inputs.")
    scale = np.abs(matrix).max(initial=0.0)
    asymmetry = np.abs(matrix - matrix.T).max(initial=0.0)
    if asymmetry > LARGEST_ASYMMETRY * scale:
        raise KernelError(
            f"The {name} is not symmetric (relative difference {asymmetry / scale:.1e}); check the kernel."
        )
