"""Rung 1 against the full 2n × d system, gradient descent in function space, and exact solutions.

Most tests have 12 modes, 3 outputs and 9 times, so that the solver is compiled once for all of them.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
from theory_references import (
    correlation,
    descending_eigenvalues,
    features_with_spectrum,
    gradient_descent,
    random_gram,
    random_rotation,
    velocity,
)

from dynamics.errors import DivergenceError
from dynamics.flow import closed_form, kernel_flow
from dynamics.modes import contrastive_modes
from dynamics.objectives.correlation import barlow_twins, correlation_loss, plateau
from dynamics.support.precision import double_precision


def integrate(F, times, right_hand_side):
    """Embeddings (T, 2n, d) of the full system by SciPy."""
    solution = scipy.integrate.solve_ivp(
        lambda t, y: right_hand_side(y.reshape(F.shape)).ravel(),
        (0, times[-1]),
        F.ravel(),
        method="DOP853",
        t_eval=times,
        rtol=1e-11,
        atol=1e-13,
    )
    return solution.y.T.reshape(len(times), *F.shape)


# ---------------------------------------------------------------- the equation


def test_velocity_is_minus_kernel_times_the_loss_gradient(rng):
    K, F = random_gram(5, rng), rng.normal(size=(10, 3))
    with double_precision():
        gradient = np.asarray(jax.grad(barlow_twins)(jnp.asarray(F)))
    np.testing.assert_allclose(velocity(K, F), -K @ gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("center", [False, True])
def test_flow_of_the_full_system(rng, center):
    n, d = 6, 3
    K = random_gram(n, rng) + 0.5
    F, times = 0.3 * rng.normal(size=(2 * n, d)), np.linspace(0, 4, 9)
    modes = contrastive_modes(K, center=center)
    if center:  # the flow of HK̃H, from a centred function
        H = np.eye(2 * n) - 1 / (2 * n)
        K, F = H @ K @ H, H @ F
    expected = integrate(F, times, lambda F: velocity(K, F))
    trajectory = kernel_flow(modes, F, times, embedding_times=times)
    np.testing.assert_allclose(trajectory.embeddings, expected, atol=1e-8)
    np.testing.assert_allclose(trajectory.eigenvalues, [descending_eigenvalues(F) for F in expected], atol=1e-8)
    loss = [np.linalg.norm(correlation(F) - np.eye(d)) ** 2 for F in expected]
    np.testing.assert_allclose(trajectory.loss, loss, atol=1e-8)


def test_flow_is_the_limit_of_gradient_descent(rng):
    """Euler steps err by O(η); extrapolated from η and η/2 they err by O(η²)."""
    n, t = 6, 2.0
    K, F, times = random_gram(n, rng), 0.2 * rng.normal(size=(2 * n, 3)), np.linspace(0, t, 9)
    coarse, fine = (gradient_descent(K, F, t / steps, steps) for steps in (2000, 4000))
    flow = kernel_flow(contrastive_modes(K), F, times, embedding_times=times).embeddings[-1]
    scale = np.abs(flow).max()
    assert np.abs(2 * fine - coarse - flow).max() < 1e-6 * scale
    assert 1e-5 * scale < np.abs(fine - flow).max()  # not because every step size agrees


@pytest.mark.parametrize("off_diagonal", [0.0051, 0.3])
def test_flow_of_another_loss_by_automatic_differentiation(rng, off_diagonal):
    n = 4
    K, F, times = random_gram(n, rng), 0.5 * rng.normal(size=(2 * n, 3)), np.linspace(0, 2, 5)
    gradient = jax.jit(jax.grad(functools.partial(barlow_twins, off_diagonal=off_diagonal)))
    with double_precision():
        expected = integrate(F, times, lambda F: -K @ np.asarray(gradient(jnp.asarray(F))))
    loss = functools.partial(correlation_loss, off_diagonal=off_diagonal)
    trajectory = kernel_flow(contrastive_modes(K), F, times, loss=loss, embedding_times=times)
    np.testing.assert_allclose(trajectory.embeddings, expected, atol=1e-8)


# ---------------------------------------------------------------- exact solutions


@pytest.mark.parametrize("s", [[1e-3, 1e-2, 1e-6], [1e-6, 1.1, 1.5], [1.2, 1e-6, 1.0]])
def test_closed_form_is_exact_from_an_aligned_start(rng, s):
    """Modes that start small, more than half learned (u > ½) and beyond the end point (u > 1)."""
    Phi = features_with_spectrum([1.0, 0.6, 0.5, *np.linspace(0.4, -0.3, 9)], 12, rng)
    modes = contrastive_modes(Phi @ Phi.T)
    F, times = Phi[:, :3] * s @ random_rotation(3, rng), np.linspace(0, 8, 9)
    flow, theory = kernel_flow(modes, F, times, embedding_times=times), closed_form(modes, F, times)
    np.testing.assert_allclose(flow.eigenvalues, theory.eigenvalues, atol=1e-8)
    np.testing.assert_allclose(flow.loss, theory.loss, atol=1e-8)


def test_a_negative_mode_is_forgotten_as_the_closed_form_says(rng):
    Phi = features_with_spectrum([0.8, -0.5], 4, rng)
    modes = contrastive_modes(Phi @ Phi.T)
    F, times = Phi * [0.01, 0.5] @ random_rotation(2, rng), np.linspace(0, 6, 9)
    flow, theory = kernel_flow(modes, F, times), closed_form(modes, F, times)
    assert theory.eigenvalues[0, 1] == pytest.approx(-0.125)
    np.testing.assert_allclose(flow.eigenvalues, theory.eigenvalues, atol=1e-8)
    assert flow.loss[-1] == pytest.approx(1.0, abs=1e-6)


def test_degenerate_block_has_an_exact_solution(rng):
    """a(t) = e^{4γt}[I + (e^{8γt} − 1) γ a₀a₀ᵀ]^{−1/2} a₀ when all γ are equal, from any start."""
    gamma, m, times = 0.7, 12, np.linspace(0, 4, 9)
    Phi = features_with_spectrum([gamma] * m, 12, rng)
    a0 = 0.05 * rng.normal(size=(m, 3))
    trajectory = kernel_flow(contrastive_modes(Phi @ Phi.T), Phi @ a0, times, embedding_times=times)
    S, U = np.linalg.eigh(gamma * a0 @ a0.T)
    for t, F in zip(times, trajectory.embeddings, strict=True):
        root = U / np.sqrt(1 + np.expm1(8 * gamma * t) * S) @ U.T
        np.testing.assert_allclose(F, Phi @ (np.exp(4 * gamma * t) * root @ a0), atol=1e-8)


def test_preconditioned_flow_has_an_exact_correlation(rng):
    """Γ^{−1}-preconditioning makes all γ equal to 1: C(t) = e^{8t}C₀[I + (e^{8t} − 1)C₀]^{−1}."""
    Phi = features_with_spectrum([1.0] * 12, 12, rng)
    F, times = 0.1 * Phi @ rng.normal(size=(12, 3)), np.linspace(0, 1.2, 9)
    trajectory = kernel_flow(contrastive_modes(Phi @ Phi.T), F, times, embedding_times=times)
    C0 = correlation(F)
    for t, F in zip(times, trajectory.embeddings, strict=True):
        expected = np.exp(8 * t) * C0 @ np.linalg.inv(np.eye(3) + np.expm1(8 * t) * C0)
        np.testing.assert_allclose(correlation(F), expected, atol=1e-8)


# ---------------------------------------------------------------- small random starts


@pytest.mark.parametrize(
    "gamma", [[1.0, 0.5, 0.4, 0.1], [1.0, 0.6, 0.375, 0.2, -0.3], [1.0, 0.7, 0.21, -0.1]], ids=["0.2", "0.375", "0.7"]
)
def test_error_of_the_closed_form_falls_with_the_scale_of_the_start(rng, gamma):
    """Subspace as α^{1 − γ_{d+1}/γ_d} (±0.02), eigenvalues at any time as α^{2 min_j (1 − γ_{j+1}/γ_j)}."""
    d, alphas = 2, 10.0 ** -np.array([6.0, 8.0, 10.0])
    Phi = features_with_spectrum(gamma, 6, rng)
    modes = contrastive_modes(Phi @ Phi.T)
    direction = rng.normal(size=(len(gamma), d))
    residuals, errors = [], []
    for alpha in alphas:
        end = (2 * np.log(1 / alpha) + 10) / (8 * gamma[d - 1])
        F, times = alpha * Phi @ direction, np.linspace(0, end, 400)
        flow = kernel_flow(modes, F, times, embedding_times=times[-1:], tolerance=1e-11)
        a = modes.coordinates(flow.embeddings[0])
        residuals.append(np.linalg.norm(a[d:]) / np.linalg.norm(a))
        errors.append(np.abs(flow.eigenvalues - closed_form(modes, F, times).eigenvalues).max())
    exponent = np.polyfit(np.log(alphas), np.log(residuals), 1)[0]
    assert exponent == pytest.approx(1 - gamma[d] / gamma[d - 1], abs=0.02)
    closest = min(1 - gamma[j + 1] / gamma[j] for j in range(d))
    assert np.polyfit(np.log(alphas), np.log(errors), 1)[0] == pytest.approx(2 * closest, abs=0.1 * 2 * closest + 0.02)


def test_qr_of_the_start_predicts_step_times_that_column_norms_miss(rng):
    gamma = 0.55 ** np.arange(5)
    Phi = features_with_spectrum([*gamma, -0.05], 10, rng)
    modes = contrastive_modes(Phi @ Phi.T)
    F = 1e-3 * Phi @ rng.normal(size=(6, 5))
    times = np.linspace(0, 1.5 * np.log(1e6) / (8 * gamma[-1]), 4000)
    flow, theory = kernel_flow(modes, F, times), closed_form(modes, F, times)
    crossing = np.array([times[np.argmax(column > 0.5)] for column in flow.eigenvalues.T])
    np.testing.assert_allclose(theory.mode_step_times, crossing, rtol=0.02)
    # the norm of a mode's coordinates counts what the modes before it will take away: too early for all but the first
    u0 = gamma * (modes.coordinates(F)[:5] ** 2).sum(axis=1)
    by_norms = np.log(1 / u0 - 1) / (8 * gamma)
    assert by_norms[0] == pytest.approx(theory.mode_step_times[0])
    assert (by_norms[1:] < theory.mode_step_times[1:]).all()
    assert np.abs(by_norms / crossing - 1).max() > np.abs(theory.mode_step_times / crossing - 1).max()


# ---------------------------------------------------------------- the end point


@pytest.fixture
def learnable(rng):
    gamma = np.array([1.0, 0.5, 0.25, 0.05, 0.01, -0.3, -0.31, -0.32, -0.33, -0.34, -0.35, -0.36])
    Phi = features_with_spectrum(gamma, 12, rng)
    return gamma, Phi, contrastive_modes(Phi @ Phi.T)


def test_end_point_has_zero_loss_and_norm_of_the_inverse_eigenvalues(learnable):
    gamma, _, modes = learnable
    a = modes.minimum_norm(3)
    with double_precision():
        assert float(barlow_twins(jnp.asarray(modes.on_views @ a))) < 1e-20
    assert (a**2).sum() == pytest.approx((1 / gamma[:3]).sum(), rel=1e-9)


def test_small_random_starts_end_there(learnable, rng):
    """Up to a rotation of the outputs, on the training views and on new points."""
    _, Phi, modes = learnable
    F, times = 1e-6 * Phi @ rng.normal(size=(12, 3)), np.linspace(0, 30, 9)
    F_end = kernel_flow(modes, F, times, embedding_times=times).embeddings[-1]
    target = modes.on_views @ modes.minimum_norm(3)
    U, _, Vt = np.linalg.svd(target.T @ F_end)
    np.testing.assert_allclose(F_end, target @ U @ Vt, atol=1e-3)
    new_rows = rng.normal(size=(4, 12)) @ Phi.T  # k(x, X̃) of four new feature vectors
    phi = modes.functions(new_rows)
    np.testing.assert_allclose(phi @ modes.coordinates(F_end), phi @ modes.minimum_norm(3) @ U @ Vt, atol=1e-2)


def test_no_zero_loss_solution_is_smaller(learnable, rng):
    """Zero-loss solutions a (aᵀγa)^{−1/2}, far and near, and the smallest of them that SciPy finds."""
    gamma, _, modes = learnable
    smallest = (modes.minimum_norm(2) ** 2).sum()

    def norm_of_solution(a):
        a = a.reshape(len(gamma), 2)
        C, U = np.linalg.eigh(a.T @ (gamma[:, None] * a))
        return ((a @ (U / np.sqrt(C))) ** 2).sum() if C[0] > 1e-3 else 1e3

    near = modes.minimum_norm(2).ravel()
    for size in (1e-3, 0.1, 1.0):
        norms = [norm_of_solution(near + size * rng.normal(size=near.size)) for _ in range(200)]
        assert min(norms) >= smallest * (1 - 1e-12)
    start = near + 0.3 * rng.normal(size=near.size)
    found = scipy.optimize.minimize(norm_of_solution, start, method="L-BFGS-B").fun
    assert norm_of_solution(start) > 1.01 * smallest
    assert found == pytest.approx(smallest, rel=1e-4)


def test_outputs_without_a_positive_mode_collapse(rng):
    """L_∞ = d − n₊, here with more outputs than modes."""
    modes = contrastive_modes(random_gram(2, rng))
    trajectory = kernel_flow(modes, 0.1 * rng.normal(size=(4, 5)), np.array([0.0, 300.0]))
    assert trajectory.loss[-1] == pytest.approx(5 - 2, abs=1e-6)
    np.testing.assert_allclose(trajectory.eigenvalues[-1], [1.0, 1.0, 0.0, 0.0, 0.0], atol=1e-4)


@pytest.mark.parametrize(("factor", "stable"), [(0.97, True), (1.03, False)])
def test_gradient_descent_is_stable_below_the_limit(learnable, rng, factor, stable):
    """η < 1/(4γ_1), seen by explicit steps from near the end point."""
    _, Phi, modes = learnable
    F = modes.on_views @ modes.minimum_norm(3) + 1e-6 * Phi @ rng.normal(size=(12, 3))
    F_end = gradient_descent(Phi @ Phi.T, F, factor * modes.stability_limit, 120)
    before, after = (np.linalg.norm(correlation(F) - np.eye(3)) for F in (F, F_end))
    # the slowest and the fastest deviation are multiplied by (1 − 2·factor)^120, which is 6e-4 or 1e3 for γ_1
    assert (after < 0.1 * before) if stable else (after > 10 * before)


# ---------------------------------------------------------------- the loss with λ ≠ 1


@pytest.mark.parametrize("off_diagonal", [0.1, 0.5])
def test_plateaus_of_the_weighted_loss(rng, off_diagonal):
    """Between steps r eigenvalues stand at d/(r + λ(d − r)) and the loss at dλ(d − r)/(r + λ(d − r))."""
    gamma, d = np.array([1.0, 0.05, 0.0025, -0.1]), 3
    Phi = features_with_spectrum(gamma, 6, rng)
    modes = contrastive_modes(Phi @ Phi.T)
    F = 1e-4 * Phi @ rng.normal(size=(4, d))
    # while r modes are learned the next grows more slowly, at 8γ × the height of the plateau × λ
    rate = [8 * gamma[r] * off_diagonal * plateau(d, r, off_diagonal)[0] for r in range(3)]
    times = np.array([0.0, 8 / rate[1], 8 / rate[2], 60 / rate[2]])
    trajectory = kernel_flow(
        modes, F, times, loss=functools.partial(correlation_loss, off_diagonal=off_diagonal), tolerance=1e-7
    )
    for r in (1, 2, 3):
        eigenvalue, height = plateau(d, r, off_diagonal)
        assert trajectory.loss[r] == pytest.approx(height, abs=5e-3)
        np.testing.assert_allclose(trajectory.eigenvalues[r, :r], eigenvalue, rtol=5e-3)


# ---------------------------------------------------------------- what is reported


def test_flow_is_double_precision_and_leaves_jax_as_it_was(rng):
    modes = contrastive_modes(random_gram(6, rng))
    F, times = 0.1 * rng.normal(size=(12, 3)), np.linspace(0, 3, 9)
    double = kernel_flow(modes, F, times, embedding_times=times)
    for values in (double.eigenvalues, double.loss, double.embeddings, double.times):
        assert values.dtype == np.float64
    assert not jax.config.jax_enable_x64
    assert jnp.ones(1).dtype == jnp.float32
    single = kernel_flow(modes, F.astype(np.float32), times.astype(np.float32), embedding_times=times)
    assert single.eigenvalues.dtype == np.float64
    np.testing.assert_allclose(single.eigenvalues, double.eigenvalues, atol=1e-6)


def test_tolerance_decides_the_error(rng):
    Phi = features_with_spectrum(np.linspace(1.0, -0.2, 12), 12, rng)
    modes = contrastive_modes(Phi @ Phi.T)
    F, times = 1e-3 * Phi[:, :3], np.linspace(0, 4, 9)
    exact = closed_form(modes, F, times).eigenvalues
    tolerances = np.array([1e-4, 1e-11])
    flows = [kernel_flow(modes, F, times, embedding_times=times, tolerance=tolerance) for tolerance in tolerances]
    errors = np.array([np.abs(flow.eigenvalues - exact).max() for flow in flows])
    # a tolerance bounds the error of one step, and the errors of about a hundred steps add up
    assert (errors < 100 * tolerances).all() and errors[1] < errors[0]


def test_a_zero_start_stays_zero(rng):
    trajectory = kernel_flow(contrastive_modes(random_gram(3, rng)), np.zeros((6, 2)), np.linspace(0, 10, 3))
    np.testing.assert_array_equal(trajectory.eigenvalues, 0)
    np.testing.assert_array_equal(trajectory.loss, 2)


def test_first_time_need_not_be_zero(rng):
    modes, F = contrastive_modes(random_gram(6, rng)), 0.1 * rng.normal(size=(12, 3))
    all_times, late = np.linspace(0, 2, 9), np.linspace(1, 2, 9)
    whole = kernel_flow(modes, F, all_times, embedding_times=all_times)
    part = kernel_flow(modes, F, late, embedding_times=all_times)
    np.testing.assert_allclose(part.eigenvalues[::2], whole.eigenvalues[4:], atol=1e-8)
    np.testing.assert_allclose(part.embeddings, whole.embeddings, atol=1e-8)


def test_time_zero_alone_is_the_start(rng):
    modes, F = contrastive_modes(random_gram(6, rng)), 0.1 * rng.normal(size=(12, 3))
    trajectory = kernel_flow(modes, F, np.array([0.0]), embedding_times=np.array([0.0]))
    np.testing.assert_allclose(trajectory.embeddings[0], F, atol=1e-9)
    np.testing.assert_allclose(trajectory.eigenvalues[0], descending_eigenvalues(F), atol=1e-9)


def test_what_cannot_be_followed_is_reported(rng):
    """A loss that rewards growth without bound blows up in finite time."""
    modes, F = contrastive_modes(random_gram(3, rng)), rng.normal(size=(6, 2))
    with pytest.raises(DivergenceError, match="could not be followed"):
        kernel_flow(modes, F, np.array([0.0, 1e3]), loss=lambda C: -(C**2).sum())


def test_modes_left_out_are_not_seen(rng):
    """From a small start the learned eigenvalues do not miss modes that are never learned."""
    Phi = features_with_spectrum([1.0, 0.4, 0.01, -0.05], 6, rng)
    K = Phi @ Phi.T
    F, times = 1e-4 * Phi @ rng.normal(size=(4, 2)), np.linspace(0, 12, 9)
    full, cut = (kernel_flow(contrastive_modes(K, num_modes=m), F, times) for m in (4, 2))
    np.testing.assert_allclose(cut.eigenvalues, full.eigenvalues, atol=1e-3)
