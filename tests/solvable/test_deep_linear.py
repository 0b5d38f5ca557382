import functools

import jax.numpy as jnp
import numpy as np
import pytest
from matrix_flow import descending, gradient_flow, problem
from theory_references import random_rotation

from dynamics.flow import closed_form
from dynamics.modes import contrastive_modes
from dynamics.solvable import deep_linear, deep_linear_times


def product(layers):
    return functools.reduce(lambda below, W: W @ below, layers)


def loss(p, layers):
    W = product(layers)
    return jnp.square(W @ p.Gamma @ W.T - jnp.eye(len(W))).sum()


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_modes_are_those_of_the_full_matrices(rng, depth):
    p = problem(rng, [0.3, 0.2, 0.25])
    frames = [p.basis[:, :3], *(random_rotation(3, rng) for _ in range(depth))]
    layers = [frames[k + 1] * p.weights ** (1 / depth) @ frames[k].T for k in range(depth)]
    times = np.linspace(0, 6, 7)
    trajectory = deep_linear(p.task, times, depth=depth)
    for k, full in enumerate(gradient_flow(functools.partial(loss, p), layers, times)):
        C = product(full) @ p.Gamma @ product(full).T
        np.testing.assert_allclose(np.sort(trajectory.eigenvalues[k])[::-1], descending(C), rtol=1e-6)
        assert trajectory.loss[k] == pytest.approx(np.square(C - np.eye(3)).sum(), rel=1e-6, abs=1e-10)


def test_one_layer_is_the_linearised_network(rng):
    p = problem(rng, [0.03, 0.02, 0.01])
    times = np.linspace(0, 8, 20)
    rung0 = closed_form(contrastive_modes(p.x @ p.x.T), p.x @ p.encoder.T, times)
    one = deep_linear(p.task, times, depth=1)
    np.testing.assert_allclose(-np.sort(-one.eigenvalues, axis=1), rung0.eigenvalues, rtol=1e-9)
    np.testing.assert_allclose(deep_linear_times(p.task, depth=1), rung0.mode_step_times)


@pytest.mark.parametrize("depth", [2, 3])
def test_escape_time(rng, depth):
    weight = 1e-5
    task = problem(rng, [weight] * 3).task
    expected = weight ** (2 / depth - 2) / (8 * task.strength * (depth - 1))  # depth 2: 1/(8γs₀)
    np.testing.assert_allclose(deep_linear_times(task, depth=depth), expected, rtol=1e-3)
