"""Agreement on held-out pairs, against fresh pairs, a known correlation and noise."""

import numpy as np
import pytest

from dynamics.modes import contrastive_modes
from dynamics.modes.agreement import generalise, held_out_agreement


def correlated(rng, n, correlations):
    """Gaussian partners whose entry j is correlated by ρ_j, the first the largest."""
    scale = 3.0 ** -np.arange(len(correlations))
    rho = np.asarray(correlations)
    shared = rng.normal(size=(n, len(rho))) * rho**0.5
    return np.concatenate([(shared + rng.normal(size=shared.shape) * (1 - rho) ** 0.5) * scale for _ in range(2)])


def test_it_is_the_correlation_of_partners_where_that_is_known(rng):
    # a correlation of n pairs has the standard error (1 − ρ²)/√n; modes of 4,000 pairs are tilted by about as little
    agreement = held_out_agreement(correlated(rng, 4000, [0.8, 0.5]), 2)
    np.testing.assert_allclose(agreement, [0.8, 0.5], atol=0.06)


@pytest.mark.parametrize("center", [False, True])
def test_it_is_what_fresh_pairs_show(rng, center):
    views, fresh = correlated(rng, 400, [0.9, 0.6]), correlated(rng, 4000, [0.9, 0.6])
    modes = contrastive_modes(views @ views.T, center=center)
    one, other = np.split(modes.functions(fresh @ views.T)[:, :2], 2)
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(one.T, other.T, strict=True)]
    np.testing.assert_allclose(held_out_agreement(views, 2, center=center), expected, atol=4 / 400**0.5)


def test_the_modes_themselves_serve_as_features(rng):
    views = rng.normal(size=(40, 60)) + 1.0
    modes = contrastive_modes(views @ views.T)
    np.testing.assert_allclose(held_out_agreement(modes.on_views, 3), held_out_agreement(views, 3), atol=1e-8)


def test_noise_does_not_generalise_though_its_modes_look_strong(rng):
    noise = rng.normal(size=(128, 300))
    assert contrastive_modes(noise @ noise.T).eigenvalues[0] > 0.5  # as strong as a mode on which partners agree
    agreement = held_out_agreement(noise, 8)
    assert np.abs(agreement).max() < 4 / 64**0.5
    assert generalise(agreement, 64) is False
    assert generalise(held_out_agreement(correlated(rng, 64, [0.9, 0.6]), 2), 64) is True


def test_what_cannot_be_known_is_nan(rng):
    assert np.isnan(held_out_agreement(rng.normal(size=(8, 5)), 2)).all()
    beyond = held_out_agreement(correlated(rng, 50, [0.9]), 2)
    assert np.isfinite(beyond[0]) and np.isnan(beyond[1])
    assert generalise(np.full(2, np.nan), 9) is None
