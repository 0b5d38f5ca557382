"""Optimum of VICReg with squares: Laplacian eigenmaps, and its linear and kernel forms."""

import numpy as np
from jaxtyping import Float

from dynamics.objectives.graph import laplacian
from dynamics.optima.optimum import Optimum, least_norm, padded, whitened
from dynamics.optima.space import FunctionSpace
from dynamics.typing import Array

TWINS = {
    "nonparametric": "Laplacian eigenmaps",
    "linear": "locality preserving projections",  # linear discriminant analysis if the relation is that of labels
    "kernel": "kernel locality preserving projections",
}


def vicreg_squared_optimum(
    space: FunctionSpace, graph: Float[Array, "views views"], dim: int, weight: float = 1.0, center: bool = True
) -> Optimum:
    """Z* = √N U_K [(1 − γΛ_K)₊]^{1/2}, U_K the lowest eigenvectors of L = D_G − G orthogonal to 1.

    Balestriero & LeCun (2022), for `dynamics.objectives.vicreg_squared`; their γ/α is `weight`. In a function space
    the eigenproblem is (ΦᵀLΦ/N) w = λ (ΦᵀHΦ/N) w. For two views λ = 1 − ρ with the correlations ρ of partners, and
    the optimal variances are [1 − γ(1 − ρ)]₊. Rank = #{λ_k < 1/γ}, at most d. With the hinge in place of squares this
    is not the optimum.

    Parameters
    ----------
    space : FunctionSpace
        Function space in which the embedding is sought.
    graph : array (N, N)
        Relation G between the views.
    dim : int
        Number of outputs d. Outputs that the space or the invariance leaves no room for are zero.
    weight : float
        γ, the weight of the invariance term.
    center : bool
        Whether the covariance is about the mean.
    """
    G, Phi = np.asarray(graph, np.float64), space.features
    N = len(G)
    P, T = whitened(Phi - Phi.mean(axis=0) if center else Phi, space.tolerance)
    values, Y = np.linalg.eigh(P.T @ laplacian(G) @ P)
    variances = np.maximum(0.0, 1.0 - weight * values)
    W = least_norm(values, T @ Y, min(dim, int(np.count_nonzero(variances))))
    weights = padded(np.sqrt(N) * W * np.sqrt(variances), dim)
    s = padded(variances, dim)
    lost = np.where(s > 0, weight * padded(values, dim), 1.0)
    return Optimum(
        embeddings=_centred(Phi @ weights, center and space.regime == "nonparametric"),
        weights=weights,
        spectrum=padded(values, dim, np.nan),
        loss=float((2 * lost - lost**2).sum()),
        twin=TWINS[space.regime],
        space=space,
    )


def _centred(Z: np.ndarray, center: bool) -> np.ndarray:
    return Z - Z.mean(axis=0) if center else Z
