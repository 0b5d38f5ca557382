import jax.numpy as jnp
import numpy as np
import pytest
from matrix_flow import descending, gradient_flow, problem

from dynamics.errors import ConfigError
from dynamics.modes import contrastive_modes
from dynamics.solvable import Task, preconditioned, preconditioned_correlation, preconditioned_times

POSITIVE = np.array([1.0, 0.4, 0.2, 0.05])


def flow(Gamma, W0, times, inverse):
    return gradient_flow(
        lambda W: jnp.square(W @ Gamma @ W.T - jnp.eye(len(W))).sum(),
        W0,
        times,
        precondition=lambda g: np.asarray(g) @ inverse,
    )


def test_the_closed_form_is_the_full_matrix_flow_from_any_start(rng):
    p = problem(rng, [1e-2, 1e-2], POSITIVE)
    W0, times = 0.1 * rng.normal(size=(2, 4)), np.array([0.0, 0.3, 0.8, 2.0])
    for C, W in zip(
        preconditioned_correlation(W0 @ p.Gamma @ W0.T, times),
        flow(p.Gamma, W0, times, np.linalg.inv(p.Gamma)),
        strict=True,
    ):
        np.testing.assert_allclose(C, W @ p.Gamma @ W.T, atol=1e-8)


def test_the_formula_as_the_paper_writes_it(rng):
    A = 0.1 * rng.normal(size=(3, 3))
    C0, t, eye = A @ A.T, 0.6, np.eye(3)
    expected = np.exp(8 * t) * C0 @ np.linalg.inv(eye + (np.exp(8 * t) - 1) * C0)
    np.testing.assert_allclose(preconditioned_correlation(C0, np.array([t]))[0], expected, rtol=1e-10)


def test_unrestricted_it_keeps_the_span_of_its_start_and_restricted_it_learns_the_top_modes(rng):
    p = problem(rng, [1e-2, 1e-2], POSITIVE)
    W0, times = 1e-2 * rng.normal(size=(2, 4)), np.array([0.0, 5.0])
    top = p.basis[:, :2]

    def share_of_top(W):
        return np.square(np.linalg.svd(W, full_matrices=False)[2] @ top).sum() / 2

    everywhere = flow(p.Gamma, W0, times, np.linalg.inv(p.Gamma))[-1]
    np.testing.assert_allclose(everywhere @ p.Gamma @ everywhere.T, np.eye(2), atol=1e-6)
    assert share_of_top(everywhere) == pytest.approx(share_of_top(W0), abs=1e-6) and share_of_top(W0) < 0.95
    within = flow(p.Gamma, W0, times, top / POSITIVE[:2] @ top.T)[-1]
    assert share_of_top(within) > 1 - 1e-2
    task = Task.of(contrastive_modes(p.x @ p.x.T), p.x @ W0.T)
    top_part = W0 @ top
    expected = preconditioned_correlation(top_part * POSITIVE[:2] @ top_part.T, np.array([0.7]))[0]
    np.testing.assert_allclose(preconditioned(task, np.array([0.7])).eigenvalues[0], descending(expected), rtol=1e-7)
    np.testing.assert_allclose(
        descending(within @ p.Gamma @ within.T), preconditioned(task, times).eigenvalues[-1], atol=1e-3
    )


def test_negative_modes_run_away_and_are_refused(rng):
    p = problem(rng, [1e-2])
    W0 = 0.1 * p.basis[:, -1:].T  # along γ = −0.2
    c0 = (W0 @ p.Gamma @ W0.T).item()
    blow_up = np.log(1 - 1 / c0) / 8
    before = flow(p.Gamma, W0, np.array([0.0, 0.98 * blow_up]), np.linalg.inv(p.Gamma))[-1]
    assert (before @ p.Gamma @ before.T).item() < -5
    with pytest.raises(ConfigError, match="-∞"):
        preconditioned_correlation(np.array([[c0]]), np.array([1.0]))


def test_all_modes_take_steps_together(rng):
    task = problem(rng, [1e-3] * 4, POSITIVE).task
    tau = preconditioned_times(task)
    np.testing.assert_allclose(tau, np.log(1 / (POSITIVE * 1e-6) - 1) / 8, rtol=1e-6)
    for j in range(4):
        assert preconditioned(task, tau[j : j + 1]).eigenvalues[0, j] == pytest.approx(0.5, rel=1e-6)


def test_modes_on_which_partners_disagree_stay(rng):
    task = problem(rng, [1e-2] * 5).task
    assert np.isinf(preconditioned_times(task)[-1]) and np.isfinite(preconditioned_times(task)[:4]).all()
    assert preconditioned(task, np.array([50.0])).loss[0] == pytest.approx(1, abs=1e-6)
