"""Probes against their definitions, on clusters that can be told apart more or less."""

import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.trajectories.probes import knn_probe, linear_probe


def clusters(rng, size, scale=0.05):
    labels = rng.integers(0, 3, size)
    return np.eye(3)[labels] + scale * rng.normal(size=(size, 3)), labels


@pytest.mark.parametrize("classifier", ["least-squares", "logistic"])
def test_a_probe_tells_separable_clusters_apart_at_any_scale_and_nothing_else(rng, classifier):
    Z, labels = clusters(rng, 300)
    for embeddings in (Z, 1e-6 * Z + 5):
        split = embeddings[:200], labels[:200], embeddings[200:], labels[200:]
        assert linear_probe(*split, classifier=classifier) == (1.0, 1.0)
    shuffled = rng.permutation(labels)  # a third of 100 is right by chance, with a standard error of 0.047
    assert (
        linear_probe(Z[:200], shuffled[:200], Z[200:], shuffled[200:], classifier=classifier).test < 1 / 3 + 5 * 0.047
    )


def test_the_probe_is_ridge_regression_on_one_hot_labels(rng):
    Z, labels = clusters(rng, 150, scale=0.8)
    ridge = 0.3
    centred = Z[:100] - Z[:100].mean(0)
    scale = np.linalg.svd(centred, compute_uv=False)[0] / 10
    X, Y = centred / scale, np.eye(3)[labels[:100]]
    W = np.linalg.solve(X.T @ X + 100 * ridge * np.eye(3), X.T @ (Y - Y.mean(0)))
    predicted = ((Z[100:] - Z[:100].mean(0)) / scale @ W + Y.mean(0)).argmax(1)
    accuracy = linear_probe(Z[:100], labels[:100], Z[100:], labels[100:], ridge=ridge)
    assert accuracy.test == pytest.approx((predicted == labels[100:]).mean())
    assert accuracy.test < 1  # some are wrong, so the numbers agree in more than perfection


def test_knn_votes_by_the_exponential_of_the_cosine(rng):
    Z, labels = clusters(rng, 90, scale=0.7)
    train, test = slice(0, 60), slice(60, 90)
    unit = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    correct = 0
    for z, label in zip(unit[test], labels[test], strict=True):
        cosines = unit[train] @ z
        nearest = cosines.argsort()[-7:]
        votes = np.bincount(labels[train][nearest], weights=np.exp(cosines[nearest] / 0.1), minlength=3)
        correct += votes.argmax() == label
    accuracy = knn_probe(Z[train], labels[train], Z[test], labels[test], neighbors=7, temperature=0.1)
    assert accuracy == pytest.approx(correct / 30)
    assert accuracy < 1  # some are wrong, so the numbers agree in more than perfection


def test_probes_refuse_what_cannot_be_probed(rng):
    Z, labels = clusters(rng, 20)
    with pytest.raises(ConfigError, match="collapsed"):
        linear_probe(np.ones((20, 3)), labels, Z, labels)
    with pytest.raises(ConfigError, match="ridge"):
        linear_probe(Z, labels, Z, labels, ridge=0.0)
    with pytest.raises(ConfigError, match="neighbours"):
        knn_probe(Z, labels, Z, labels, neighbors=21)
