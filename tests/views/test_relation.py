"""Relation graphs against their definitions, and the matrices that are refused."""

import numpy as np
import pytest
import scipy.sparse
from sklearn.neighbors import kneighbors_graph
from theory_references import swap_matrix

from dynamics.errors import DataError
from dynamics.views.relation import Relation


def test_two_views_are_the_swap():
    np.testing.assert_array_equal(Relation.pairs(4).dense(), swap_matrix(4))


def test_many_views_relate_all_views_of_an_image():
    G = Relation.views(3, 4).dense()
    expected = [[float(i % 3 == j % 3 and i != j) for j in range(12)] for i in range(12)]
    np.testing.assert_array_equal(G, expected)


@pytest.mark.parametrize("per_class", [False, True])
def test_labels_relate_within_classes(per_class):
    labels = np.array(["a", "b", "a", "c", "b", "a"])
    weight = {"a": 1 / 3, "b": 1 / 2, "c": 1.0} if per_class else dict.fromkeys("abc", 1.0)
    expected = [[weight[p] * float(p == q and i != j) for j, q in enumerate(labels)] for i, p in enumerate(labels)]
    np.testing.assert_allclose(Relation.labels(labels, per_class=per_class).dense(), expected)


def test_laplacian_of_classes_is_the_scatter_within(rng):
    labels, x = np.repeat([0, 1, 2], [3, 4, 2]), rng.normal(size=(9, 4))
    within = sum(
        (x[labels == c] - x[labels == c].mean(0)).T @ (x[labels == c] - x[labels == c].mean(0)) for c in range(3)
    )
    L = Relation.labels(labels, per_class=True).laplacian().toarray()
    np.testing.assert_allclose(x.T @ L @ x, within, atol=1e-12)
    binary = Relation.labels(labels).laplacian().toarray()
    assert np.abs(x.T @ binary @ x / within - 1).max() > 0.1  # weights matter where classes differ in size


@pytest.mark.parametrize("k", [1, 3, 5])
def test_nearest_neighbours_are_those_of_scikit_learn(rng, k):
    x = rng.normal(size=(20, 2, 3))
    G = kneighbors_graph(x.reshape(20, -1), k).toarray()
    np.testing.assert_array_equal(Relation.nearest_neighbours(x, k).dense(), np.maximum(G, G.T))


def test_nearest_neighbours_among_equal_points_are_others():
    relation = Relation.nearest_neighbours(np.zeros((6, 2)), 2)
    assert not relation.weights.diagonal().any() and (relation.degree >= 2).all()


def test_time_adjacency_relates_frames_nearby():
    G = Relation.time_adjacency(6, 2).dense()
    np.testing.assert_array_equal(G, [[float(0 < abs(i - j) <= 2) for j in range(6)] for i in range(6)])
    ring = Relation.time_adjacency(6, 1, periodic=True).dense()
    np.testing.assert_array_equal(ring, np.roll(np.eye(6), 1, 0) + np.roll(np.eye(6), -1, 0))


def test_laplacian_degree_and_components():
    relation = Relation(np.array([[0, 2.0, 0], [2, 0, 0.5], [0, 0.5, 0]]))
    np.testing.assert_array_equal(relation.degree, [2, 2.5, 0.5])
    np.testing.assert_array_equal(relation.laplacian().toarray(), [[2, -2, 0], [-2, 2.5, -0.5], [0, -0.5, 0.5]])
    assert relation.num_components == 1 and len(relation) == 3
    assert Relation.pairs(5).num_components == 5


def test_two_view_graph_is_degenerate():
    """Eigenvalues ±1 of G and 0 and 2 of L, n-fold each."""
    relation = Relation.pairs(4)
    np.testing.assert_allclose(np.linalg.eigvalsh(relation.dense()), np.repeat([-1, 1], 4), atol=1e-12)
    np.testing.assert_allclose(np.linalg.eigvalsh(relation.laplacian().toarray()), np.repeat([0, 2], 4), atol=1e-12)


def test_a_sparse_matrix_of_ones_own_is_kept_sparse():
    G = scipy.sparse.coo_matrix(([1.0, 1.0, 0.5, 0.5], ([0, 1, 1, 2], [1, 0, 2, 1])), shape=(3, 3))
    relation = Relation(G, "mine")
    assert relation.weights.nnz == 4 and relation.source == "mine"
    np.testing.assert_array_equal(relation.dense(), G.toarray())


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 3)), "shape"),
        (np.array([[0, 1.0], [2.0, 0]]), "not symmetric"),
        (np.array([[0, -1.0], [-1.0, 0]]), "negative weight"),
        (np.array([[1.0, 1.0], [1.0, 0]]), "to themselves"),
        (np.array([[0, np.nan], [np.nan, 0]]), "NaN"),
        (np.zeros((3, 3)), "relates no two views"),
        (np.array([["a", "b"], ["c", "d"]]), "no matrix of numbers"),
    ],
)
def test_matrices_that_are_no_relation(matrix, message):
    with pytest.raises(DataError, match=message):
        Relation(matrix, "mine")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Relation.views(3, 1),
        lambda: Relation.labels(np.arange(4)),
        lambda: Relation.nearest_neighbours(np.zeros((4, 2)), 4),
        lambda: Relation.time_adjacency(4, 4),
        lambda: Relation.time_adjacency(4, 2, periodic=True),
    ],
)
def test_settings_that_relate_nothing(make):
    with pytest.raises(DataError):
        make()
