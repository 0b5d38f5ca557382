"""Three modes and nine times everywhere, so that the solver is compiled once."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax import stop_gradient
from matrix_flow import descending, gradient_flow, problem

from dynamics.solvable import Task, directpred, directpred_fixed_points, directpred_modes, directpred_times


def full_matrix(p, predictor, times, alpha, tau, eta):
    """(W, W_p) of gradient flow on ½ E‖W_p W x − sg(τ W y)‖² + ½ η(‖W‖² + ‖W_p‖²/α)."""

    def loss(params):
        z, target = p.x @ params["W"].T, stop_gradient(tau * p.y @ params["W"].T)
        decay = jnp.square(params["W"]).sum() + jnp.square(params["P"]).sum() / alpha
        return 0.5 * jnp.square(z @ params["P"].T - target).sum() / len(p.x) + 0.5 * eta * decay

    start = {"W": p.encoder, "P": p.outputs * predictor @ p.outputs.T}
    return gradient_flow(loss, start, times, rates={"W": 1.0, "P": alpha})


@pytest.mark.parametrize("eta", [0.0, 0.02])
def test_modes_are_those_of_the_full_matrices(rng, eta):
    p = problem(rng, [0.5, 0.3, 0.4])
    predictor, times, alpha, tau = np.array([0.2, 0.3, 0.15]), np.linspace(0, 40, 9), 1.5, 0.9
    task = p.task
    s, q = directpred_modes(
        task.strength,
        task.correlation,
        task.strength * task.weights**2,
        predictor,
        times,
        predictor_rate=alpha,
        target_scale=tau,
        weight_decay=eta,
    )
    full = full_matrix(p, predictor, times, alpha, tau, eta)
    for k, params in enumerate(full):
        F = params["W"] @ p.Gamma @ params["W"].T
        np.testing.assert_allclose(np.sort(s[k])[::-1], descending(F), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(np.sort(q[k])[::-1], descending(params["P"]), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(params["P"], params["P"].T, atol=1e-7)


def test_loss_and_covariance_are_those_of_the_full_matrices(rng):
    p = problem(rng, [0.5, 0.3, 0.4])
    times = np.linspace(0, 30, 9)
    trajectory = directpred(p.task, times, predictor_start=0.2, target_scale=0.9)
    for k, params in enumerate(full_matrix(p, np.full(3, 0.2), times, 1.0, 0.9, 0.0)):
        W, P = params["W"], params["P"]
        loss = 0.5 * np.square(p.x @ W.T @ P.T - 0.9 * p.y @ W.T).sum() / len(p.x)
        assert trajectory.loss[k] == pytest.approx(loss, rel=1e-7)
        np.testing.assert_allclose(np.sort(trajectory.covariance[k])[::-1], descending(W @ p.Sigma @ W.T), rtol=1e-6)


def test_the_papers_invariant(rng):
    alpha, eta, sigma_squared = 0.7, 0.03, 0.5
    times = np.linspace(0, 50, 9)
    s0, p0 = np.array([0.3, 0.01, 0.1]), np.array([0.2, 0.6, 0.1])
    s, p = directpred_modes(
        np.ones(3),
        np.full(3, 1 / (1 + sigma_squared)),
        s0,
        p0,
        times,
        predictor_rate=alpha,
        weight_decay=eta,
    )
    constant = (s - p**2 / alpha) * np.exp(2 * eta * times)[:, None]
    np.testing.assert_allclose(constant, np.tile(s0 - p0**2 / alpha, (9, 1)), rtol=1e-6)


def equal_modes(weights, rho):
    return Task(np.ones(3), np.full(3, 1 / rho), np.diag(weights), np.asarray(weights))


def test_weight_decay_decides_between_learning_and_collapse():
    """On the parabola a mode is learned from above the smaller root of γp(τ − p/ρ) = η, and collapses from below."""
    eta, rho, times = 0.1, 0.8, np.linspace(0, 3000, 9)
    threshold = rho * (1 - np.sqrt(1 - 4 * eta / rho)) / 2
    task = equal_modes(threshold + np.array([0.01, -0.01, 0.3]), rho)
    learned = directpred_fixed_points(task, weight_decay=eta)
    s = directpred(task, times, weight_decay=eta).eigenvalues[-1]
    np.testing.assert_allclose(s, learned * [1, 0, 1], rtol=1e-8, atol=1e-8)
    assert (learned > 0).all()
    too_much = eta * 2.1  # more than γρτ²/4
    assert not directpred_fixed_points(task, weight_decay=too_much).any()
    np.testing.assert_allclose(directpred(task, times, weight_decay=too_much).eigenvalues[-1], 0, atol=1e-8)


def test_step_times_are_exact_on_the_parabola(rng):
    task = problem(rng, [0.02, 0.03, 0.01]).task
    tau = directpred_times(task, target_scale=0.9, predictor_rate=2.0)
    for j in range(3):
        trajectory = directpred(task, np.linspace(0, tau[j], 9), target_scale=0.9, predictor_rate=2.0)
        assert trajectory.eigenvalues[-1, j] == pytest.approx(trajectory.solution.targets[j] / 2, rel=1e-5)


def test_modes_without_a_signal_stay_at_zero(rng):
    task = problem(rng, np.full(3, 0.1), np.array([1.0, 0.5, -0.2])).task
    trajectory = directpred(task, np.linspace(0, 10, 9))
    assert not trajectory.eigenvalues[:, 2].any() and np.isfinite(trajectory.loss).all()
