"""Spectra at the edge of what the numbers of a Gram matrix hold, against the spectrum that was put in."""

import numpy as np
import pytest
from theory_references import features_with_spectrum

from dynamics.modes import contrastive_modes, leading_modes


@pytest.mark.parametrize("arrives_as", [np.float32, np.float64])
def test_a_fast_spectrum_in_float32_is_as_precise_as_its_entries(rng, arrives_as):
    """Rounding E of the entries moves γ by at most ‖E‖/2n; cutting the spectrum off at E moved it by much more."""
    gamma = np.geomspace(1, 1e-9, 60)
    Phi = features_with_spectrum(gamma, 100, rng)
    K = (Phi @ Phi.T).astype(np.float32)
    allowed = np.linalg.norm(K - Phi @ Phi.T, 2) / len(K)
    for modes in (contrastive_modes(K.astype(arrives_as)), contrastive_modes(K.astype(arrives_as), num_modes=8)):
        error = np.abs(modes.eigenvalues[:8] - gamma[:8]).max()
        assert error < allowed
        V = modes.duals[:, :8]
        np.testing.assert_allclose(V.T @ K.astype(float) @ V, np.eye(8), atol=1e-8)
        np.testing.assert_allclose(K.astype(float) @ V, modes.on_views[:, :8], atol=1e-6 * np.abs(K).max())


@pytest.mark.parametrize(("smallest", "positive"), [(1e-10, 2), (1e-6, 2), (1e-10, 5)])
def test_few_positive_modes_among_large_negative_ones(rng, smallest, positive):
    """Eight are asked for and fewer can be learned: they come out precise, and nothing else is positive."""
    gamma = np.concatenate([1e-3 * np.linspace(1, 0.8, positive), -np.geomspace(1, smallest, 140)])
    Phi = features_with_spectrum(gamma, 150, rng)
    K = Phi @ Phi.T
    for modes in (leading_modes(K, 8), contrastive_modes(K, num_modes=8)):
        np.testing.assert_allclose(modes.eigenvalues[:positive], gamma[:positive], rtol=1e-9)
        assert modes.num_positive == positive and modes.eigenvalues[positive:].max(initial=0.0) < 1e-13


def test_modes_of_a_small_part_of_the_spectrum_in_float32(rng):
    """γ₁ = 1e-3 beside −1: the error is that of the entries, which are as large as the negative modes make them."""
    gamma = np.concatenate([[1e-3, 7e-4], -np.geomspace(1, 1e-4, 100)])
    Phi = features_with_spectrum(gamma, 110, rng)
    K = (Phi @ Phi.T).astype(np.float32)
    allowed = np.linalg.norm(K - Phi @ Phi.T, 2) / len(K)
    for modes in (contrastive_modes(K, num_modes=2), leading_modes(K, 2)):
        assert np.abs(modes.eigenvalues[:2] - gamma[:2]).max() < 10 * allowed
