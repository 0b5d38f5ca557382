"""The mean-field closure is exact for two-layer linear networks, whose features are independent."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from dynamics.flow.bilinear import bilinear_flow, model_of_kernel
from dynamics.flow.mean_field import mean_field_flow
from dynamics.trajectories.comparison import step_times

PAIRS, UNITS, DIM, TEST_POINTS, SCALE = 6, 5, 2, 3, 0.7
TIMES = np.linspace(0, 4, 81)


@pytest.fixture
def views(rng):
    half = rng.normal(size=(PAIRS, 4)) * np.array([2.0, 1.4, 1.0, 0.7])
    return np.concatenate([half, half + 0.2 * rng.normal(size=half.shape), rng.normal(size=(TEST_POINTS, 4))])


def test_the_closure_is_exact_for_a_linear_network(views, rng):
    V, W = rng.normal(size=(4, UNITS)), 1e-2 * rng.normal(size=(UNITS, DIM))
    X = views - views[: 2 * PAIRS].mean(axis=0)  # centred inputs have centred embeddings
    h, linear = X @ V, X @ X[: 2 * PAIRS].T
    closure = mean_field_flow(
        SCALE**2 * h @ h[: 2 * PAIRS].T, linear, SCALE, SCALE * h @ W, TIMES, readout=W, embedding_times=TIMES
    )
    theta = SCALE**2 * np.einsum("xy,jk->xyjk", linear, np.eye(UNITS))
    exact = bilinear_flow(model_of_kernel(SCALE * h, theta, W), TIMES, embedding_times=TIMES)
    np.testing.assert_allclose(closure.embeddings, exact.embeddings, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(closure.loss, exact.loss, rtol=1e-6, atol=1e-8)
    assert closure.test_points == TEST_POINTS


def test_the_kernel_moves_by_one_over_the_width(views, rng):
    """With K and F fixed and u² = 1/N, steps come earlier by a share proportional to 1/N."""
    X = views[: 2 * PAIRS]
    K, start = X @ X.T / 4, 1e-3 * rng.normal(size=(2 * PAIRS, DIM))

    def times(width):
        return step_times(mean_field_flow(K, K, width**-0.5, start, np.linspace(0, 8, 401)))

    frozen = times(1e12)
    exponents = np.log2((times(256.0) / frozen - 1) / (times(512.0) / frozen - 1))
    # the next order is of relative size 1/N times a number of order ten, and shifts the exponent by as much
    np.testing.assert_allclose(exponents, 1.0, atol=0.1)


def test_shapes_that_do_not_fit(views):
    K = views @ views.T
    with pytest.raises((ValueError, TypeCheckError)):  # whichever looks first
        mean_field_flow(K, K[:, :-2], 1.0, np.zeros((len(K), DIM)), TIMES)
