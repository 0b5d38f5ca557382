"""Nyström and random features against the exact modes, and their errors against the errors they estimate."""

import numpy as np
import pytest

from dynamics.errors import ConfigError, KernelError
from dynamics.kernels import gram, infinite_kernel, rbf
from dynamics.modes import contrastive_modes
from dynamics.modes.approximate import nystrom_modes, random_feature_modes
from dynamics.modes.lanczos import mode_residuals
from dynamics.networks import MLP


@pytest.fixture
def views(rng):
    x = rng.normal(size=(150, 6)) * np.arange(1, 7) ** -0.5
    return np.concatenate([x, x + 0.2 * rng.normal(size=x.shape)])


@pytest.mark.parametrize("center", [False, True])
def test_all_views_as_landmarks_are_exact(views, center):
    kernel = infinite_kernel(MLP(depth=1))
    exact = contrastive_modes(gram(kernel, views), num_modes=10, center=center)
    found = nystrom_modes(kernel, views, landmarks=len(views), num_modes=10, center=center)
    np.testing.assert_allclose(found.modes.eigenvalues, exact.eigenvalues, rtol=1e-8)
    np.testing.assert_allclose(found.modes.on_views, exact.on_views, atol=1e-5)
    rows = gram(kernel, views[:3] + 0.1, views)
    np.testing.assert_allclose(found.modes.functions(rows), exact.functions(rows), atol=1e-5)
    assert found.missing < 1e-10
    assert (found.error < 1e-6).all()


def test_a_kernel_of_low_rank_needs_no_more_landmarks_than_its_rank(views):
    kernel = lambda a, b: (1 + a @ b.T) ** 2  # noqa: E731  28 features
    exact = contrastive_modes(kernel(views, views), num_modes=8)
    found = nystrom_modes(kernel, views, landmarks=40, num_modes=8)
    np.testing.assert_allclose(found.modes.eigenvalues, exact.eigenvalues, rtol=1e-8)
    new = views[:5] + 0.3
    rows = kernel(new, views)
    np.testing.assert_allclose(found.modes.functions(rows), exact.functions(rows), atol=1e-5)


@pytest.mark.parametrize("landmarks", [30, 80, 200])
def test_it_is_the_projection_of_the_true_problem(views, landmarks):
    """Normalised in the true kernel, true values, eigenvalues from below, and the residual that is estimated."""
    kernel = rbf(1.5)
    K = gram(kernel, views)
    exact = contrastive_modes(K)
    found = nystrom_modes(kernel, views, landmarks=landmarks, num_modes=10, sample=len(views))
    V = found.modes.duals
    assert (np.abs(V).max(axis=1) > 0).sum() <= landmarks
    np.testing.assert_allclose(V.T @ K @ V, np.eye(10), atol=1e-6)
    np.testing.assert_allclose(found.modes.on_views, K @ V, atol=1e-6)
    assert (found.modes.eigenvalues <= exact.eigenvalues[:10] * (1 + 1e-9)).all()
    # with all views in the sample the estimate is the residual itself
    np.testing.assert_allclose(found.error, mode_residuals(K, found.modes), rtol=1e-3, atol=1e-7)
    distance = np.abs(exact.eigenvalues[:, None] - found.modes.eigenvalues).min(axis=0)
    assert (distance <= found.error + 1e-10).all()
    missing = 1 - (K @ V @ V.T @ K).trace() / K.trace()
    assert found.missing <= missing + 1e-9  # ten modes explain less than all the landmarks


def test_the_error_is_estimated_from_a_sample(views):
    kernel, K = rbf(1.5), gram(rbf(1.5), views)
    found = [nystrom_modes(kernel, views, landmarks=40, num_modes=5, sample=150, seed=s) for s in range(8)]
    ratios = [f.error / mode_residuals(K, f.modes) for f in found]
    assert 0.6 < np.median(ratios) < 1.6


def test_the_error_of_centred_modes(views):
    kernel, K = rbf(1.5), gram(rbf(1.5), views)
    found = nystrom_modes(kernel, views, landmarks=40, num_modes=5, center=True, sample=len(views))
    # the distance to the nearest eigenvalue, which the residual bounds
    exact = contrastive_modes(K, center=True).eigenvalues
    distance = np.abs(exact[:, None] - found.modes.eigenvalues).min(axis=0)
    assert (distance <= found.error).all()
    # ‖A f − γ f‖² in feature space: with Φ Φᵀ = K, w the mode's vector and Γ the centred cross-correlation
    values, U = np.linalg.eigh(K)
    Phi = U * np.sqrt(np.maximum(values, 0))
    centred = Phi - Phi.mean(axis=0)
    w = Phi.T @ found.modes.duals
    Gamma = centred.T @ np.roll(centred, len(K) // 2, axis=0) / len(K)
    residual = np.linalg.norm(Gamma @ w - w * found.modes.eigenvalues, axis=0)
    np.testing.assert_allclose(found.error, residual, rtol=1e-3)


def test_random_features_know_their_error(rng, views):
    """Cosine features of the Gaussian kernel; the error over repetitions against the jackknife's."""
    W = {}

    def draw_of(offset):
        def draw(index):
            generator = np.random.default_rng(1000 * offset + index)
            w, b = generator.normal(size=(6, 25)) / 1.5, generator.uniform(0, 2 * np.pi, 25)
            W[offset, index] = w
            return np.cos(views @ w + b) * (2 / 25) ** 0.5

        return draw

    exact = contrastive_modes(gram(rbf(1.5), views), num_modes=4).eigenvalues
    found = [random_feature_modes(draw_of(offset), draws=16, num_modes=4) for offset in range(25)]
    deviations = np.array([f.modes.eigenvalues - exact for f in found])
    estimated = np.sqrt(np.mean([f.error**2 for f in found], axis=0))
    ratio = estimated / deviations.std(axis=0)
    assert (0.6 < ratio).all() and (ratio < 1.7).all(), ratio
    assert np.abs(deviations.mean(axis=0)[0]) < 2 * estimated[0]
    assert len(W) == 400


def test_settings(views):
    with pytest.raises(ConfigError, match="landmarks"):
        nystrom_modes(rbf(1.0), views, landmarks=1000)
    with pytest.raises(ConfigError, match="draws"):
        random_feature_modes(lambda i: views, draws=1, num_modes=2)
    with pytest.raises(KernelError, match="positive semi-definite"):
        nystrom_modes(lambda a, b: -(a @ b.T), views, landmarks=10)
