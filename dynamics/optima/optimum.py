"""What every closed form returns, and the choice among equal ones: the function of least norm."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dynamics.modes.factor import feature_range
from dynamics.optima.space import FunctionSpace
from dynamics.support.one_line import one_line
from dynamics.typing import Array


@dataclass(frozen=True, eq=False)
class Optimum:
    """A global minimiser of one objective in one function space, up to a rotation of the outputs.

    Parameters
    ----------
    embeddings : array (N, d)
        Optimal embeddings Z* of the training views.
    weights : array (r, d)
        Coefficients of Z* in the features of the space.
    spectrum : array (d,)
        Eigenvalues of the spectral problem behind it, the most important first: λ of the Laplacian (VICReg), ω of the
        relation (SimCLR), γ or ρ (Barlow Twins). NaN where the space has no further direction.
    loss : float
        Smallest value of the objective.
    twin : str
        The classical method that gives the same subspace.
    space : FunctionSpace
        Function space in which the optimum was sought.
    """

    embeddings: Float[np.ndarray, "views dim"]
    weights: Float[np.ndarray, "features dim"]
    spectrum: Float[np.ndarray, " dim"]
    loss: float
    twin: str
    space: FunctionSpace

    __repr__ = one_line

    @property
    def rank(self) -> int:
        """Number of dimensions that are used."""
        return int((np.abs(self.weights).max(axis=0, initial=0.0) > 0).sum())

    def embed(self, rows: Float[Array, "points entries"]) -> Float[np.ndarray, "points dim"]:
        """Embeddings of new points.

        Parameters
        ----------
        rows : array (b, p)
            Inputs in the linear regime, kernel values k(x, X) with the training views in the kernel regime.

        Raises
        ------
        ValueError
            If the space is nonparametric, which says nothing about new points.
        """
        return self.space.functions(rows, self.weights)


def least_norm(
    values: Float[np.ndarray, " modes"], W: Float[np.ndarray, "features modes"], used: int
) -> Float[np.ndarray, "features modes"]:
    """Rotate eigenvectors of equal eigenvalues so that the combinations of smallest norm come first.

    Only the first `used` columns are needed, so equal eigenvalues behind them are left as they are.

    The plain two-view graph has only the eigenvalues ±1, each n times. So the relation does not decide what is learned,
    and the norm of the function space does.
    """
    W = W.copy()
    gap = 1e-9 * np.abs(values).max(initial=1.0)
    starts = np.flatnonzero(np.r_[True, np.abs(np.diff(values)) > gap])
    for first, last in zip(starts, [*starts[1:], len(values)], strict=True):
        if first < used and last - first > 1:
            # singular vectors, and not eigenvectors of WᵀW, whose small eigenvalues are lost in rounding
            right = np.linalg.svd(W[:, first:last], full_matrices=True)[2]
            W[:, first:last] = W[:, first:last] @ right[::-1].T
    return W


def padded(array: np.ndarray, dim: int, fill: float = 0.0) -> np.ndarray:
    """The first `dim` columns, with further ones where there are fewer."""
    missing = max(0, dim - array.shape[-1])
    width = [(0, 0)] * (array.ndim - 1) + [(0, missing)]
    return np.pad(array[..., :dim], width, constant_values=fill)


def whitened(features: np.ndarray, tolerance: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """P (N, r) with orthonormal columns and T (r', r) with features · T = P, at the numerical rank r.

    Directions of variance up to `tolerance`, the rounding in the Gram matrix of the features, are left out.
    """
    P, S, Zt, _ = feature_range(features)
    kept = S**2 > tolerance
    return P[:, kept], Zt[kept].T / S[kept]
