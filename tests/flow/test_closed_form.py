"""Rung 0 on its own: logistic curves, step times and the initial correlations."""

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.signal
from theory_references import features_with_spectrum, random_gram, random_rotation

from dynamics.flow.closed_form import closed_form, initial_correlations, mode_correlations, mode_step_times
from dynamics.modes import contrastive_modes


def test_curves_solve_the_logistic_equation():
    """du/dt = 8 γ u (1 − u), also from above ½ and above 1, and for modes that are forgotten."""
    gamma, initial = np.array([1.0, 0.3, 0.5, 0.2, -0.4]), np.array([1e-3, 0.2, 0.8, 1.7, -0.3])
    times = np.linspace(0, 4, 9)
    solution = scipy.integrate.solve_ivp(
        lambda t, u: 8 * gamma * u * (1 - u), (0, 4), initial, t_eval=times, rtol=1e-11, atol=1e-13
    )
    np.testing.assert_allclose(mode_correlations(gamma, initial, times), solution.y.T, atol=1e-9)


def test_step_times_are_where_the_curves_cross_one_half():
    gamma, initial = np.array([2.0, 0.5, 0.03]), np.array([1e-9, 1e-4, 0.3])
    for tau, g, u0 in zip(mode_step_times(gamma, initial), gamma, initial, strict=True):

        def excess(t, g=g, u0=u0):
            return mode_correlations(np.array([g]), np.array([u0]), np.array([t]))[0, 0] - 0.5

        assert tau == pytest.approx(scipy.optimize.brentq(excess, 0, 1e3, xtol=1e-12), abs=1e-9)


def test_step_times_of_modes_that_never_step_or_already_have():
    gamma, initial = np.array([1.0, 1.0, 1.0, -0.5, 0.0]), np.array([0.7, 1.5, 0.0, -0.2, 0.0])
    np.testing.assert_array_equal(mode_step_times(gamma, initial), [0.0, 0.0, np.inf, np.inf, np.inf])


def test_long_times_neither_overflow_nor_warn():
    gamma, initial = np.array([10.0, 1.0, 1.0, -1.0, 0.5]), np.array([1e-12, 0.9, 0.0, -0.1, 1e-300])
    u = mode_correlations(gamma, initial, np.array([0.0, 1e4, 1e300]))
    np.testing.assert_allclose(u[0], initial)
    np.testing.assert_array_equal(u[1:], [[1, 1, 0, 0, 1]] * 2)


def test_initial_correlations_of_an_aligned_start_whatever_the_rotation(rng):
    gamma, s = np.array([1.0, 0.4, 0.2]), np.array([1e-3, 3e-3, 2e-2])
    Phi = features_with_spectrum([*gamma, 0.1, -0.2], 7, rng)
    modes = contrastive_modes(Phi @ Phi.T)
    F = Phi[:, :3] * s @ random_rotation(3, rng)
    np.testing.assert_allclose(initial_correlations(modes, F), gamma * s**2, rtol=1e-8)


def test_initial_correlations_are_what_earlier_modes_leave_free(rng):
    """Gram–Schmidt, one mode after the other: s_j is the part of a_j orthogonal to a_1 … a_{j−1}."""
    modes = contrastive_modes(random_gram(6, rng))
    F = rng.normal(size=(12, 4))
    a, taken = modes.duals.T @ F, np.zeros((0, 4))
    for j, u in enumerate(initial_correlations(modes, F)):
        free = a[j] - taken.T @ (taken @ a[j])
        assert u == pytest.approx(modes.eigenvalues[j] * free @ free, rel=1e-9)
        taken = np.vstack([taken, free / np.linalg.norm(free)])


def test_trajectory_sorts_its_eigenvalues_and_sums_its_loss(rng):
    modes = contrastive_modes(random_gram(5, rng))
    times = np.linspace(0, 100, 50)
    trajectory = closed_form(modes, 1e-3 * rng.normal(size=(10, 3)), times)
    assert trajectory.rung == "closed_form" and trajectory.dim == 3
    assert (np.diff(trajectory.eigenvalues, axis=1) <= 0).all()
    np.testing.assert_allclose(trajectory.loss, ((1 - trajectory.eigenvalues) ** 2).sum(axis=1))
    np.testing.assert_array_equal(trajectory.times, times)
    assert trajectory.loss[-1] < 1e-6 and trajectory.loss[0] == pytest.approx(3, abs=1e-3)
    tau = trajectory.mode_step_times
    assert (tau > 0).all() and len(tau) == 3


@pytest.mark.parametrize("dim", [2, 3, 4, 6])
def test_outputs_without_a_positive_mode_collapse(rng, dim):
    """Two pairs have two positive modes: L_∞ = d − 2, also where there are more outputs than modes."""
    modes = contrastive_modes(random_gram(2, rng))
    trajectory = closed_form(modes, 0.1 * rng.normal(size=(4, dim)), np.array([0.0, 1e6]))
    assert trajectory.loss[-1] == pytest.approx(dim - 2, abs=1e-12)
    assert np.isinf(trajectory.mode_step_times).sum() == dim - 2


def test_steps_separate_when_the_criterion_says_so():
    """Design: visibly separate when ln(1/u_0)(γ_j/γ_{j+1} − 1) ≳ 4.4; seen as peaks of −dL/dt."""
    for criterion, peaks in ((9.0, 2), (1.5, 1)):
        u0 = 1e-6
        gamma = np.array([1.0, 1 / (1 + criterion / np.log(1 / u0))])
        times = np.linspace(0, 5, 2000)
        loss = ((1 - mode_correlations(gamma, np.full(2, u0), times)) ** 2).sum(axis=1)
        assert len(scipy.signal.find_peaks(-np.gradient(loss, times), prominence=0.1)[0]) == peaks


def test_single_precision_inputs_change_only_single_precision(rng):
    modes = contrastive_modes(random_gram(5, rng))
    F, times = 1e-2 * rng.normal(size=(10, 2)), np.linspace(0, 20, 7)
    double, single = closed_form(modes, F, times), closed_form(modes, F.astype(np.float32), times)
    assert single.eigenvalues.dtype == np.float64
    np.testing.assert_allclose(single.eigenvalues, double.eigenvalues, atol=1e-5)
