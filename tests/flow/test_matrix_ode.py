import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.flow.matrix_ode import centred_matrix_kernel, matrix_growth_rate, matrix_kernel_flow
from dynamics.flow.ode import kernel_flow
from dynamics.kernels import full_empirical_ntk
from dynamics.modes import contrastive_modes
from dynamics.networks import MLP
from dynamics.support.precision import double_precision
from dynamics.trajectories.comparison import step_times


@pytest.fixture
def views(rng):
    half = rng.normal(size=(6, 5))
    return np.concatenate([half, half + 0.3 * rng.normal(size=half.shape)])


@pytest.fixture
def network(views):
    """A small network in float64, its function at the start and its explicit Jacobian (2n, d, parameters)."""
    module = MLP(width=8, depth=1, activation="erf").module(2)
    with double_precision():
        params = jax.tree.map(
            lambda leaf: jnp.asarray(leaf, float), module.init(jax.random.key(3), jnp.asarray(views[:1]))
        )
        flat, unravel = jax.flatten_util.ravel_pytree(params)
        jacobian = jax.jacobian(lambda theta: module.apply(unravel(theta), jnp.asarray(views)))(flat)
        start = 1e-2 * np.asarray(module.apply(params, jnp.asarray(views)))
    return module, params, start, np.asarray(jacobian)


def linearised_descent(start, jacobian, end, steps, center):
    """Gradient descent on the parameters of f₀ + J(θ − θ₀), in NumPy; its eigenvalues of C at the end."""
    views, dim, _ = jacobian.shape
    if center:
        start, jacobian = start - start.mean(0), jacobian - jacobian.mean(0)
    flat, shift = jacobian.reshape(views * dim, -1), 0.0
    n = views // 2
    for _ in range(steps):
        F = start + (flat @ shift).reshape(views, dim) if np.ndim(shift) else start
        partner = np.concatenate([F[n:], F[:n]])
        gradient = -(2 / n) * partner @ (np.eye(dim) - F.T @ partner / views)
        shift = shift - end / steps * (flat.T @ gradient.reshape(-1))
    F = start + (flat @ shift).reshape(views, dim)
    C = F.T @ np.concatenate([F[n:], F[:n]]) / views
    return np.linalg.eigvalsh(C)[::-1]


@pytest.mark.parametrize("center", [False, True])
def test_flow_of_the_matrix_kernel_is_descent_of_the_linearised_parameters(network, views, center):
    module, params, start, jacobian = network
    theta = full_empirical_ntk(module.apply, params, views)
    theta = centred_matrix_kernel(theta) if center else theta
    start_used = start - start.mean(0) if center else start
    end = 1.5 / (4 * matrix_growth_rate(theta)) * np.log(1e4)
    flow = matrix_kernel_flow(theta, start_used, np.linspace(0, end, 20))
    # Richardson: descent is off by O(step), so twice the fine run less the coarse one is off by O(step²)
    coarse, fine = (linearised_descent(start, jacobian, end, steps, center) for steps in (1500, 3000))
    np.testing.assert_allclose(flow.eigenvalues[-1], 2 * fine - coarse, rtol=2e-4, atol=1e-8)
    assert flow.eigenvalues[-1, 0] > 0.05  # far beyond the linear phase


def test_uncoupled_outputs_give_the_scalar_flow(views, rng):
    K = views @ views.T + np.eye(12)
    theta = np.einsum("ab,kl->abkl", K, np.eye(3))
    modes = contrastive_modes(K)
    start = 1e-3 * rng.normal(size=(12, 3))
    times = np.linspace(0, 2.0 / modes.eigenvalues[2], 40)
    scalar, matrix = kernel_flow(modes, start, times), matrix_kernel_flow(theta, start, times)
    np.testing.assert_allclose(matrix.eigenvalues, scalar.eigenvalues, atol=1e-6)
    np.testing.assert_allclose(matrix.loss, scalar.loss, atol=1e-5)
    assert np.isfinite(step_times(matrix)).sum() >= 2
    assert matrix_growth_rate(theta) == pytest.approx(modes.eigenvalues[0], rel=1e-10)


def test_growth_rate_is_the_largest_eigenvalue_of_the_coupled_problem(network, views):
    module, params, _, jacobian = network
    theta = full_empirical_ntk(module.apply, params, views)
    views_, dim, _ = jacobian.shape
    flat = jacobian.reshape(views_ * dim, -1)
    swap = np.kron(np.roll(np.eye(views_), views_ // 2, axis=0), np.eye(dim))
    dense = np.linalg.eigvals(swap @ flat @ flat.T / views_)
    assert matrix_growth_rate(theta) == pytest.approx(dense.real.max(), rel=1e-9)
