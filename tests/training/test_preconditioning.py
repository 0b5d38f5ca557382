import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from dynamics.errors import ConfigError
from dynamics.experiment import prepare
from dynamics.experiment.config import Config
from dynamics.modes import contrastive_modes
from dynamics.objectives.correlation import barlow_twins
from dynamics.support.precision import double_precision
from dynamics.training import SmallNetwork, gradient_descent, precondition_modes, precondition_spectrum
from dynamics.trajectories.comparison import step_times
from dynamics.trajectories.metrics import subspace_overlap
from dynamics.views import Pairs


@pytest.fixture
def pairs(rng):
    x = rng.normal(size=(20, 6)) * np.array([3.0, 2.0, 1.5, 1.0, 0.7, 0.5])
    return Pairs(x, x + 0.3 * rng.normal(size=x.shape))


def covariance_of_partners(pairs, center):
    x, y = pairs.x, pairs.x_prime
    if center:
        mean = (x.mean(0) + y.mean(0)) / 2
        x, y = x - mean, y - mean
    return (x.T @ y + y.T @ x) / (2 * len(x))


def trained(pairs, W, objective, learning_rate, steps, center=False):
    with double_precision():
        return gradient_descent(
            SmallNetwork(lambda W, x: x @ W, jnp.asarray(W)),
            pairs,
            learning_rate=learning_rate,
            steps=steps,
            center=center,
            objective=objective,
            record_at=np.array([0, steps]),
        )


@pytest.mark.parametrize("center", [False, True])
def test_modes_by_hand_in_feature_space(pairs, rng, center):
    """Of a linear network: W ← W − η P Γ⁻¹ ∇_W L with the projector P on the three strongest eigenvectors of Γ."""
    Gamma = covariance_of_partners(pairs, center)
    gamma, Q = np.linalg.eigh(Gamma)
    top = Q[:, -3:]
    preconditioner = top / gamma[-3:] @ top.T
    W0 = 0.1 * rng.normal(size=(6, 3))
    W = W0
    for _ in range(40):
        W = W + 0.02 * preconditioner @ (4 * Gamma @ W @ (np.eye(3) - W.T @ Gamma @ W))
    modes = contrastive_modes(pairs.stacked @ pairs.stacked.T, center=center)
    run = trained(pairs, W0, precondition_modes(modes, 3), 0.02, 40, center)
    np.testing.assert_allclose(run.eigenvalues[-1], np.linalg.eigvalsh(W.T @ Gamma @ W)[::-1], rtol=1e-9)


def test_all_modes_grow_at_one_rate(pairs, rng):
    Gamma = covariance_of_partners(pairs, False)
    W0 = 1e-3 * rng.normal(size=(6, 6))
    modes = contrastive_modes(pairs.stacked @ pairs.stacked.T)
    run = trained(pairs, W0, precondition_modes(modes, 6), 1e-3, 900)
    C0, growth = W0.T @ Gamma @ W0, np.exp(8 * 0.9)
    expected = growth * C0 @ np.linalg.inv(np.eye(6) + (growth - 1) * C0)
    np.testing.assert_allclose(run.eigenvalues[-1], np.linalg.eigvalsh(expected)[::-1], rtol=0.03)  # Euler steps


def test_spectrum_by_hand(rng):
    F, n, floor = rng.normal(size=(12, 3)), 6, 0.2
    J = np.kron([[0, 1], [1, 0]], np.eye(n))
    C = F.T @ J @ F / (2 * n)
    G = -2 / n * J @ F @ (np.eye(3) - C)
    magnitude = scipy.linalg.sqrtm(C @ C).real
    with double_precision():
        ours = jax.grad(precondition_spectrum(floor=floor))(jnp.asarray(F))
    np.testing.assert_allclose(ours, G @ np.linalg.inv(magnitude + floor * np.eye(3)), rtol=1e-8)


def test_the_value_and_what_multiplies_it_stay(rng):
    with double_precision():
        F = jnp.asarray(rng.normal(size=(12, 3)))
        objective = precondition_spectrum(floor=0.2)
        assert objective(F) == barlow_twins(F)
        thrice = jax.grad(lambda F: 3 * objective(F))(F)
        np.testing.assert_allclose(thrice, 3 * jax.grad(objective)(F), rtol=1e-12)


@pytest.mark.parametrize("num_modes", [0, 7])
def test_only_modes_that_can_be_learned(pairs, num_modes):
    modes = contrastive_modes(pairs.stacked @ pairs.stacked.T)
    with pytest.raises(ConfigError, match="6 that can be learned"):
        precondition_modes(modes, num_modes)


def test_the_floor_is_positive():
    with pytest.raises(ConfigError, match="floor"):
        precondition_spectrum(floor=0.0)


def test_a_network_learns_its_last_mode_in_fewer_steps():
    """Within the d strongest modes: γ_1/γ_d times fewer steps, same subspace; within more: another subspace."""
    fraction, dim = 0.1, 4
    experiment = prepare(
        Config(
            network="mlp",
            width=256,
            depth=1,
            num_pairs=32,
            dim=dim,
            init_scale=1e-3,
            lr_fraction=fraction,
            multiplier="auto",
        )
    )
    modes = experiment.kernel.modes

    def run(objective, limit, steps):
        trajectory = gradient_descent(
            experiment.network,
            experiment.pairs,
            learning_rate=fraction * limit,
            steps=steps,
            center=True,
            objective=objective,
        )
        last = step_times(trajectory)[-1] / (fraction * limit)
        return last, subspace_overlap(trajectory.embeddings[-1].astype(float), modes, dim, center=True)

    plain, _ = run(barlow_twins, modes.stability_limit, experiment.schedule.steps)
    within, within_overlap = run(precondition_modes(modes, dim), 0.25, 300)
    _, beyond_overlap = run(precondition_modes(modes, 4 * dim), 0.25, 300)
    focused, focused_overlap = run(precondition_spectrum(floor=0.03), modes.stability_limit, 300)
    ratio = modes.eigenvalues[0] / modes.eigenvalues[dim - 1]
    # the ratio is that of infinitesimal steps; a tenth of the limit makes plain descent up to a fifth slower
    assert plain / within == pytest.approx(ratio, rel=0.25) and ratio > 1.5
    # 4d modes at one rate: a random d-dimensional part of them is learned, of which a quarter is in the first d
    assert within_overlap > (1 + beyond_overlap) / 2
    assert focused < plain and focused_overlap > beyond_overlap
