"""Constants of the bounds against brute force, heads against scikit-learn, bounds against exact minimisers."""

import jax
import numpy as np
import pytest
import scipy.optimize
from sklearn.linear_model import LinearRegression

from dynamics.errors import ConfigError, DataError
from dynamics.function_classes import (
    eigenfunction_bound,
    implementable_clusters_bound,
    linear_head_error,
    restricted_gap,
)
from dynamics.views import cluster_relation


def test_head_error_is_that_of_least_squares(rng):
    f, y, w = rng.normal(size=(60, 4)), rng.normal(size=(60, 2)), rng.uniform(size=60)
    model = LinearRegression(fit_intercept=False).fit(f, y, sample_weight=w)
    expected = (w @ ((y - model.predict(f)) ** 2).sum(axis=1)) / w.sum()
    assert linear_head_error(f, y, w) == pytest.approx(expected, rel=1e-10)
    assert linear_head_error(f, f[:, :1] - 2 * f[:, 3:]) < 1e-25
    # a dimension that collapsed to rounding tells nothing
    assert linear_head_error(np.c_[f[:, :1], 1e-14 * f[:, 1:2]], f[:, 1:2]) > 0.5 * (f[:, 1] ** 2).mean()


def test_gap_by_brute_force(rng):
    relation, clusters = cluster_relation([7, 9], 0.05, jax.random.key(0), sparsity=0.3)
    G, Psi = relation.dense(), np.c_[np.eye(2)[clusters], rng.normal(size=(16, 2))]
    share = G.sum(axis=1)

    def quotient(w, cluster):
        rows = np.flatnonzero(clusters == cluster)
        g, edges, p = Psi[rows] @ w, G[np.ix_(rows, rows)], share[rows] / share[rows].sum()
        apart = (edges * (g[:, None] - g) ** 2).sum() / edges.sum()
        return apart / (p[:, None] * p * (g[:, None] - g) ** 2).sum()

    found = min(
        scipy.optimize.minimize(quotient, rng.normal(size=4), args=(cluster,), tol=1e-12).fun
        for cluster in (0, 1)
        for _ in range(3)
    )
    assert restricted_gap(Psi, G, clusters) == pytest.approx(found, rel=1e-5)


def test_a_class_of_cluster_indicators_has_nothing_to_split():
    relation, clusters = cluster_relation([4, 5], 0.05, jax.random.key(0))
    assert restricted_gap(np.eye(2)[clusters], relation.dense(), clusters) == np.inf
    assert implementable_clusters_bound(0.05, np.inf, np.array([0.5, 0.5])) == 0


def test_a_universal_class_splits_a_cluster_that_falls_apart():
    G = np.kron(np.eye(2), np.ones((2, 2))) - np.eye(4)
    gap = restricted_gap(np.eye(4), G, np.zeros(4))
    assert gap == pytest.approx(0, abs=1e-12)
    with pytest.raises(ConfigError, match="splits a cluster"):
        implementable_clusters_bound(0.01, 0.0, np.array([1.0]))


def test_formulas():
    assert implementable_clusters_bound(0.02, 0.4, np.array([0.3, 0.7])) == pytest.approx(0.05 * 0.7 / 0.28)
    bound = eigenfunction_bound(np.array([1.0, 0.9, 0.1]), 2, residual=0.3, head_norm=2.0, distance=0.01, weight=0.5)
    assert bound == pytest.approx(2 * 0.3 + 4 * 4 * 2 * 0.01 + 16 * 4 * 2 * 0.1 / 0.5)


def test_what_a_user_may_get_wrong():
    with pytest.raises(ConfigError, match="smallest cluster"):
        implementable_clusters_bound(0.4, 0.5, np.array([0.3, 0.7]))
    with pytest.raises(ConfigError, match="positive number"):
        eigenfunction_bound(np.ones(2), 1, residual=0.0, head_norm=1.0, weight=0.0)
    G = np.array([[0, 0, 1.0], [0, 0, 1.0], [1.0, 1.0, 0]])
    with pytest.raises(DataError, match="No pair has both views in cluster"):
        restricted_gap(np.eye(3), G, np.array([0, 0, 1]))
