import numpy as np
import pytest
from matrix_flow import GAMMA, problem

from dynamics.modes import contrastive_modes
from dynamics.solvable import Task


def test_strength_variance_and_start_are_those_of_the_pairs(rng):
    p = problem(rng, [0.03, 0.02, 0.01])
    task = p.task
    np.testing.assert_allclose(task.eigenvalues, GAMMA, atol=1e-12)
    np.testing.assert_allclose(task.variance, np.diag(p.basis.T @ p.Sigma @ p.basis), rtol=1e-10)
    np.testing.assert_allclose(task.weights, [0.03, 0.02, 0.01], rtol=1e-10)
    np.testing.assert_allclose(task.correlation, (GAMMA / task.variance)[:3], rtol=1e-10)
    assert task.off_diagonal < 1e-12


def test_off_diagonal_sees_bases_that_differ(rng):
    x = rng.normal(size=(40, 30))
    x[:, 1] += x[:, 0]
    task = Task.of(contrastive_modes(x @ x.T), np.ones((40, 4)))
    values = contrastive_modes(x @ x.T).on_views[:, :4]
    Sigma = values.T @ values / 40
    off = np.square(Sigma - np.diag(np.diag(Sigma))).sum() / np.square(Sigma).sum()
    assert task.off_diagonal == pytest.approx(off) and 0.01 < off < 1


def test_modes_without_agreement_have_no_strength(rng):
    task = problem(rng, 0.01 * np.ones(5)).task
    assert task.strength[4] == 0 and task.correlation[4] == 0 and np.isfinite(task.weights).all()


def test_more_outputs_than_modes(rng):
    x = rng.normal(size=(8, 2))
    task = Task.of(contrastive_modes(x @ x.T), rng.normal(size=(8, 4)))
    assert task.strength.shape == task.correlation.shape == task.weights.shape == (4,)
    assert not task.strength[2:].any() and not task.weights[2:].any()
