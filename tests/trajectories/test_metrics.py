"""Metrics against spectra that are prescribed, brute force, and closed forms."""

import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.modes import contrastive_modes
from dynamics.trajectories.metrics import (
    alpha_req,
    correlation_spectrum,
    covariance_spectrum,
    effective_rank,
    knn_probe,
    linear_probe,
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
    assert all(np.isnan(metric(Z)) for metric in (rankme, effective_rank, participation_ratio, alpha_req))


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


# ---------------------------------------------------------------- probes


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
