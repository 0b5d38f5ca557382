import jax.numpy as jnp
import numpy as np
import pytest
from matrix_flow import gradient_flow, problem
from theory_references import random_rotation

from dynamics.solvable import word_embedding, word_embedding_flow, word_embedding_times
from dynamics.trajectories.comparison import step_times


@pytest.mark.parametrize("size", [1.0, 1e-3])
def test_exact_from_any_start_and_for_any_symmetric_matrix(rng, size):
    mu = np.array([3.0, 1.0, 0.9, 0.0, -2.0])
    Q = random_rotation(5, rng)
    M, W0 = Q * mu @ Q.T, size * rng.normal(size=(5, 3))
    times = np.array([0.0, 0.7, 3.0, 9.0, 25.0])
    exact = Q @ word_embedding_flow(mu, Q.T @ W0, times)
    full = gradient_flow(lambda W: jnp.square(M - W @ W.T).sum() / 8, W0, times)
    for ours, W in zip(exact, full, strict=True):
        np.testing.assert_allclose(ours @ ours.T, W @ W.T, atol=1e-8 * max(1, abs(W).max() ** 2))


def test_the_flow_does_not_depend_on_where_it_is_looked_at(rng):
    mu, W0 = np.array([40.0, 5.0, -40.0]), 1e-6 * rng.normal(size=(3, 2))
    once = word_embedding_flow(mu, W0, np.array([12.0]))[0]
    often = word_embedding_flow(mu, W0, np.linspace(0, 12, 333))[-1]
    np.testing.assert_allclose(once @ once.T, often @ often.T, atol=1e-9)
    np.testing.assert_allclose(np.linalg.eigvalsh(once.T @ once), [5, 40], rtol=1e-8)


def test_trajectory_of_a_task(rng):
    p = problem(rng, [0.02, 0.01, 0.03])
    times = np.linspace(0, 60, 200)
    trajectory = word_embedding(p.task, times)
    M, W = p.Gamma, word_embedding_flow(p.task.eigenvalues, p.task.coordinates, times)[-1]
    assert trajectory.loss[0] == pytest.approx(np.square(M - p.encoder.T @ p.encoder).sum() / 8)
    assert trajectory.loss[-1] == pytest.approx(np.square(np.diag(p.task.eigenvalues) - W @ W.T).sum() / 8)
    np.testing.assert_allclose(trajectory.eigenvalues[-1], [1.0, 0.6, 0.35], rtol=1e-6)
    relative = type(trajectory)(times, trajectory.eigenvalues / [1.0, 0.6, 0.35], trajectory.loss)
    np.testing.assert_allclose(step_times(relative), word_embedding_times(p.task), rtol=1e-3)
