"""Optima of Barlow Twins: kernel modes without normalisation, canonical correlations with it."""

import numpy as np
from jaxtyping import Float

from dynamics.errors import CollapseError
from dynamics.optima.optimum import Optimum, least_norm, padded, whitened
from dynamics.optima.space import FunctionSpace
from dynamics.typing import Array

TWINS = {
    "nonparametric": "spectral embedding of the normalised adjacency",
    "linear": "canonical correlation analysis",
    "kernel": "kernel canonical correlation analysis",
}


def barlow_twins_optimum(space: FunctionSpace, graph: Float[Array, "views views"], dim: int) -> Optimum:
    """W = U_K diag(γ^{−1/2}) of Γ = ΦᵀGΦ/Σ_ij G_ij: the zero-loss solution of least norm, without normalisation.

    Simon et al. (2023), Prop. 4.2, for any relation: where gradient flow from a small start goes. There are others of
    the same loss and larger norm. With n₊ < d positive γ, d − n₊ outputs collapse and the loss is d − n₊.

    Parameters
    ----------
    space : FunctionSpace
        Function space in which the embedding is sought.
    graph : array (N, N)
        Relation G between the views.
    dim : int
        Number of outputs d.
    """
    G, Phi = np.asarray(graph, np.float64), space.features
    gamma, U = np.linalg.eigh(Phi.T @ G @ Phi / G.sum())
    gamma, U = gamma[::-1], U[:, ::-1]
    positive = gamma > len(G) * np.finfo(float).eps * np.abs(gamma).max()
    weights = padded(np.where(positive, U / np.sqrt(np.where(positive, gamma, 1.0)), 0.0), dim)
    return Optimum(
        embeddings=Phi @ weights,
        weights=weights,
        spectrum=padded(gamma, dim, np.nan),
        loss=float(max(0, dim - positive.sum())),
        twin="kernel principal components of the relation",
        space=space,
    )


def barlow_twins_normalised_optimum(space: FunctionSpace, graph: Float[Array, "views views"], dim: int) -> Optimum:
    """W = P_K diag(ρ^{−1/2}) R, which spans the top-K canonical directions in a rotated basis.

    This is the optimum of `dynamics.objectives.barlow_twins_normalised` with a graph as λ → ∞. The directions p solve
    (ΦᵀGΦ)p = ρ(ΦᵀD_GΦ)p, centred by degree. W has no off-diagonal correlation for any rotation R, and columns of
    squared norms q, majorised by 1/ρ, have the loss Σ(1 − 1/q)². That is convex for q < 3/2: where all ρ > 2/3, columns
    of equal norm are best, with the loss K(1 − h)² for the harmonic mean h of the ρ, below the Σ(1 − ρ)² of the
    canonical basis. Where some ρ are smaller, directions of small ρ do better alone. Then R equalises the first m
    columns and leaves the others, for the best m; this need not be the global optimum.

    Parameters
    ----------
    space : FunctionSpace
        Function space in which the embedding is sought.
    graph : array (N, N)
        Relation G between the views.
    dim : int
        Number of outputs d.

    Raises
    ------
    CollapseError
        If fewer than d canonical correlations are positive.
    """
    rho, W = canonical_directions(space, graph, dim)
    positive = int((rho > len(graph) * np.finfo(float).eps).sum())
    if positive < dim:
        raise CollapseError(
            f"dim is {dim}, but only {positive} canonical correlations are positive, and normalised outputs cannot "
            "collapse; lower dim or give a richer relation."
        )
    rho = rho[:dim]
    losses = [m * (1 - m / (1 / rho[:m]).sum()) ** 2 + ((1 - rho[m:]) ** 2).sum() for m in range(1, dim + 1)]
    shared = 1 + int(np.argmin(losses))
    weights = W[:, :dim] / np.sqrt(rho)
    weights[:, :shared] = weights[:, :shared] @ equalising_rotation(np.diag(1 / rho[:shared]))
    return Optimum(
        embeddings=space.features @ weights,
        weights=weights,
        spectrum=rho,
        loss=float(min(losses)),
        twin=TWINS[space.regime],
        space=space,
    )


def canonical_directions(
    space: FunctionSpace, graph: Float[Array, "views views"], dim: int | None = None
) -> tuple[Float[np.ndarray, " modes"], Float[np.ndarray, "features modes"]]:
    """Canonical correlations ρ of partners, descending, and directions p of unit variance: (ΦᵀGΦ)p = ρ(ΦᵀD_GΦ)p.

    Centred, and views weighted by their degree. Among equal correlations the first `dim` directions are of least norm.
    """
    G, Phi = np.asarray(graph, np.float64), space.features
    w = G.sum(axis=1) / G.sum()
    roots = np.sqrt(w)[:, None]
    P, T = whitened(roots * (Phi - w @ Phi), space.tolerance * w.max())
    inverse = np.divide(1.0, roots, out=np.zeros_like(roots), where=roots > 0)
    rho, Y = np.linalg.eigh(P.T @ (inverse * (G / G.sum()) * inverse.T) @ P)
    rho, W = rho[::-1], (T @ Y)[:, ::-1]
    return rho, least_norm(rho, W, len(rho) if dim is None else min(dim, len(rho)))


def equalising_rotation(M: Float[np.ndarray, "dim dim"]) -> Float[np.ndarray, "dim dim"]:
    """Rotation R with a constant diagonal of RᵀMR, by one plane rotation for each entry (Schur–Horn).

    Parameters
    ----------
    M : array (d, d)
        Symmetric matrix.
    """
    d, target = len(M), np.trace(M) / len(M)
    A, R = M.copy(), np.eye(d)
    for _ in range(d - 1):
        i, j = int(A.diagonal().argmax()), int(A.diagonal().argmin())
        if A[i, i] - A[j, j] <= 1e-14 * abs(target):
            break
        # (A_ii + 2 t A_ij + t² A_jj)/(1 + t²) = target has a root, because target lies between A_ii and A_jj
        a, b, c = A[j, j] - target, A[i, j], A[i, i] - target
        t = (-b + np.sqrt(b * b - a * c)) / a
        cos = 1 / np.sqrt(1 + t * t)
        plane = np.eye(d)
        plane[[i, j, i, j], [i, j, j, i]] = cos, cos, -t * cos, t * cos
        A, R = plane.T @ A @ plane, R @ plane
    return R
