import numpy as np
import pytest

from dynamics.errors import DivergenceError
from dynamics.flow import kernel_descent, kernel_flow, matrix_kernel_descent
from dynamics.modes import contrastive_modes
from dynamics.objectives.correlation import correlation_loss


@pytest.fixture
def pairs(rng):
    half = rng.normal(size=(8, 5))
    return np.concatenate([half, half + 0.4 * rng.normal(size=half.shape)])


def linear_model(views, W, learning_rate, steps, off_diagonal=1.0):
    """Gradient descent on the weights of f(x) = Wᵀx, in NumPy; C and the loss after every step."""
    n, d = len(views) // 2, W.shape[1]
    gamma = (views[:n].T @ views[n:] + views[n:].T @ views[:n]) / (2 * n)
    history = []
    for _ in range(steps + 1):
        C = W.T @ gamma @ W
        error = C - np.eye(d)
        weights = off_diagonal + (1 - off_diagonal) * np.eye(d)
        history.append((np.linalg.eigvalsh(C)[::-1], (weights * error**2).sum()))
        W = W - learning_rate * 4 * gamma @ W @ (weights * error)
    return (np.array(column) for column in zip(*history, strict=True))


@pytest.mark.parametrize("off_diagonal", [1.0, 0.3])
def test_scalar_descent_is_descent_of_the_weights(pairs, rng, off_diagonal):
    W = 0.05 * rng.normal(size=(5, 3))
    modes = contrastive_modes(pairs @ pairs.T)
    eta = 0.6 * modes.stability_limit  # far from the flow
    eigenvalues, losses = linear_model(pairs, W, eta, 60, off_diagonal)

    def loss(C):
        return correlation_loss(C, off_diagonal)

    at = np.array([0, 1, 2, 17, 60])
    run = kernel_descent(modes, pairs @ W, eta, at, loss=loss)
    np.testing.assert_allclose(run.eigenvalues, eigenvalues[at], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(run.loss, losses[at], rtol=1e-8)
    np.testing.assert_allclose(run.times, eta * at)


def test_matrix_descent_is_descent_of_the_weights(pairs, rng):
    W = 0.05 * rng.normal(size=(5, 3))
    modes = contrastive_modes(pairs @ pairs.T)
    eta = 0.6 * modes.stability_limit
    theta = np.einsum("ab,kl->abkl", pairs @ pairs.T, np.eye(3))
    eigenvalues, losses = linear_model(pairs, W, eta, 40)
    run = matrix_kernel_descent(theta, pairs @ W, eta, np.array([0, 7, 40]))
    np.testing.assert_allclose(run.eigenvalues, eigenvalues[[0, 7, 40]], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(run.loss, losses[[0, 7, 40]], rtol=1e-8)


def test_small_steps_approach_the_flow_in_proportion(pairs, rng):
    modes = contrastive_modes(pairs @ pairs.T)
    start = pairs @ (0.05 * rng.normal(size=(5, 2)))
    end = 3.0 / modes.eigenvalues[0]
    flow = kernel_flow(modes, start, np.array([0, end])).eigenvalues[-1]
    errors = [
        np.abs(kernel_descent(modes, start, end / k, np.array([0, k])).eigenvalues[-1] - flow).max()
        for k in (2000, 4000, 8000)
    ]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.05)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(1, abs=0.05)


def test_divergence_is_an_error(pairs, rng):
    modes = contrastive_modes(pairs @ pairs.T)
    with pytest.raises(DivergenceError, match="lower the rate"):
        kernel_descent(modes, pairs @ rng.normal(size=(5, 2)), 50 * modes.stability_limit, np.array([0, 200]))
