"""L_λ against its definition, the spectral contrastive loss, and a numerical minimum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from dynamics.errors import CollapseError, ConfigError
from dynamics.modes.restricted import pair_moments, restricted_modes
from dynamics.objectives import generalised_spectral, spectral_contrastive
from dynamics.objectives.weighted_spectral import minimum, shrinkage
from dynamics.support.precision import double_precision


@pytest.fixture
def relation(rng):
    G = np.triu(rng.uniform(size=(12, 12)), 1)
    return G + G.T


def test_definition(rng):
    F = rng.normal(size=(20, 3))
    z, z_prime = np.split(F, 2)
    expected = ((z - z_prime) ** 2).sum(axis=1).mean() + 0.7 * ((F.T @ F / 20 - np.eye(3)) ** 2).sum()
    with double_precision():
        assert float(generalised_spectral(jnp.asarray(F), 0.7)) == pytest.approx(expected, rel=1e-13)


def test_definition_on_a_graph(rng, relation):
    F = rng.normal(size=(12, 3))
    share = relation.sum(axis=1) / relation.sum()
    difference = ((F[:, None] - F) ** 2).sum(axis=-1)
    covariance = (share[:, None] * F).T @ F
    expected = (relation * difference).sum() / relation.sum() + 2.5 * ((covariance - np.eye(3)) ** 2).sum()
    with double_precision():
        assert float(generalised_spectral(jnp.asarray(F), 2.5, relation)) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("with_graph", [False, True])
def test_weight_one_is_the_spectral_contrastive_loss(rng, relation, with_graph):
    graph = relation if with_graph else None
    with double_precision():
        F = jnp.asarray(rng.normal(size=(12, 4)))
        difference = generalised_spectral(F, 1.0, graph) - spectral_contrastive(F, graph) - 4
        gradients = [
            jax.grad(loss)(F)
            for loss in (lambda F: generalised_spectral(F, 1.0, graph), lambda F: spectral_contrastive(F, graph))
        ]
    assert abs(float(difference)) < 1e-12
    np.testing.assert_allclose(*gradients, atol=1e-13)


@pytest.mark.parametrize("weight", [0.15, 0.5, 1.0, 10.0])
def test_minimum_and_shrinkage_are_those_of_a_numerical_minimum(rng, weight):
    """L-BFGS on the weights of a linear class, from a random start."""
    x = rng.normal(size=(80, 6))
    views = np.concatenate([x, x + rng.normal(size=x.shape) * np.array([0.05, 0.2, 0.5, 1.0, 2.0, 4.0])])
    modes = restricted_modes(pair_moments(views))
    dim = 4
    with double_precision():
        X = jnp.asarray(views)
        evaluate = jax.jit(jax.value_and_grad(lambda w: generalised_spectral(X @ w.reshape(6, dim), weight)))
        found = scipy.optimize.minimize(
            lambda w: tuple(np.asarray(part, np.float64) for part in evaluate(w)),
            rng.normal(size=6 * dim),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10},
        )
    assert found.fun == pytest.approx(minimum(modes.eigenvalues, dim, weight), abs=1e-5)
    W = found.x.reshape(6, dim)
    energies = np.linalg.eigvalsh((views @ W).T @ (views @ W) / 160)[::-1]
    np.testing.assert_allclose(energies, shrinkage(modes.eigenvalues, weight)[:dim], atol=2e-4)


def test_the_two_formulas_agree(rng):
    mu = np.sort(rng.uniform(-1, 1, size=9))[::-1]
    for weight in (0.2, 1.0, 4.0):
        a = shrinkage(mu, weight)
        assert minimum(mu, 9, weight) == pytest.approx((2 * (1 - mu) * a + weight * (a - 1) ** 2).sum(), rel=1e-13)
    np.testing.assert_allclose(shrinkage(mu, 1.0), np.maximum(mu, 0), atol=1e-15)


def test_what_a_user_may_get_wrong():
    for weight in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="positive number"):
            generalised_spectral(jnp.ones((4, 2)), weight)
        with pytest.raises(ConfigError, match="positive number"):
            shrinkage(np.ones(2), weight)
    with pytest.raises(CollapseError, match="the class has 2 modes"):
        minimum(np.ones(2), 3)
