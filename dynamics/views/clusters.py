"""Relation graphs made of clusters with few edges between them.

>>> import jax
>>> relation, clusters = cluster_relation([5, 7], cross=0.02, key=jax.random.key(0))
>>> round(cross_cluster_mass(relation, clusters), 12)
0.02
"""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Int, Key, Shaped

from dynamics.errors import ConfigError, DataError
from dynamics.typing import Array
from dynamics.views.relation import Relation


def cluster_relation(
    sizes: Sequence[int], cross: float, key: Key[jax.Array, ""], *, sparsity: float = 0.0, boundary: float = 1.0
) -> tuple[Relation, Int[np.ndarray, " views"]]:
    """Draw random weights inside clusters, and weak edges between them so that a pair crosses with probability α.

    Parameters
    ----------
    sizes : sequence of int
        Views in each cluster, at least 2.
    cross : float
        α in [0, 1), the probability that the two views of a pair lie in different clusters (HaoChen & Ma 2023,
        Assumption 3.1).
    key : jax key
        Key from which the weights are drawn, uniform in [0, 1].
    sparsity : float
        Share of the edges that are left out. A ring through each cluster always stays, so that it does not fall apart.
    boundary : float
        Share of the views of each cluster, at least one view, that have edges to other clusters. All of these edges
        stay.

    Returns
    -------
    relation : Relation
        Relation of all views, cluster by cluster.
    clusters : array (N,)
        Cluster of each view.

    Raises
    ------
    ConfigError
        If a cluster has fewer than two views, α or the sparsity is out of range, or there is nothing to cross to.
    """
    if min(sizes, default=0) < 2 or (cross > 0 and len(sizes) < 2):
        raise ConfigError(f"Clusters of {list(sizes)} views: give at least 2 views each, and 2 clusters to cross.")
    if not (0 <= cross < 1 and 0 <= sparsity < 1 and 0 < boundary <= 1):
        raise ConfigError(f"cross ({cross}) and sparsity ({sparsity}) lie in [0, 1), boundary ({boundary}) in (0, 1].")
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    same = clusters[:, None] == clusters
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    G = np.triu(rng.uniform(size=same.shape), 1)
    kept = rng.uniform(size=same.shape) >= sparsity
    place = np.arange(len(same)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    outer = place < np.maximum(1, np.ceil(boundary * np.repeat(sizes, sizes)))
    if boundary < 1:
        kept = np.where(same, kept, outer[:, None] & outer)
    for start, size in zip(np.cumsum(sizes) - sizes, sizes, strict=True):
        for i in range(size):
            a, b = sorted((start + i, start + (i + 1) % size))
            kept[a, b] = True
    G = np.where(kept, G, 0.0)
    G += G.T
    inside, between = np.where(same, G, 0), np.where(same, 0, G)
    if cross > 0:
        inside += cross / (1 - cross) * inside.sum() / between.sum() * between
    return Relation(inside, f"{len(sizes)} clusters, a share of {cross:g} between them"), clusters


def cross_cluster_mass(relation: Relation, clusters: Shaped[Array, " views"]) -> float:
    """Return α, the probability that the two views of a pair lie in different clusters.

    Raises
    ------
    DataError
        If `clusters` does not have one entry for each view.
    """
    clusters = np.asarray(clusters)
    if len(clusters) != len(relation):
        raise DataError(f"There are {len(clusters)} clusters for {len(relation)} views; give one for each.")
    edges = relation.weights.tocoo()
    return float(edges.data[clusters[edges.row] != clusters[edges.col]].sum() / edges.data.sum())
