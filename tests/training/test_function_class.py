"""Training a class ends at the closed-form minimum; seeds are independent and reproducible."""

import jax
import numpy as np
import pytest

from dynamics.errors import ConfigError, DivergenceError
from dynamics.function_classes import Linear, ReLUUnits
from dynamics.modes.restricted import restricted_modes
from dynamics.objectives import vicreg_squared
from dynamics.objectives.weighted_spectral import shrinkage
from dynamics.training.function_class import batches, train_functions
from dynamics.views import Pairs, SignedCube


def test_linear_functions_arrive_at_the_shrunk_modes(rng):
    """On the whole of a fixed sample, so that the optimum is exact."""
    x = rng.normal(size=(64, 4)).astype(np.float32)
    pairs = Pairs(x, x + rng.normal(size=x.shape).astype(np.float32) * np.float32([0.1, 0.5, 1.0, 3.0]))
    mu = restricted_modes(Linear().moments(pairs.stacked), tolerance=1e-6).eigenvalues
    W = train_functions(
        Linear(), lambda key: (pairs.x, pairs.x_prime), dim=2, weight=0.8, steps=3000, learning_rate=0.01, num_seeds=3
    )
    for seed in range(3):
        F = pairs.stacked @ np.asarray(W[seed])
        np.testing.assert_allclose(np.linalg.eigvalsh(F.T @ F / 128)[::-1], shrinkage(mu, 0.8)[:2], atol=3e-3)


def test_seeds_differ_and_repeat():
    cube = SignedCube(4, 2)

    def train(num_seeds, seed):
        return train_functions(
            ReLUUnits(), lambda key: cube.views(key, 32)[:2], dim=2, steps=20, num_seeds=num_seeds,
            key=jax.random.key(seed),
        ).weights  # fmt: skip

    first = train(2, 0)
    np.testing.assert_array_equal(first, train(2, 0))
    assert not np.allclose(first[0], first[1]) and not np.allclose(first, train(2, 1))
    assert train(1, 0).shape == (1, 2, 4)


def test_any_objective(rng):
    x = rng.normal(size=(30, 3)).astype(np.float32)
    W = train_functions(
        Linear(), batches(Pairs(x, x), 30), dim=2, objective=vicreg_squared, steps=600, learning_rate=0.02
    )
    F = x @ np.asarray(W[0])
    np.testing.assert_allclose(np.cov(F.T), np.eye(2), atol=0.35)  # batches are drawn with replacement


def test_batches_are_rows_of_the_pairs(rng):
    pairs = Pairs(rng.normal(size=(5, 2)), rng.normal(size=(5, 2)))
    x, x_prime = batches(pairs, 50)(jax.random.key(0))
    rows = np.abs(np.asarray(x)[:, None] - pairs.x).sum(axis=-1).argmin(axis=1)
    assert set(rows) == set(range(5))
    np.testing.assert_allclose(x_prime, pairs.x_prime[rows], rtol=1e-6)


def test_what_a_user_may_get_wrong():
    cube = SignedCube(4, 2)

    def draw(key):
        return cube.views(key, 8)[:2]

    with pytest.raises(ConfigError, match="positive number"):
        train_functions(Linear(), draw, dim=1, weight=-1.0)
    with pytest.raises(ConfigError, match="at least 1"):
        train_functions(Linear(), draw, dim=0)
    with pytest.raises(ConfigError, match="at least 1"):
        batches(Pairs(np.eye(2), np.eye(2)), 0)
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        train_functions(Linear(), draw, dim=2, learning_rate=1e3, method="sgd", steps=200)


def test_several_numbers_of_outputs_at_once(rng):
    """Each ends where it would on its own, and unused outputs stay as they were."""
    x = rng.normal(size=(64, 4)).astype(np.float32)
    pairs = Pairs(x, x + rng.normal(size=x.shape).astype(np.float32) * np.float32([0.1, 0.5, 1.0, 3.0]))
    mu = restricted_modes(Linear().moments(pairs.stacked), tolerance=1e-6).eigenvalues
    settings = {"steps": 3000, "learning_rate": 0.01, "num_seeds": 2}
    W = train_functions(Linear(), lambda key: (pairs.x, pairs.x_prime), dim=(1, 3), **settings)
    assert W.shape == (2, 2, 4, 3)
    for index, k in enumerate((1, 3)):
        F = pairs.stacked @ np.asarray(W[index, 0, :, :k])
        np.testing.assert_allclose(np.linalg.eigvalsh(F.T @ F / 128)[::-1], shrinkage(mu, 1.0)[:k], atol=3e-3)
    short = train_functions(Linear(), lambda key: (pairs.x, pairs.x_prime), dim=(1, 3), steps=1, num_seeds=2)
    np.testing.assert_array_equal(W[0, :, :, 1:], short[0, :, :, 1:])
