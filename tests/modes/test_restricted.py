"""The restricted eigenproblem against SciPy's generalised solver, finite distributions by hand, and its invariances."""

import numpy as np
import pytest
import scipy.linalg

from dynamics.errors import CollapseError, KernelError
from dynamics.modes.restricted import PairMoments, pair_moments, restricted_modes


@pytest.fixture
def sample(rng):
    """Views (2n, p) of 60 pairs, partners correlated by a different amount in every direction."""
    x = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5))
    return np.concatenate([x, 0.7 * x + 0.3 * rng.normal(size=x.shape)])


def test_modes_are_those_of_the_generalised_problem(sample):
    x, x_prime = np.split(sample, 2)
    second = (x.T @ x + x_prime.T @ x_prime) / 120
    pair = (x.T @ x_prime + x_prime.T @ x) / 120
    modes = restricted_modes(pair_moments(sample))
    np.testing.assert_allclose(modes.eigenvalues, scipy.linalg.eigh(pair, second)[0][::-1], atol=1e-12)
    V = modes.weights
    np.testing.assert_allclose(V.T @ second @ V, np.eye(5), atol=1e-12)
    np.testing.assert_allclose(V.T @ pair @ V, np.diag(modes.eigenvalues), atol=1e-12)


def test_discrepancy_is_the_mean_squared_difference_of_partners(sample):
    modes = restricted_modes(pair_moments(sample))
    f, f_prime = np.split(modes.functions(sample), 2)
    np.testing.assert_allclose(((f - f_prime) ** 2).mean(axis=0), modes.discrepancies, atol=1e-12)
    np.testing.assert_allclose(modes.discrepancy(3), ((f - f_prime)[:, :3] ** 2).mean(), atol=1e-12)
    phi = [modes.discrepancy(m) for m in range(1, 6)]
    assert (np.diff(phi) >= 0).all()


def test_only_the_span_of_the_features_counts(sample, rng):
    """An invertible change of features, and repeated features, leave the functions alone."""
    modes = restricted_modes(pair_moments(sample))
    mixed = sample @ rng.normal(size=(5, 5))
    again = restricted_modes(pair_moments(np.c_[mixed, mixed[:, :2]]))
    np.testing.assert_allclose(again.eigenvalues, modes.eigenvalues, atol=1e-9)
    f, g = modes.functions(sample), again.functions(np.c_[mixed, mixed[:, :2]])
    np.testing.assert_allclose(np.abs(f.T @ g) / 120, np.eye(5), atol=1e-8)


def test_a_graph_on_all_views_gives_exact_moments(rng):
    """Two clusters of two views each: 1, 1 for constant functions on them, and what mixes within for the others."""
    G = scipy.linalg.block_diag([[0, 1.0], [1.0, 0]], [[0, 2.0], [2.0, 0]])
    modes = restricted_modes(pair_moments(np.eye(4), graph=G))
    np.testing.assert_allclose(modes.eigenvalues, [1, 1, -1, -1], atol=1e-12)
    without_first = restricted_modes(pair_moments(np.eye(4)[:, 1:], graph=G))
    # the first cluster can only be marked on one of its two views: g = √6·e has E g g⁺ = 0
    np.testing.assert_allclose(without_first.eigenvalues, [1, 0, -1], atol=1e-12)


def test_pairs_are_the_graph_that_swaps_the_halves(sample):
    n = len(sample) // 2
    J = np.kron([[0, 1], [1, 0]], np.eye(n))
    a, b = pair_moments(sample), pair_moments(sample, graph=J)
    for name in ("second", "pair", "mean"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-13)


def test_centring_removes_the_constant(sample):
    shifted = np.c_[sample, np.ones(len(sample))]
    modes = restricted_modes(pair_moments(shifted))
    assert modes.eigenvalues[0] == pytest.approx(1, abs=1e-12)
    centred = restricted_modes(pair_moments(shifted).centred())
    np.testing.assert_allclose(centred.eigenvalues, modes.eigenvalues[1:], atol=1e-10)


def test_batches_average_to_the_whole(sample):
    x, x_prime = np.split(sample, 2)
    parts = [pair_moments(np.concatenate([x[rows], x_prime[rows]])) for rows in (slice(0, 20), slice(20, 60))]
    whole = PairMoments.average(parts, weights=[20.0, 40.0])
    np.testing.assert_allclose(whole.pair, pair_moments(sample).pair, atol=1e-13)
    np.testing.assert_allclose(whole.mean, pair_moments(sample).mean, atol=1e-13)


def test_coordinates_reproduce_the_function(sample, rng):
    moments = pair_moments(sample)
    modes, W = restricted_modes(moments), rng.normal(size=(2, 5))
    np.testing.assert_allclose(modes.functions(sample) @ modes.coordinates(W, moments).T, sample @ W.T, atol=1e-10)


def test_what_a_user_may_get_wrong(sample):
    moments = pair_moments(sample)
    modes = restricted_modes(moments)
    for dim in (0, 6):
        with pytest.raises(CollapseError, match="5 independent functions"):
            modes.discrepancy(dim)
    with pytest.raises(CollapseError, match="dim is 9"):
        restricted_modes(moments, num_modes=9)
    with pytest.raises(KernelError, match="more than 1"):
        restricted_modes(PairMoments(moments.second, 2 * moments.second))
    with pytest.raises(KernelError, match="no function but zero"):
        restricted_modes(PairMoments(np.zeros((2, 2)), np.zeros((2, 2))))
    with pytest.raises(KernelError, match="negative eigenvalue"):
        restricted_modes(PairMoments(np.diag([1.0, -1.0]), np.zeros((2, 2))))
    with pytest.raises(KernelError, match="one for each of the 2n"):
        pair_moments(sample[:-1])
    with pytest.raises(KernelError, match="cannot be centred"):
        PairMoments(moments.second, moments.pair).centred()
