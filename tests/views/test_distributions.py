"""The four distributions against their definitions, and the samplers on a user's own rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from dynamics.errors import ConfigError, DataError
from dynamics.views import (
    PlacedPatch,
    SeparatedManifolds,
    SignedCube,
    cluster_relation,
    cross_cluster_mass,
    group_pairs,
    scaled_pairs,
)

KEY = jax.random.key(0)
DISTRIBUTIONS = {
    "cube": SignedCube(5, 2),
    "manifolds": SeparatedManifolds(3, 4, 0.1, 1.0),
    "ring": PlacedPatch(9, 3, 2.5),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_clusters_are_uniform_and_classes_functions_of_them(name):
    data = DISTRIBUTIONS[name]
    x, x_prime, cluster = data.views(KEY, 20_000)
    assert x.shape == x_prime.shape and not jnp.array_equal(x, x_prime)
    counts = np.bincount(cluster, minlength=data.num_clusters) / 20_000 * data.num_clusters
    np.testing.assert_allclose(counts, 1, atol=6 * np.sqrt(data.num_clusters / 20_000))
    assert np.unique(data.classes(np.arange(data.num_clusters))).tolist() == list(range(data.num_classes))
    assert data.pairs(7, KEY).x.shape == (7, *x.shape[1:])


def test_cube(rng):
    cube = DISTRIBUTIONS["cube"]
    x, x_prime, cluster = (np.asarray(part) for part in cube.views(KEY, 50_000))
    corners = cube.corners()[cluster]
    for view in (x, x_prime):
        np.testing.assert_array_equal(view[:, :2], corners[:, :2])
        size = view[:, 2:] * corners[:, 2:]
        assert 0.5 <= size.min() < 0.51 and 0.99 < size.max() <= 1
        np.testing.assert_array_equal(cube.cluster_of(view), cluster)
    assert abs(np.corrcoef(x[:, 3] * corners[:, 3], x_prime[:, 3] * corners[:, 3])[0, 1]) < 0.02
    second, pair, mean = cube.coordinate_moments()
    np.testing.assert_allclose(x.T @ x / len(x), second, atol=0.02)
    np.testing.assert_allclose(x.T @ x_prime / len(x), pair, atol=0.02)
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=0.02)
    np.testing.assert_array_equal(cube.classes(cluster), (corners[:, :2] > 0) @ [1, 2])


def test_manifolds_keep_their_distance():
    data = DISTRIBUTIONS["manifolds"]
    x, x_prime, cluster = (np.asarray(part) for part in data.views(KEY, 3000))
    circle = data.classes(cluster)
    for number in range(3):
        points = x[circle == number]
        assert cdist(points, points).max() <= 0.1 + 1e-6
        assert cdist(points, x[circle != number]).min() >= 1 - 1e-6
    gaps = cdist(x[cluster == 0], x[cluster == 1]).min()
    assert gaps > 0.03  # arcs of one circle do not touch
    assert cdist(x[cluster == 0], x_prime[cluster == 0]).max() < 0.08


def test_ring_shows_its_patch_at_its_place():
    ring = DISTRIBUTIONS["ring"]
    x, x_prime, cluster = (np.asarray(part) for part in ring.views(KEY, 4000))
    for view in (x, x_prime):
        loud = np.abs(view) > 1
        np.testing.assert_array_equal(loud.sum(axis=1), 3)
        for row in range(50):
            place, pattern = divmod(int(cluster[row]), 8)
            patch = np.roll(view[row], -place)[:3]
            np.testing.assert_allclose(np.abs(patch), 2.5)
            assert ((patch > 0) @ [1, 2, 4]) == pattern
    np.testing.assert_array_equal(ring.classes(cluster), cluster % 8)
    quiet = np.abs(x[np.abs(x) <= 1])
    assert quiet.min() < 0.01 and quiet.mean() == pytest.approx(0.5, abs=0.01)


def test_own_rows_rescaled(rng):
    x = rng.normal(size=(40, 3, 2))
    mask = np.zeros((3, 2), bool)
    mask[1] = True
    pairs = scaled_pairs(x, mask, KEY, low=0.2, high=0.4)
    for view in (pairs.x, pairs.x_prime):
        np.testing.assert_allclose(view[:, ~mask], x[:, ~mask], rtol=1e-6)
        share = view[:, mask] / x[:, mask]
        assert 0.2 <= share.min() and share.max() <= 0.4 + 1e-6
    with pytest.raises(ConfigError, match="low ≤ high"):
        scaled_pairs(x, mask, KEY, low=1.0, high=0.5)


def test_own_groups(rng):
    groups = np.array(["a", "b", "a", "c", "b", "a", "d"])
    x = np.arange(7.0)[:, None]
    pairs = group_pairs(x, groups, KEY, num_pairs=4000)
    first, second = pairs.x[:, 0].astype(int), pairs.x_prime[:, 0].astype(int)
    assert (groups[first] == groups[second]).all() and (first != second).all()
    counts = np.zeros((7, 7))
    np.add.at(counts, (first, second), 1)
    expected = np.zeros((7, 7))
    for i in range(7):
        for j in range(7):
            if i != j and groups[i] == groups[j]:
                expected[i, j] = 4000 / 5 / ((groups == groups[i]).sum() - 1)
    np.testing.assert_allclose(counts, expected, atol=5 * np.sqrt(800))
    with pytest.raises(DataError, match="no group has two members"):
        group_pairs(x, np.arange(7), KEY, num_pairs=3)
    with pytest.raises(ConfigError, match="at least 1"):
        group_pairs(x, groups, KEY, num_pairs=0)


@pytest.mark.parametrize(("sparsity", "boundary"), [(0.0, 1.0), (0.6, 1.0), (0.6, 0.1)])
def test_cluster_graphs_cross_as_asked(sparsity, boundary):
    relation, clusters = cluster_relation([6, 9, 12], 0.03, KEY, sparsity=sparsity, boundary=boundary)
    G = relation.dense()
    same = clusters[:, None] == clusters
    assert G[~same].sum() / G.sum() == pytest.approx(0.03, rel=1e-12)
    assert cross_cluster_mass(relation, clusters) == pytest.approx(0.03, rel=1e-12)
    apart, _ = cluster_relation([6, 9, 12], 0.0, KEY, sparsity=sparsity, boundary=boundary)
    assert apart.num_components == 3
    touched = (G * ~same).any(axis=1)
    if boundary < 1:
        assert [touched[clusters == c].sum() for c in range(3)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SignedCube(3, 4), "between 1 and 3"),
        (lambda: SignedCube(3, 1, 0.9, 0.5), "low ≤ high"),
        (lambda: SeparatedManifolds(1), "at least 2 manifolds"),
        (lambda: PlacedPatch(4, 2), "size < dim/2"),
        (lambda: PlacedPatch(9, 2, 1.0), "louder than 1"),
        (lambda: SignedCube().pairs(0, KEY), "at least 1"),
        (lambda: cluster_relation([5], 0.1, KEY), "2 clusters to cross"),
        (lambda: cluster_relation([5, 1], 0.1, KEY), "at least 2 views each"),
        (lambda: cluster_relation([5, 5], 1.0, KEY), r"lie in \[0, 1\)"),
    ],
)
def test_what_a_user_may_get_wrong(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_one_cluster_for_each_view():
    relation, clusters = cluster_relation([3, 3], 0.1, KEY)
    with pytest.raises(DataError, match="one for each"):
        cross_cluster_mass(relation, clusters[:-1])
