"""Bounds on accuracies, against exact probabilities and against probes that were fitted."""

import numpy as np
import pytest
import scipy.stats
from sklearn.datasets import load_digits
from sklearn.linear_model import LinearRegression

from dynamics.errors import ConfigError
from dynamics.trajectories.label_bounds import accuracy_margin, least_accuracy, residual
from dynamics.trajectories.probes import linear_probe


@pytest.mark.parametrize("m", [1, 20, 256, 1000])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_the_margin_covers_the_binomial_distribution(m, confidence):
    """Of m coin tosses, the exact probability to be further from p than the margin is at most 1 − confidence."""
    margin = accuracy_margin(m, confidence)
    for p in (0.1, 0.5, 0.83):
        tosses = np.arange(m + 1)
        outside = np.abs(tosses / m - p) > margin
        assert scipy.stats.binom.pmf(tosses[outside], m, p).sum() <= 1 - confidence


def test_probes_of_embeddings_respect_the_margin_and_the_guarantee():
    """Principal components of digits: a probe fitted to 200 of them, tested on 256 others and on all that are left."""
    pixels, classes = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    X, y = pixels[order] - pixels[order][:200].mean(axis=0), classes[order]
    directions = np.linalg.svd(X[:200], full_matrices=False)[2]
    guarantees = []
    for dims in (2, 6, 30):
        Z = X @ directions[:dims].T
        few = linear_probe(Z[:200], y[:200], Z[200:456], y[200:456])
        every = linear_probe(Z[:200], y[:200], Z[200:], y[200:])
        assert abs(few.test - every.test) <= accuracy_margin(256)
        guarantees.append(least_accuracy(residual(Z[:200], y[:200])))
        assert few.train >= guarantees[-1] - 1 / 200  # the ridge of the probe may cost an example
    assert guarantees[-1] > 0.3  # it says something, and more with more dimensions
    assert guarantees == sorted(guarantees)


def test_the_residual_is_that_of_least_squares(rng):
    Z, labels = rng.normal(size=(50, 4)), rng.integers(3, size=50)
    Y = np.eye(3)[labels]
    expected = np.square(Y - LinearRegression().fit(Z, Y).predict(Z)).sum(axis=1).mean()
    np.testing.assert_allclose(residual(Z, labels), expected, rtol=1e-12)
    names = np.array(["a", "b", "c"])[labels]
    assert residual(Z, names) == residual(Z, labels)


def test_a_guarantee_is_tight():
    """Half of the outputs are in the middle between two classes, and called wrong: ε = ¼, and a half is right."""
    outputs, targets = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    assert least_accuracy(np.square(outputs - targets).sum(axis=1).mean()) == 0.5


@pytest.mark.parametrize(("images", "confidence"), [(0, 0.95), (5, 0.0), (5, 1.0), (5, float("nan"))])
def test_a_margin_of_nothing_is_refused(images, confidence):
    with pytest.raises(ConfigError, match="margin"):
        accuracy_margin(images, confidence)
