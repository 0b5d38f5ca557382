"""One rule for rank and rounding, whoever factorises."""

import inspect

import numpy as np
import pytest

from dynamics.errors import KernelError
from dynamics.flow import growth_modes
from dynamics.function_classes import Linear
from dynamics.modes import contrastive_modes, contrastive_modes_from_features, nystrom_modes, restricted_modes
from dynamics.modes.factor import feature_range, semidefinite_factor
from dynamics.modes.restricted import PairMoments
from dynamics.objectives.growth import barlow_twins_growth
from dynamics.optima.barlow_twins import canonical_directions
from dynamics.optima.space import kernel_space, linear_space

SWAP = np.roll(np.eye(40), 20, axis=0)


def plain(rng):
    return rng.normal(size=(40, 6)).astype(np.float32)


def repeated_views(rng):
    return np.tile(plain(rng)[:10], (4, 1))


def with_a_constant(rng):
    return np.c_[plain(rng)[:, :5], np.ones(40, np.float32)]


@pytest.fixture(params=[plain, repeated_views, with_a_constant])
def features(request, rng):
    return request.param(rng)


@pytest.fixture(params=["float32", "cast to float64"])
def gram(request, features):
    K = features @ features.T
    return K if request.param == "float32" else K.astype(np.float64)


def test_all_see_the_rank_of_a_gram_matrix_computed_in_float32(features, gram):
    """Six features are six modes, whichever part of the package counts them."""
    assert np.linalg.eigvalsh(gram)[0] < 0  # which is what makes it hard
    assert len(contrastive_modes(gram)) == 6
    assert len(growth_modes(gram, barlow_twins_growth(SWAP)).rates) == 6
    assert kernel_space(gram).features.shape == (40, 6)
    assert semidefinite_factor(gram).features.shape == (40, 6)


def test_growth_rates_are_those_of_the_features(features, gram):
    psi = features.astype(np.float64)
    expected = np.sort(np.linalg.eigvals(psi.T @ barlow_twins_growth(SWAP) @ psi).real)[::-1]
    rates = growth_modes(gram, barlow_twins_growth(SWAP)).rates
    np.testing.assert_allclose(rates, 2 * expected, atol=1e-4 * abs(expected).max())


def test_centring_leaves_no_function_made_of_rounding(rng):
    """The constant is one of the six functions; without it there are five canonical directions."""
    features = with_a_constant(rng)
    for space in (kernel_space(features @ features.T), linear_space(features)):
        assert len(canonical_directions(space, SWAP)[0]) == 5


def test_features_that_depend_on_each_other_in_float32(rng):
    psi = plain(rng)
    psi = np.c_[psi, psi[:, 0] + psi[:, 1] * np.float32(0.3)]
    assert np.linalg.matrix_rank(psi.astype(np.float64)) == 7  # the rounding of the sum
    assert linear_space(psi).features.shape[1] == len(contrastive_modes_from_features(psi)) == 6


def test_moments_computed_in_float32(rng):
    """A second moment with a repeated feature: the modes are those of the features without it."""
    psi = plain(rng)
    expected = restricted_modes(Linear().moments(psi)).eigenvalues
    twice = np.c_[psi, psi[:, :2]]
    second, pair = (twice.T @ twice / 40, twice.T @ np.roll(twice, 20, axis=0) / 40)
    found = restricted_modes(PairMoments(second, pair)).eigenvalues
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_landmarks_of_a_kernel_computed_in_float32(rng):
    """All views are landmarks, so the modes are those of the whole matrix."""
    psi = plain(rng)
    found = nystrom_modes(lambda a, b: a.astype(np.float32) @ b.astype(np.float32).T, psi, landmarks=40).modes
    expected = contrastive_modes(psi @ psi.T)
    assert len(found) == 6
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, atol=1e-5 * expected.eigenvalues[0])


def test_factor_and_duals(gram):
    Phi, V, tolerance = semidefinite_factor(gram)
    assert np.abs(Phi @ Phi.T - gram).max() <= 2 * tolerance
    np.testing.assert_allclose(V.T @ Phi, np.eye(6), atol=1e-10)


def test_range_of_features(rng):
    psi = rng.normal(size=(8, 3))
    U, S, Zt, _ = feature_range(np.c_[psi, psi[:, 0]])
    assert S.size == 3
    np.testing.assert_allclose((U * S) @ Zt, np.c_[psi, psi[:, 0]], atol=1e-12)


def test_a_matrix_that_is_all_rounding_has_rank_0():
    assert semidefinite_factor(np.full((4, 4), 1e-17), scale=1.0).features.shape == (4, 0)
    assert semidefinite_factor(np.zeros((4, 4))).duals.shape == (4, 0)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.diag([1.0, 1.0, -0.01]), r"negative eigenvalue -0\.01"),
        (np.eye(3) + np.triu(np.full((3, 3), 0.1), 1), "not symmetric"),
        (np.diag([1.0, np.nan]), "NaN"),
        (np.ones((2, 3)), "as many columns as rows"),
    ],
)
def test_what_is_no_gram_matrix_is_refused(matrix, message):
    with pytest.raises(KernelError, match=message):
        inspect.unwrap(semidefinite_factor)(matrix)  # unwrapped: in the tests the shape annotation would speak first
