import jax
import numpy as np
import pytest

from dynamics.errors import DataError
from dynamics.views import gaussian_pairs, geometric_spectrum, synthetic_pairs

KEY = jax.random.key(0)


def gamma(pairs):
    """Γ = (1/2n) Σ (x x'ᵀ + x' xᵀ), term by term."""
    terms = [np.outer(a, b) + np.outer(b, a) for a, b in zip(pairs.x, pairs.x_prime, strict=True)]
    return sum(terms) / (2 * len(pairs))


def second_moment(pairs):
    return pairs.stacked.T @ pairs.stacked / (2 * len(pairs))


@pytest.mark.parametrize(
    "eigenvalues",
    [
        [1.0],
        [0.9, 0.5, 0.1, 1e-3],
        [0.5, 0.5, 0.5, 0.2, 0.2],  # degenerate
        [0.7, 0.0, -0.3, -0.3, 2.0],  # unsorted, zero, negative
        [-0.4, -0.1],
        [1e6, 1.0, -1e3],
    ],
)
def test_the_spectrum_is_exactly_the_one_prescribed(eigenvalues):
    pairs = synthetic_pairs(eigenvalues, 12, KEY)
    assert pairs.x.dtype == np.float64 and pairs.x.shape == (12, len(eigenvalues))
    scale = np.abs(eigenvalues).max()
    np.testing.assert_allclose(np.linalg.eigvalsh(gamma(pairs)), np.sort(eigenvalues), atol=1e-12 * scale, rtol=0)


def test_as_many_positive_and_negative_eigenvalues_as_pairs_fit():
    eigenvalues = [1.0, 0.6, 0.3, -0.2, -0.5, -0.7]
    pairs = synthetic_pairs(eigenvalues, 3, KEY)
    np.testing.assert_allclose(np.linalg.eigvalsh(gamma(pairs)), np.sort(eigenvalues), atol=1e-12)


def test_more_dimensions_add_zero_eigenvalues_and_no_axis_is_special():
    pairs = synthetic_pairs([0.5, -0.2], 10, KEY, dim=6)
    np.testing.assert_allclose(np.linalg.eigvalsh(gamma(pairs)), [-0.2, 0, 0, 0, 0, 0.5], atol=1e-12)
    assert (np.abs(pairs.x).max(axis=0) > 1e-3).all()


def test_views_have_mean_zero_where_there_is_room_for_it():
    np.testing.assert_allclose(synthetic_pairs([1.0, 0.5, -0.5], 5, KEY).stacked.mean(axis=0), 0, atol=1e-12)
    assert np.abs(synthetic_pairs([1.0, 0.5], 2, KEY).stacked.mean(axis=0)).max() > 1e-3


def test_noise_keeps_the_spectrum_and_adds_to_the_variance():
    quiet, noisy = (synthetic_pairs([0.8, 0.3, -0.1], 9, KEY, noise=noise) for noise in (0.0, 0.25))
    np.testing.assert_allclose(np.linalg.eigvalsh(gamma(noisy)), [-0.1, 0.3, 0.8], atol=1e-12)
    np.testing.assert_allclose(np.linalg.eigvalsh(second_moment(quiet)), [0.1, 0.3, 0.8], atol=1e-12)
    np.testing.assert_allclose(np.linalg.eigvalsh(second_moment(noisy)), [0.6, 0.8, 1.3], atol=1e-12)


def test_keys_decide():
    first, again = synthetic_pairs([1.0, 0.5], 6, KEY), synthetic_pairs([1.0, 0.5], 6, KEY)
    np.testing.assert_array_equal(first.x, again.x)
    assert np.abs(first.x - synthetic_pairs([1.0, 0.5], 6, jax.random.key(1)).x).max() > 0.1


@pytest.mark.parametrize(
    ("eigenvalues", "options", "says"),
    [
        ([1.0, 0.5, 0.2], {"num_pairs": 2}, "3 positive eigenvalues need as many pairs"),
        ([1.0, -0.5, -0.2], {"num_pairs": 1}, "2 negative"),
        ([1.0, 0.5], {"num_pairs": 1, "noise": 0.1}, "2 noisy"),
        ([1.0, 0.5], {"num_pairs": 4, "dim": 1}, "dimension 1"),
        ([1.0, np.nan], {"num_pairs": 4}, "finite"),
        ([0.0, 0.0], {"num_pairs": 4}, "not all zero"),
        ([], {"num_pairs": 4}, "not all zero"),
        ([1.0], {"num_pairs": 4, "noise": -1.0}, "noise=-1.0"),
    ],
)
def test_spectra_that_do_not_fit_are_an_error(eigenvalues, options, says):
    with pytest.raises(DataError, match=says):
        synthetic_pairs(eigenvalues, key=KEY, **options)


def test_geometric_spectrum():
    np.testing.assert_allclose(geometric_spectrum(4, 0.5), [1, 0.5, 0.25, 0.125])


def test_gaussian_pairs_have_the_given_moments():
    mix = np.array([[1.0, 0.3, 0.0], [0.0, 0.8, -0.2], [0.0, 0.0, 0.0]])
    signal, noise, n = mix @ mix.T, np.diag([0.1, 0.5, 1.0]), 40_000
    pairs = gaussian_pairs(signal, noise, n, KEY)
    assert pairs.x.dtype == np.float64
    # entries of Γ and Σ are means of n products of variance at most 2·(2.1)²: six standard errors
    tolerance = 6 * np.sqrt(2 * 2.1**2 / n)
    np.testing.assert_allclose(gamma(pairs), signal, atol=tolerance)
    np.testing.assert_allclose(second_moment(pairs), signal + noise, atol=tolerance)
    assert np.abs(pairs.x - pairs.x_prime).max() > 1


@pytest.mark.parametrize(
    ("signal", "noise", "num_pairs", "says"),
    [
        (np.array([[1.0, 2.0], [0.0, 1.0]]), np.eye(2), 5, "signal: is not finite and symmetric"),
        (np.eye(2), np.diag([1.0, -0.5]), 5, "noise: has the negative eigenvalue -0.5"),
        (np.eye(2), np.diag([1.0, np.nan]), 5, "noise: is not finite"),
        (np.eye(2), np.eye(2), 0, "num_pairs=0"),
    ],
)
def test_what_is_no_covariance_is_an_error(signal, noise, num_pairs, says):
    with pytest.raises(DataError, match=says):
        gaussian_pairs(signal, noise, num_pairs, KEY)
