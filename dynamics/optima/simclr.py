"""Optimum of squared SimCLR, ‖FFᵀ − G‖²: classical multidimensional scaling, and its linear and kernel forms."""

import numpy as np
from jaxtyping import Float

from dynamics.optima.optimum import Optimum, least_norm, padded, whitened
from dynamics.optima.space import FunctionSpace
from dynamics.typing import Array

TWINS = {
    "nonparametric": "classical multidimensional scaling",  # Isomap if G comes from geodesic distances
    "linear": "multidimensional scaling restricted to linear maps",
    "kernel": "multidimensional scaling restricted to a kernel's functions",
}


def simclr_squared_optimum(space: FunctionSpace, graph: Float[Array, "views views"], dim: int) -> Optimum:
    """Z* = U_K (Λ_K)₊^{1/2}, the top eigenpairs of G; rank at most the number of its positive eigenvalues.

    Balestriero & LeCun (2022), for `dynamics.objectives.simclr_squared`. In a function space with Φ = U_x S_x V_xᵀ:
    W* = V_x S_x^{−1} Q_K (Ω_K)₊^{1/2}, U_xᵀ G U_x = QΩQᵀ.

    Parameters
    ----------
    space : FunctionSpace
        Function space in which the embedding is sought.
    graph : array (N, N)
        Relation G, or any symmetric matrix: −½HD²H of squared distances D² makes it multidimensional scaling.
    dim : int
        Number of outputs d.
    """
    G = np.asarray(graph, np.float64)
    P, T = whitened(space.features, space.tolerance)
    values, Q = np.linalg.eigh(P.T @ G @ P)
    values = values[::-1]
    positive = np.where(values > len(G) * np.finfo(float).eps * np.abs(values).max(), values, 0.0)
    W = least_norm(values, T @ Q[:, ::-1], min(dim, int(np.count_nonzero(positive))))
    weights = padded(W * np.sqrt(positive), dim)
    return Optimum(
        embeddings=space.features @ weights,
        weights=weights,
        spectrum=padded(values, dim, np.nan),
        loss=float(np.square(G).sum() - np.square(positive[:dim]).sum()),
        twin=TWINS[space.regime],
        space=space,
    )
