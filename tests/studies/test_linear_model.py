"""The linear model of the study against plain automatic differentiation of the loss."""

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.objectives import barlow_twins
from dynamics.studies.stepwise.linear_model import (
    descend,
    descend_continuously,
    pair_correlation,
    random_weights,
    trajectory,
)
from dynamics.support.precision import double_precision


def test_steps_are_gradient_steps_of_the_loss_in_the_weights(rng):
    views, W = rng.normal(size=(12, 5)), 0.3 * rng.normal(size=(2, 5))
    recorded = descend(views, W, 0.01, np.array([0, 1, 4]))
    with double_precision():
        gradient = jax.jit(jax.grad(lambda W: barlow_twins(jnp.asarray(views) @ W.T)))
        expected = [W]
        for _ in range(4):
            expected.append(expected[-1] - 0.01 * np.asarray(gradient(jnp.asarray(expected[-1]))))
    np.testing.assert_allclose(recorded, np.array(expected)[[0, 1, 4]], atol=1e-12)
    assert recorded.dtype == np.float64


def test_extrapolation_removes_the_first_order_of_the_learning_rate(rng):
    views, W = rng.normal(size=(12, 3)), 0.3 * rng.normal(size=(2, 3))
    exact = descend(views, W, 1e-5, np.array([0, 20000]))[-1]
    plain = descend(views, W, 0.01, np.array([0, 20]))[-1]
    extrapolated = descend_continuously(views, W, 0.01, np.array([0, 20]))[-1]
    # what is left of an error of order η is of order η²
    assert np.abs(extrapolated - exact).max() < 0.1 * np.abs(plain - exact).max()


def test_trajectory_holds_spectrum_and_loss(rng):
    views, W = rng.normal(size=(12, 5)), rng.normal(size=(3, 2, 5))
    run = trajectory(views, W, np.arange(3.0))
    for k in range(3):
        C = W[k] @ pair_correlation(views) @ W[k].T
        np.testing.assert_allclose(run.eigenvalues[k], np.linalg.eigvalsh(C)[::-1])
        np.testing.assert_allclose(run.loss[k], np.linalg.norm(C - np.eye(2)) ** 2)


def test_random_weights_give_outputs_of_the_asked_scale(rng):
    outputs = rng.normal(size=(500, 300)) @ random_weights(40, 300, 1e-3, rng).T
    np.testing.assert_allclose(outputs.std(), 1e-3, rtol=0.05)
