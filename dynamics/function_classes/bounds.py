"""Bounds on what a linear head can read off a minimiser of L_λ, and the constants of the data that they need.

>>> round(implementable_clusters_bound(cross=0.01, gap=0.5, shares=np.array([0.5, 0.5])), 6)
0.020408
"""

import numpy as np
import scipy.linalg
from jaxtyping import Float, Shaped

from dynamics.errors import ConfigError, DataError
from dynamics.modes.factor import semidefinite_factor
from dynamics.objectives.weighted_spectral import check_weight
from dynamics.typing import Array, Spectrum


def linear_head_error(
    values: Float[Array, "points dim"],
    targets: Float[Array, "points outputs"],
    weights: Float[Array, " points"] | None = None,
) -> float:
    """Return min_W E‖W f(x) − y(x)‖², the error of the best linear head without bias.

    Parameters
    ----------
    values : array (N, k)
        Values of f.
    targets : array (N, c)
        Targets y.
    weights : array (N,), optional
        Probabilities of the points; equal by default.
    """
    share = np.full(len(values), 1.0) if weights is None else np.asarray(weights, np.float64)
    root = np.sqrt(share / share.sum())[:, None]
    f, y = root * np.asarray(values, np.float64), root * np.asarray(targets, np.float64)
    return float(np.square(y - f @ np.linalg.lstsq(f, y, rcond=1e-10)[0]).sum())


def restricted_gap(
    features: Float[Array, "views features"], graph: Float[Array, "views views"], clusters: Shaped[Array, " views"]
) -> float:
    """Return β, which says how well the functions of a class must mix inside a cluster because they cannot split it.

    β is the minimum of E⁺_S (g − g⁺)² / E_S (g − g')² over clusters S and functions g of the class: pairs with both
    views in S over independent views in S (HaoChen & Ma 2023, Assumption 3.3). It is infinite if all functions are
    constant on every cluster.

    Parameters
    ----------
    features : array (N, p)
        Features ψ of all views; the class consists of their linear combinations.
    graph : array (N, N)
        Relation G between the views.
    clusters : array (N,)
        Cluster of every view.

    Raises
    ------
    DataError
        If a cluster has no pair.
    """
    Psi, G, clusters = np.asarray(features, np.float64), np.asarray(graph, np.float64), np.asarray(clusters)
    gap, size = np.inf, np.square(Psi).sum(axis=1).max()
    for cluster in np.unique(clusters):
        inside = clusters == cluster
        psi, edges, share = Psi[inside], G[np.ix_(inside, inside)], G[inside].sum(axis=1)
        if not edges.any():
            raise DataError(f"No pair has both views in cluster {cluster}; merge it with another.")
        share = share / share.sum()
        centred = psi - share @ psi
        apart = 2 * psi.T @ (edges.sum(axis=1)[:, None] * psi - edges @ psi) / edges.sum()
        spread = 2 * centred.T @ (share[:, None] * centred)
        T = semidefinite_factor(spread, scale=size, name="spread of the features in a cluster").duals
        if T.size:
            gap = min(gap, float(scipy.linalg.eigvalsh(T.T @ apart @ T)[0]))
    return gap


def implementable_clusters_bound(cross: float, gap: float, shares: Float[Array, " clusters"]) -> float:
    """E‖W f − e_cluster‖² ≤ (α/β) P_max/(P_min − α) for k = m outputs and λ > α/P_min (HaoChen & Ma 2023, Theorem 3.6).

    Parameters
    ----------
    cross : float
        Probability α that a pair crosses clusters (`dynamics.views.cross_cluster_mass`).
    gap : float
        The constant β (`restricted_gap`).
    shares : array (m,)
        Probabilities of the clusters.

    Raises
    ------
    ConfigError
        If α ≥ P_min, where the theorem says nothing, or β is not positive.
    """
    shares = np.asarray(shares, np.float64)
    if not cross < shares.min():
        raise ConfigError(
            f"cross (α) is {cross:.4g}, and the smallest cluster has the share {shares.min():.4g}; it has to be larger."
        )
    if not gap > 0:
        raise ConfigError(
            f"gap (β) is {gap:.4g}: the class splits a cluster, so the theorem says nothing; make its parts clusters."
        )
    return float(cross / gap * shares.max() / (shares.min() - cross))


def eigenfunction_bound(
    agreements: Spectrum, dim: int, *, residual: float, head_norm: float, distance: float = 0.0, weight: float = 1.0
) -> float:
    """E‖W f − y‖² ≤ 2ζ + 4B²kε + 16B²kφ/λ with k outputs (HaoChen & Ma 2023, Theorem 4.5).

    Parameters
    ----------
    agreements : array (m,)
        Agreements μ of the class; φ = Σ_{j≤k} (1 − μ_j) is the quadratic form of its k best functions (Assumption 4.2).
    dim : int
        Number of outputs k.
    residual : float
        Part ζ of the label that a head of norm B on these functions leaves unexplained (Assumption 4.4).
    head_norm : float
        Norm B of the head.
    distance : float
        How far, ε, another function of small discrepancy can be from their span (Assumption 4.3).
    weight : float
        Weight λ > 0 of the covariance term.
    """
    check_weight(weight)
    phi = (1 - np.asarray(agreements, np.float64)[:dim]).sum()
    return float(2 * residual + 4 * head_norm**2 * dim * (distance + 4 * phi / weight))
