import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax import stop_gradient
from matrix_flow import descending, gradient_flow, problem
from scipy.special import lambertw

from dynamics.solvable import Task, variance_regularisation, variance_regularisation_times


def loss_of(p, isotropic):
    def loss(W):
        z, partner = p.x @ W.T, p.y @ W.T
        predicted = z @ stop_gradient(z.T @ z / len(z))
        if isotropic:  # the error of the Euclidean loss, without the factor W_p in front of it
            return 0.5 * jnp.square(z - stop_gradient(z - predicted + partner)).sum() / len(z)
        return 0.5 * jnp.square(predicted - stop_gradient(partner)).sum() / len(z)

    return loss


@pytest.mark.parametrize("isotropic", [False, True])
def test_modes_are_those_of_the_full_matrix(rng, isotropic):
    p = problem(rng, [0.4, 0.3, 0.35])
    times = np.linspace(0, 25, 9)
    trajectory = variance_regularisation(p.task, times, isotropic=isotropic)
    for k, W in enumerate(gradient_flow(loss_of(p, isotropic), p.encoder, times)):
        C = W @ p.Sigma @ W.T
        np.testing.assert_allclose(np.sort(trajectory.eigenvalues[k])[::-1], descending(C), rtol=1e-7)
        euclidean = 0.5 * np.square(p.x @ W.T @ C - p.y @ W.T).sum() / len(p.x)
        assert trajectory.loss[k] == pytest.approx(euclidean, rel=1e-7)


def test_the_papers_equations_without_noise():
    task = Task(np.ones(1), np.ones(1), np.full((1, 1), 0.2), np.array([0.2]))
    t, dt = np.linspace(0, 30, 3001), 0.01
    for isotropic, slope in ((False, lambda x: 2 * x**2 * (1 - x)), (True, lambda x: 2 * x * (1 - x))):
        lam = variance_regularisation(task, t, isotropic=isotropic).eigenvalues[:, 0]
        np.testing.assert_allclose((lam[2:] - lam[:-2]) / (2 * dt), slope(lam[1:-1]), atol=1e-4)
    y = lambertw((1 / 0.04 - 1) * np.exp(1 / 0.04 - 1 - 2 * t)).real
    euclidean = variance_regularisation(task, t).eigenvalues[:, 0]
    np.testing.assert_allclose(euclidean, 1 / (1 + y), rtol=1e-10)


@pytest.mark.parametrize("isotropic", [False, True])
def test_step_times_and_end_points(rng, isotropic):
    task = problem(rng, [0.02, 0.03, 0.01]).task
    tau = variance_regularisation_times(task, isotropic=isotropic)
    half = [variance_regularisation(task, tau[j : j + 1], isotropic=isotropic).eigenvalues[0, j] for j in range(3)]
    np.testing.assert_allclose(half, task.correlation / 2, rtol=1e-8)
    end = variance_regularisation(task, np.array([1e6]), isotropic=isotropic)
    np.testing.assert_allclose(end.eigenvalues[0], task.correlation, rtol=1e-8)
