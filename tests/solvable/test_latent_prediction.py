import functools

import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax import stop_gradient
from matrix_flow import gradient_flow, problem
from theory_references import random_rotation

from dynamics.solvable import Task, jepa, jepa_times, mae, mae_times
from dynamics.support.precision import double_precision


def product(layers):
    return functools.reduce(lambda below, W: W @ below, layers)


def jepa_loss(p, params):
    *layers, V = params
    W = product(layers)
    return 0.5 * jnp.square(p.x @ W.T @ V.T - stop_gradient(p.y @ W.T)).sum() / len(p.x)


def mae_loss(p, params):
    return 0.5 * jnp.square(p.x @ product(params).T - p.y).sum() / len(p.x)


def balanced(p, depth, model, rng):
    """Encoder layers with singular values w^{1/L}, aligned with the modes and each other, and the top layer."""
    d, u = p.weights.size, p.weights ** (1 / depth)
    frames = [p.basis[:, :d], *(random_rotation(d, rng) for _ in range(depth))]
    frames.append(frames[depth] if model == "jepa" else frames[0])
    return [frames[k + 1] * u @ frames[k].T for k in range(depth + 1)]


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("model", ["jepa", "mae"])
def test_modes_are_those_of_the_full_matrices(rng, model, depth):
    p = problem(rng, [0.5, 0.3, 0.4])
    times = np.linspace(0, 20, 6)
    loss, simulate = {"jepa": (jepa_loss, jepa), "mae": (mae_loss, mae)}[model]
    trajectory = simulate(p.task, times, depth=depth)
    for k, params in enumerate(gradient_flow(functools.partial(loss, p), balanced(p, depth, model, rng), times)):
        w = np.linalg.svd(product(params[:-1]), compute_uv=False)
        np.testing.assert_allclose(np.sort(trajectory.eigenvalues[k])[::-1], w, rtol=1e-6)
        with double_precision():
            full = float(loss(p, params))
        if model == "mae":  # the decoder never sees what lies outside the d modes
            beyond = p.basis[:, 3:]
            full -= 0.5 * np.square(p.y @ beyond).sum() / len(p.x)
        assert trajectory.loss[k] == pytest.approx(full, rel=1e-7)


def one_mode(lam, rho, weight=0.3):
    return Task(np.array([lam]), np.array([lam / rho]), np.full((1, 1), weight), np.array([weight]))


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize(("simulate", "power"), [(jepa, lambda L: 3 - 1 / L), (mae, lambda L: 2 - 1 / L)])
def test_the_papers_equations_hold_in_time_stretched_by_the_depth(simulate, power, depth):
    lam, rho, dt = 0.9, 0.8, 1e-4
    for t in (0.5, 2.0):
        w = simulate(one_mode(lam, rho), t + dt * np.array([-1, 0, 1]), depth=depth).eigenvalues[:, 0]
        paper = lam * w[1] ** power(depth) - lam / rho * w[1] ** 3
        assert (w[2] - w[0]) / (2 * dt) == pytest.approx(depth * paper, rel=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_fixed_points(depth):
    late = np.array([1e7])
    assert jepa(one_mode(0.9, 0.6, 0.1), late, depth=depth).eigenvalues[0, 0] == pytest.approx(0.6**depth)
    expected = 0.6 ** (depth / (depth + 1))
    assert mae(one_mode(0.9, 0.6, 0.1), late, depth=depth).eigenvalues[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize(("simulate", "when"), [(jepa, jepa_times), (mae, mae_times)])
def test_step_times(rng, simulate, when):
    task = problem(rng, [0.02, 0.03, 0.01]).task
    for depth in (1, 3):
        for j, tau in enumerate(when(task, depth=depth)):
            trajectory = simulate(task, np.array([tau]), depth=depth)
            assert trajectory.eigenvalues[0, j] == pytest.approx(trajectory.solution.targets[j] / 2, rel=1e-6)


def test_only_the_latent_space_prefers_predictable_modes():
    """Equal covariance, ρ = 0.9 against 0.3: MAE learns both at once, deep JEPA the predictable one first."""
    task = Task(np.ones(2), np.array([1 / 0.9, 1 / 0.3]), 1e-3 * np.eye(2), np.full(2, 1e-3))
    delay = {
        (name, depth): np.divide(*when(task, depth=depth)[::-1])
        for name, when in (("jepa", jepa_times), ("mae", mae_times))
        for depth in (2, 4)
    }
    # at once but for a logarithm of the target, against one of the small start
    assert abs(delay["mae", 2] - 1) < 0.05 and abs(delay["mae", 4] - 1) < 0.05
    assert delay["jepa", 4] > delay["jepa", 2] > 1.05
