"""β of Assumption 3.3, α and the bound of Theorem 3.6, estimated for trained networks.

The class of functions that is looked at are the linear functions of a network's outputs. β is a minimum over the
functions of an architecture, of which these are a few: what is estimated is an upper bound on the architecture's β.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from dynamics.errors import ConfigError
from dynamics.function_classes import implementable_clusters_bound, linear_head_error
from dynamics.modes.factor import semidefinite_factor

Outputs = Float[np.ndarray, "views outputs"]


@dataclass(frozen=True)
class ClusterProbe:
    """What Theorem 3.6 says of the classes of images, for one network.

    Parameters
    ----------
    beta : float
        β: the smallest E⁺_S (g − g⁺)² / E_S (g − g')² over classes S and linear functions g of the outputs.
    alpha : float
        α: share of the pairs whose two views a linear head on the outputs puts into different classes.
    error : float
        Error E‖W f − e_y‖² of the best linear head for the class y of the image.
    cluster_error : float
        The same error for the class that the head sees in each view, which is what the theorem is about.
    bound : float
        (α/β) P_max/(P_min − α) with β of these clusters; infinite where α ≥ P_min, and the theorem says nothing.
    """

    beta: float
    alpha: float
    error: float
    cluster_error: float
    bound: float


def probe_clusters(runs: Sequence[Outputs], labels: Int[np.ndarray, " images"]) -> ClusterProbe:
    """Estimate α and β, and probe; β is the smallest over the runs, the rest of the run with the smallest error.

    Parameters
    ----------
    runs : sequence of arrays (2n, k)
        Outputs of each run on the same pairs, x_1 … x_n, x'_1 … x'_n.
    labels : array (n,)
        Class of each image.
    """
    if not runs:
        return ClusterProbe(*[float("nan")] * 5)
    y = np.concatenate([labels, labels])
    targets = np.eye(int(y.max()) + 1)[y]
    errors = [linear_head_error(np.c_[F, np.ones(len(F))], targets) for F in runs]
    F = runs[int(np.argmin(errors))]
    psi = np.c_[F, np.ones(len(F))]
    seen = (psi @ np.linalg.lstsq(psi, targets, rcond=1e-10)[0]).argmax(axis=1)
    first, second = np.split(seen, 2)
    alpha = float((first != second).mean())
    shares = np.bincount(seen)
    shares = shares[shares > 0] / len(seen)
    try:
        bound = implementable_clusters_bound(alpha, gap(F, seen), shares)
    except ConfigError:  # α ≥ P_min or β = 0: the theorem says nothing
        bound = float("inf")
    cluster_error = linear_head_error(psi, np.eye(targets.shape[1])[seen])
    return ClusterProbe(min(gap(each, y) for each in runs), alpha, min(errors), cluster_error, bound)


def gap(F: Outputs, clusters: Int[np.ndarray, " views"]) -> float:
    """β of the linear functions of outputs (2n, k): `restricted_gap` for pairs instead of a graph of all views."""
    n, smallest, size = len(F) // 2, np.inf, np.square(F).sum(axis=1).max()
    for cluster in np.unique(clusters):
        inside = clusters == cluster
        both = inside[:n] & inside[n:]
        if not both.any():
            continue
        apart = F[:n][both] - F[n:][both]
        centred = F[inside] - F[inside].mean(axis=0)
        spread = 2 * centred.T @ centred / len(centred)
        T = semidefinite_factor(spread, scale=size, name="spread of the outputs in a cluster").duals
        if T.size:
            smallest = min(smallest, float(scipy.linalg.eigvalsh(T.T @ (apart.T @ apart / len(apart)) @ T)[0]))
    return smallest
