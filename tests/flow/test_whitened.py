"""The exact flow against Runge–Kutta on the weights, its logistic special case, and the rate of selection."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from dynamics.errors import ConfigError
from dynamics.flow import logistic_energy, selection_rates, whitened_flow
from dynamics.modes.restricted import pair_moments, restricted_modes
from dynamics.objectives import generalised_spectral
from dynamics.support.precision import double_precision

MU = np.array([0.95, 0.9, 0.6, 0.3, -0.2])


def integrated(mu, start, times, weight):
    """dB/dt = −∇L by SciPy."""

    def slope(_, flat):
        B = flat.reshape(start.shape)
        return (-4 * B * (1 - mu) - 4 * weight * (B @ B.T - np.eye(len(B))) @ B).ravel()

    solution = scipy.integrate.solve_ivp(
        slope, (0, times[-1]), start.ravel(), t_eval=times, rtol=1e-11, atol=1e-13, method="DOP853"
    )
    return solution.y.T.reshape(len(times), *start.shape)


@pytest.mark.parametrize("weight", [0.4, 1.0, 5.0])
def test_any_start(rng, weight):
    start = 0.1 * rng.normal(size=(3, 5))
    times = np.array([0.0, 0.1, 1.0, 4.0, 15.0])
    found, expected = whitened_flow(MU, start, times, weight), integrated(MU, start, times, weight)
    P, Q = (np.einsum("tki,tkj->tij", B, B) for B in (found, expected))
    np.testing.assert_allclose(P, Q, atol=1e-8)


def test_a_mode_at_the_threshold_decays_algebraically():
    """1 − μ = λ: a* = 0, and da/dt = −8λa²."""
    times = np.array([0.0, 1.0, 100.0])
    expected = 0.5 / (1 + 8 * 0.1 * 0.5 * times)
    start = np.sqrt([[0.5]])
    np.testing.assert_allclose(whitened_flow(np.array([0.9]), start, times, 0.1)[:, 0, 0] ** 2, expected, rtol=1e-12)
    np.testing.assert_allclose(
        logistic_energy(np.array([0.9]), np.array([0.5]), times, 0.1)[:, 0], expected, rtol=1e-12
    )


@pytest.mark.parametrize("weight", [0.3, 1.0, 3.0])
def test_aligned_modes_are_logistic(weight):
    initial = np.array([1e-4, 0.01, 0.2, 1.7, 1e-3])
    times = np.linspace(0, 30, 40)
    B = whitened_flow(MU, np.diag(np.sqrt(initial)), times, weight)
    a = logistic_energy(MU, initial, times, weight)
    np.testing.assert_allclose(np.einsum("tii->ti", B) ** 2, a, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(a[0], initial)
    assert np.isfinite(logistic_energy(MU, initial, np.array([1e6]), weight)).all()


def test_logistic_equation_by_finite_differences():
    t, weight = np.linspace(0, 2, 4001), 0.8
    a = logistic_energy(MU, np.full(5, 0.05), t, weight)
    star = 1 - (1 - MU) / weight
    slope = np.gradient(a, t, axis=0)[1:-1]
    np.testing.assert_allclose(slope, (8 * weight * a * (star - a))[1:-1], atol=2e-5)


def test_selection(rng):
    """After growth, what will be left out falls against the last kept mode at 2(δ_j − δ_d)."""
    start = 0.1 * rng.normal(size=(2, 5))
    times = np.array([4.0, 5.0])
    outside = [
        np.linalg.lstsq(B[:, :2], B[:, 2:], rcond=None)[0][1] for B in whitened_flow(MU, start, times, 2.0)
    ]  # row space as a graph over the two kept modes: amplitudes of the others beside the second
    measured = -np.log(np.abs(outside[1] / outside[0]))
    np.testing.assert_allclose(measured, selection_rates(MU, 2), rtol=1e-9)
    np.testing.assert_allclose(selection_rates(MU, 2), 2 * (2 * (1 - MU[2:]) - 2 * (1 - MU[1])), rtol=1e-12)


def test_descent_on_features_follows_the_flow(rng):
    """Plain gradient descent on the loss, with whitened features, at a small learning rate."""
    x = rng.normal(size=(50, 4))
    views = np.concatenate([x, x + rng.normal(size=x.shape) * np.array([0.1, 0.5, 1.0, 2.0])])
    modes = restricted_modes(pair_moments(views))
    phi, W = modes.functions(views), 0.2 * rng.normal(size=(2, 4))
    with double_precision():
        phi, B = jnp.asarray(phi), jnp.asarray(W)
        gradient = jax.jit(jax.grad(lambda W: generalised_spectral(phi @ W.T, 0.7)))
        for _ in range(4000):
            B = B - 5e-4 * gradient(B)
        B = np.asarray(B)
    expected = whitened_flow(modes.eigenvalues, W, np.array([2.0]), 0.7)[0]
    np.testing.assert_allclose(B.T @ B, expected.T @ expected, atol=2e-3)  # O(learning rate)


def test_the_weight_must_be_positive():
    with pytest.raises(ConfigError, match="positive number"):
        whitened_flow(MU, np.ones((1, 5)), np.array([1.0]), 0.0)
