"""Full-matrix references for the solvable models: losses of sampled pairs, gradients by JAX, flows by SciPy."""

from dataclasses import dataclass

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp
from theory_references import features_with_spectrum, random_rotation

from dynamics.modes import contrastive_modes
from dynamics.solvable import Task
from dynamics.support.precision import double_precision

GAMMA = np.array([1.0, 0.6, 0.35, 0.1, -0.2])


@dataclass
class Problem:
    """Pairs x, y (each order once, 2n rows) whose Γ and Σ have one eigenbasis, the columns of `basis`."""

    x: np.ndarray
    y: np.ndarray
    basis: np.ndarray
    weights: np.ndarray
    outputs: np.ndarray

    @property
    def encoder(self):
        """W (d, D) aligned with the modes, of size `weights`."""
        return self.outputs * self.weights @ self.basis[:, : self.weights.size].T

    @property
    def task(self):
        return Task.of(contrastive_modes(self.x @ self.x.T), self.x @ self.encoder.T)

    @property
    def Gamma(self):
        return (self.x.T @ self.y + self.y.T @ self.x) / (2 * len(self.x))

    @property
    def Sigma(self):
        return self.x.T @ self.x / len(self.x)


def problem(rng, weights, gamma=GAMMA):
    Q = random_rotation(gamma.size, rng)
    x = features_with_spectrum(gamma, 20, rng) @ Q.T
    weights = np.asarray(weights, float)
    return Problem(x, np.roll(x, 20, axis=0), Q, weights, random_rotation(weights.size, rng))


def gradient_flow(loss, params, times, precondition=None, rates=None):
    """Parameters (a pytree) at every time of gradient flow; `loss` may stop gradients.

    `rates` multiplies the gradient of each leaf; `precondition` maps the whole gradient.
    """
    with double_precision():
        flat, unravel = ravel_pytree(params)
        scale = (
            ravel_pytree(jax.tree.map(lambda leaf, rate: rate * np.ones_like(leaf), params, rates))[0] if rates else 1
        )
        gradient = jax.jit(jax.grad(lambda flat: loss(unravel(flat))))

        def velocity(t, flat):
            g = np.asarray(gradient(flat)) * np.asarray(scale)
            return -g if precondition is None else -np.asarray(ravel_pytree(precondition(unravel(g)))[0])

        run = solve_ivp(velocity, (0, times[-1]), np.asarray(flat), "DOP853", times, rtol=1e-10, atol=1e-14)
        assert run.success
        return [jax.tree.map(np.asarray, unravel(column)) for column in run.y.T]


def descending(matrix):
    return np.linalg.eigvalsh((matrix + matrix.T) / 2)[::-1]
