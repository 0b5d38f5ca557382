"""Probes and distances on representations whose content is known."""

import jax
import numpy as np
import pytest
import scipy.stats

from dynamics.errors import ConfigError, DataError
from dynamics.generative import cluster, evaluate, frechet_distance, mlp_probe, style_probe
from dynamics.views import StyledViews, get_augmentation, load_images, styled_views


def test_quantities_are_scored_by_the_share_of_variance(rng):
    """A target of which the embedding tells a known part."""
    Z = rng.normal(size=(4000, 3))
    target = Z @ [1.0, -1.0, 0.5] + 1.5 * rng.normal(size=4000)
    assert style_probe(Z[:3000], target[:3000], Z[3000:], target[3000:]) == pytest.approx(0.5, abs=0.04)
    unrelated = rng.normal(size=4000)
    # the fit finds three coefficients of size 1/√3000, whose R² on 1000 others scatters by about 0.003
    assert abs(style_probe(Z[:3000], unrelated[:3000], Z[3000:], unrelated[3000:])) < 0.02
    tiny = 1e-6 * Z + 100.0
    assert style_probe(tiny[:3000], target[:3000], tiny[3000:], target[3000:]) == pytest.approx(0.5, abs=0.04)


def test_a_hidden_layer_reads_what_a_line_cannot(rng):
    Z = rng.uniform(-1, 1, size=(800, 2))
    labels = (Z[:, 0] * Z[:, 1] > 0).astype(int)
    # no line is right on more than 2/3 of the square, and a share of 200 has a standard error of 0.033 there
    best_line, error = 2 / 3, (2 / 9 / 200) ** 0.5
    assert mlp_probe(Z[:600], labels[:600], Z[600:], labels[600:], hidden=32, epochs=60) > best_line + 5 * error
    assert style_probe(Z[:600], labels[:600], Z[600:], labels[600:]) < best_line + 3 * error


def test_clusters_are_matched_whatever_their_names(rng):
    labels = rng.integers(0, 4, 400)
    Z = 10 * np.eye(4)[labels] + rng.normal(size=(400, 4))
    fitted = rng.integers(0, 4, 300)  # the mixture sees other points than those that it is tested on
    Z_fitted = 10 * np.eye(4)[fitted] + rng.normal(size=(300, 4))
    found = cluster(Z_fitted, Z, (labels + 3) % 4 + 7, starts=3)
    assert found == (1.0, pytest.approx(1.0), pytest.approx(1.0))
    chance = cluster(Z_fitted, Z, rng.integers(0, 4, 400), starts=3)
    # independent labels: shares of a quarter ± 0.02, and 800 · (mutual information) is χ² of 9 degrees of freedom
    assert chance.acc < 0.25 + 7 * 0.022
    assert chance.nmi < scipy.stats.chi2.isf(1e-6, 9) / 800 / np.log(4) * 1.05 and abs(chance.ari) < 0.05


def test_frechet_distance_of_gaussians(rng):
    """Axes-parallel covariances have Σ (√a − √b)² + ‖m − m'‖²."""
    a, b, shift = np.array([1.0, 4.0, 0.25]), np.array([2.25, 1.0, 1.0]), np.array([1.0, 0.0, -2.0])
    Q = scipy.stats.ortho_group.rvs(3, random_state=0)
    white = rng.normal(size=(2, 500, 3))
    white = [np.linalg.qr(part - part.mean(axis=0))[0] * np.sqrt(499) for part in white]
    first, second = white[0] * np.sqrt(a) @ Q, (white[1] * np.sqrt(b) + shift) @ Q
    expected = np.square(np.sqrt(a) - np.sqrt(b)).sum() + np.square(shift).sum()
    np.testing.assert_allclose(frechet_distance(first, second), expected, rtol=1e-8)
    np.testing.assert_allclose(frechet_distance(first, first), 0, atol=1e-8)
    with pytest.raises(DataError, match="too few for a covariance"):
        frechet_distance(first[:3], second)


def test_a_representation_that_is_the_style_knows_it_all(rng):
    images = load_images("digits", limit=300)
    recipe = get_augmentation("digits-style", (8, 8, 1)).first
    train, test = (styled_views(images.images, images.labels, recipe, jax.random.key(k)) for k in (0, 1))
    known = {part.views.tobytes(): part for part in (train, test)}

    def embed(views):
        style = known[views.tobytes()].style
        return np.column_stack([np.eye(9)[style["shift"]], style["intensity"]])

    scores = evaluate(embed, train, test, mlp=False, mixture_starts=1)
    assert scores["style shift linear"] == 1.0 and scores["style intensity linear"] > 0.999
    # the style says nothing of the class: a tenth of 300 views, ± 0.017, and a little more for the best matching
    assert scores["content linear"] < 0.1 + 6 * 0.017 and scores["content acc"] < 0.1 + 12 * 0.017
    unlabelled = StyledViews(train.views, None, train.style)
    assert set(evaluate(embed, unlabelled, test)) == {"style shift linear", "style intensity linear"}


def test_a_collapsed_representation_is_named(rng):
    with pytest.raises(ConfigError, match="collapsed"):
        style_probe(np.ones((20, 2)), rng.normal(size=20), np.ones((20, 2)), rng.normal(size=20))
