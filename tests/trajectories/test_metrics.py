"""Metrics against spectra that are prescribed, brute force, and closed forms."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from dynamics.errors import DataError
from dynamics.modes import contrastive_modes
from dynamics.trajectories.metrics import (
    alpha_req,
    correlation_spectrum,
    covariance_spectrum,
    effective_rank,
    lidar,
    lidar_from_moments,
    participation_ratio,
    rankme,
    spectrum_metrics,
    subspace_overlap,
)


def with_singular_values(rng, rows, sigma, columns=None):
    """A matrix of centred columns with these singular values in random directions."""
    columns = columns or len(sigma)
    G = rng.normal(size=(rows, len(sigma)))
    U = np.linalg.qr(G - G.mean(0))[0]
    V = np.linalg.qr(rng.normal(size=(columns, len(sigma))))[0]
    return U * sigma @ V.T


def entropy(p):
    return -sum(x * np.log(x) for x in p)


@pytest.mark.parametrize("shape", [(60, 8), (60, 200)], ids=["d < N", "d > N"])
def test_metrics_of_a_prescribed_spectrum(rng, shape):
    sigma = np.array([5.0, 3.0, 1.0, 0.5])
    Z = with_singular_values(rng, shape[0], sigma, shape[1])
    p, q = sigma / sigma.sum(), sigma**2 / (sigma**2).sum()
    # the ε of RankMe adds d·ε ln(1/ε) < 4e-4 to the entropy; singular values below 1e-8 are rounding
    assert rankme(Z) == pytest.approx(np.exp(entropy(p)), rel=1e-3)
    assert effective_rank(Z) == pytest.approx(np.exp(entropy(q)), rel=1e-9)
    assert participation_ratio(Z) == pytest.approx(1 / (q**2).sum(), rel=1e-9)
    np.testing.assert_allclose(covariance_spectrum(Z)[:4], sigma**2 / shape[0], rtol=1e-9)
    assert covariance_spectrum(Z).shape == (shape[1],)


def test_rankme_is_its_definition_with_its_epsilon(rng):
    Z = rng.normal(size=(40, 6)) + 2.0
    sigma = np.linalg.svd(Z, compute_uv=False)
    p = sigma / sigma.sum() + 1e-7
    assert rankme(Z) == pytest.approx(np.exp(entropy(p)), rel=1e-12)
    assert rankme(Z) < rankme(Z - Z.mean(0))  # not centred: the mean is one large direction


def test_equal_eigenvalues_count_fully_and_scale_does_not_count(rng):
    Z = with_singular_values(rng, 50, np.ones(7))
    for metric in (effective_rank, participation_ratio):
        assert metric(Z) == pytest.approx(7, rel=1e-9)
        assert metric(1e-6 * Z + 3.0) == pytest.approx(7, rel=1e-6)
    assert rankme(Z) == pytest.approx(rankme(1e-4 * Z), rel=1e-9)


def test_alpha_req_is_the_exponent_of_a_power_law(rng):
    k = np.arange(1, 31)
    Z = with_singular_values(rng, 80, k**-0.65)
    assert alpha_req(Z) == pytest.approx(1.3, rel=1e-6)
    bent = with_singular_values(rng, 80, np.where(k < 5, 1.0, k**-0.65))
    assert alpha_req(bent, first=5, last=25) == pytest.approx(1.3, rel=1e-6)
    assert abs(alpha_req(bent) - 1.3) > 0.1


def test_metrics_of_a_spectrum_are_those_of_its_embeddings(rng):
    Z = rng.normal(size=(40, 5)) * np.arange(1, 6)
    functions = {f.__name__: f for f in (effective_rank, participation_ratio, alpha_req)}
    for name, value in spectrum_metrics(covariance_spectrum(Z)).items():
        assert value == pytest.approx(functions.pop(name)(Z), rel=1e-12)
    assert not functions


@pytest.mark.parametrize("Z", [np.zeros((6, 3)), np.full((6, 3), np.nan)], ids=["zero", "nan"])
def test_nothing_has_no_rank(Z):
    assert all(np.isnan(metric(Z)) for metric in (rankme, lidar, effective_rank, participation_ratio, alpha_req))


@pytest.mark.parametrize("dim", [5, 40], ids=["d < 2n", "d > 2n"])
def test_correlation_spectrum_is_that_of_the_matrix(rng, dim):
    F = rng.normal(size=(24, dim))
    z, y = F[:12], F[12:]
    C = sum(np.outer(a, b) + np.outer(b, a) for a, b in zip(z, y, strict=True)) / 24
    np.testing.assert_allclose(correlation_spectrum(F), np.linalg.eigvalsh(C)[::-1], atol=1e-12)


def test_arrays_of_jax_will_do(rng):
    Z = rng.normal(size=(30, 4)).astype(np.float32)
    assert rankme(jnp.asarray(Z)) == rankme(Z)


# ---------------------------------------------------------------- subspaces


@pytest.fixture
def modes(rng):
    views = rng.normal(size=(40, 60))
    return contrastive_modes(views @ views.T)


def test_overlap_is_one_for_the_predicted_span_and_invariant_to_the_basis(modes, rng):
    F = modes.on_views[:, :4] @ rng.normal(size=(4, 4))
    assert subspace_overlap(F, modes, 4) == pytest.approx(1.0, abs=1e-12)


def test_overlap_of_a_random_subspace_is_at_chance(modes, rng):
    overlaps = [subspace_overlap(rng.normal(size=(40, 3)), modes, 3) for _ in range(400)]
    # mean r/2n = 0.075; the standard error of 400 draws is about 0.002
    assert np.mean(overlaps) == pytest.approx(3 / 40, abs=0.01)


def test_overlap_ignores_the_mean_if_centred(modes, rng):
    centred = contrastive_modes(modes.on_views @ modes.on_views.T, center=True)
    F = centred.on_views[:, :2] @ rng.normal(size=(2, 2))
    assert subspace_overlap(F + 50.0, centred, 2, center=True) == pytest.approx(1.0, abs=1e-10)
    assert subspace_overlap(F + 50.0, centred, 2, center=False) < 0.9


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [2, 7, 100])
def test_equal_embeddings_have_no_effective_rank_whatever_rounding_makes_of_their_mean(rng, dtype, rows):
    Z = np.tile(rng.normal(size=(1, 9)).astype(dtype), (rows, 1))
    assert (covariance_spectrum(Z) == 0).all()
    assert np.isnan(effective_rank(Z)) and np.isnan(participation_ratio(Z))
    Z[0, 0] += 1e-4  # one direction
    assert effective_rank(Z) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("shape", [(100, 400), (400, 100), (7, 50)])
def test_rankme_adds_epsilon_to_the_singular_values_that_exist(rng, shape):
    Z = rng.normal(size=shape)
    sigma = np.linalg.svd(Z, compute_uv=False)
    p = sigma / sigma.sum() + 1e-7
    assert rankme(Z) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-9)


# ---------------------------------------------------------------- LiDAR


def scatters(F):
    """Between- and within-class covariance of the definition, class by class, with a class for each pair."""
    classes = [np.stack([F[i], F[i + len(F) // 2]]) for i in range(len(F) // 2)]
    mean = np.mean([members.mean(0) for members in classes], axis=0)
    between = np.mean([np.outer(members.mean(0) - mean, members.mean(0) - mean) for members in classes], axis=0)
    within = np.mean([np.mean([np.outer(z - m.mean(0), z - m.mean(0)) for z in m], axis=0) for m in classes], axis=0)
    return between, within


@pytest.mark.parametrize("dim", [4, 30], ids=["d < 2n", "d > 2n"])
def test_lidar_is_the_effective_rank_of_linear_discriminant_analysis(rng, dim):
    content, noise = rng.normal(size=(10, dim)) * np.geomspace(1, 0.05, dim), rng.normal(size=(20, dim))
    F = np.concatenate([content, content]) + 0.2 * noise + 3.0
    between, within = scatters(F)
    inverse_root = scipy.linalg.inv(scipy.linalg.sqrtm(within + 1e-4 * np.eye(dim)))
    eigenvalues = np.maximum(np.linalg.eigvalsh(inverse_root @ between @ inverse_root), 0)
    p = eigenvalues / eigenvalues.sum() + 1e-7
    assert lidar(F) == pytest.approx(np.exp(entropy(p)), rel=1e-6)
    assert lidar(F.astype(np.float32)) == pytest.approx(lidar(F), rel=1e-3)


def test_lidar_counts_the_images_directions_and_not_those_of_the_noise(rng):
    """Three directions tell images apart, a fourth and stronger one only views: RankMe counts it, LiDAR does not."""
    content = with_singular_values(rng, 100, np.full(3, 10.0), 4)
    noise = scipy.linalg.null_space(content)[:, 0] * np.repeat([5.0, -5.0], 100)[:, None]
    F = np.concatenate([content, content]) + noise
    assert lidar(F) == pytest.approx(3, abs=0.01)
    assert effective_rank(np.concatenate([content, content])) == pytest.approx(3, abs=0.01)
    assert rankme(F) > 1.5 and effective_rank(F) < 2  # most of the variance is in the noise


def test_lidar_of_moments_is_that_of_the_embeddings(rng):
    F = rng.normal(size=(24, 5)) @ rng.normal(size=(5, 5))
    centred = F - F.mean(0)
    swapped = np.roll(centred, 12, axis=0)
    moments = centred.T @ centred / 24, centred.T @ swapped / 24
    assert lidar_from_moments(*moments) == pytest.approx(lidar(F), rel=1e-9)


def test_lidar_of_modes_is_forecast(modes):
    """Embeddings that have learned the first modes: Σ and C follow from the modes, and LiDAR from them."""
    a = modes.minimum_norm(4)
    covariance = a.T @ (modes.on_views.T @ modes.on_views / 40) @ a
    F = modes.on_views @ a
    mean = np.outer(F.mean(0), F.mean(0))
    correlation = a.T @ (modes.eigenvalues[:, None] * a)
    assert lidar_from_moments(covariance - mean, correlation - mean) == pytest.approx(lidar(F), rel=1e-6)


def test_lidar_needs_pairs_and_differences(rng):
    with pytest.raises(DataError, match="both views"):
        lidar(rng.normal(size=(5, 2)))
    assert np.isnan(lidar_from_moments(np.full((2, 2), np.nan), np.eye(2)))
