"""Paths from saddle to saddle, against closed forms of deep linear networks and against descent of small ones."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import DataError
from dynamics.flow.saddles import saddle_to_saddle_flow
from dynamics.objectives.correlation import barlow_twins, cross_correlation
from dynamics.solvable.saddle import escape
from dynamics.support.precision import double_precision
from dynamics.trajectories.comparison import step_times

GAMMA = np.array([0.8, 0.3])


def views_of(rng, pairs=6, inputs=3):
    x = rng.normal(size=(pairs, inputs)) * np.array([1.5, 1.0, 0.6])
    return np.concatenate([x, x + 0.2 * rng.normal(size=x.shape)])


def relu_network(X, weights):
    """Homogeneous of a degree that is the number of layers."""
    h = jnp.asarray(X)
    for V in weights[:-1]:
        h = jax.nn.relu(h @ V)
    return h @ weights[-1]


def weights_of(rng, scale, depth, inputs=3, units=6, dim=2):
    sizes = [inputs, *[units] * depth, dim]
    return [scale * rng.normal(size=shape) for shape in itertools.pairwise(sizes)]


def test_a_balanced_linear_network_follows_the_closed_form(rng):
    layers = 3
    # partners are the same and their covariance is diagonal, so mode j has the eigenvalue γ_j
    orthonormal = np.linalg.qr(rng.normal(size=(8, len(GAMMA))))[0]
    X = np.concatenate([orthonormal] * 2) * np.sqrt(8 * GAMMA)
    s = np.array([1e-3, 2e-3])

    def product(weights):
        F = jnp.asarray(X)
        for V in weights:
            F = F @ V
        return F

    path = saddle_to_saddle_flow(product, [np.diag(s ** (1 / layers))] * layers, tolerance=1e-4)
    expected = escape(8 * layers * GAMMA ** (1 / layers), 2 - 1 / layers, GAMMA * s**2, path.trajectory.times)
    for found, exact in zip(path.trajectory.eigenvalues.T, -np.sort(-expected).T, strict=True):
        times = path.trajectory.times
        for level in (0.1, 0.5, 0.9):
            assert np.interp(level, found, times) == pytest.approx(np.interp(level, exact, times), rel=5e-3)
    # near its end an eigenvalue relaxes at the rate κ, which is the curvature along it
    assert path.stability_limit == pytest.approx(2 / (8 * layers * GAMMA[0] ** (1 / layers)), rel=0.02)


def descended(X, weights, learning_rate, steps):
    """Times at which eigenvalues of C reach ½ under plain descent."""
    gradient = jax.grad(lambda weights: barlow_twins(relu_network(X, weights)))

    def step(weights, _):
        weights = jax.tree.map(lambda w, g: w - learning_rate * g, weights, gradient(weights))
        return weights, jnp.linalg.eigvalsh(cross_correlation(relu_network(X, weights)))[::-1]

    with double_precision():
        weights = jax.tree.map(jnp.asarray, weights)
        u = np.asarray(jax.jit(lambda weights: jax.lax.scan(step, weights, length=steps)[1])(weights))
    assert (u[-1] > 0.5).all()
    return learning_rate * (1 + (u >= 0.5).argmax(axis=0))


@pytest.mark.parametrize(("depth", "scale"), [(1, 0.1), (2, 0.15)])
def test_a_small_network_takes_its_steps_when_descent_does(rng, depth, scale):
    X = views_of(rng)
    weights = weights_of(rng, scale, depth)
    path = saddle_to_saddle_flow(partial(relu_network, X), weights)
    rate = 0.05 * path.stability_limit
    measured = descended(X, weights, rate, int(1.5 * path.events[-1] / rate))
    np.testing.assert_allclose(step_times(path.trajectory), measured, rtol=0.02)


def test_the_first_step_comes_later_by_the_power_that_homogeneity_says(rng):
    X, weights = views_of(rng), weights_of(rng, 1.0, depth=2)
    embed, first = partial(relu_network, X), []
    for scale in (1e-2, 1e-4):
        path = saddle_to_saddle_flow(embed, [scale * V for V in weights])
        first.append(step_times(path.trajectory)[0])
        assert len(path.events) == 2
    assert first[1] / first[0] == pytest.approx(1e8, rel=5e-3)  # α^{2 − 2L} for L = 3 layers


def test_a_dimension_that_cannot_be_learned_is_not_waited_for(rng):
    x = rng.normal(size=(4, 1))
    path = saddle_to_saddle_flow(lambda v: jnp.asarray(np.concatenate([x, x])) * v, np.array([0.01, 0.02]))
    assert len(path.events) == 1 and np.isfinite(path.trajectory.times).all()
    assert path.trajectory.eigenvalues[-1] == pytest.approx([1, 0], abs=1e-6)


def test_a_start_on_which_no_force_acts_is_refused(rng):
    with pytest.raises(DataError, match="no force"):
        saddle_to_saddle_flow(partial(relu_network, views_of(rng)), weights_of(rng, 0.0, depth=1))
