"""Mehler's operator, InfoNCE's optimum and VICReg's expansion, each against another way to compute it."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dynamics.generative import (
    GaussianPrior,
    gaussian_objective,
    mehler_eigenvalues,
    mutual_information,
    pair_operator,
    pointwise_mutual_information,
    vicreg_expansion,
    vicreg_weights,
)
from dynamics.generative.mehler import hermite, multiplicity
from dynamics.objectives import vicreg
from dynamics.support.precision import double_precision


def test_eigenvalues_of_the_pair_operator_are_powers_of_the_correlation():
    prior = GaussianPrior(within_variance=0.15)
    with double_precision():
        z, T = pair_operator(prior)
    values, vectors = np.linalg.eigh(T)
    np.testing.assert_allclose(values[::-1][:6], mehler_eigenvalues(0.8605, 5), atol=0.002)
    std = np.sqrt(prior.between(2) + 0.15)
    functions = hermite(z / std, 3) * np.sqrt(scipy.stats.norm.pdf(z, scale=std) * (z[1] - z[0]))[:, None]
    overlaps = np.abs(np.sum(vectors[:, ::-1][:, :4] * functions, axis=0))
    np.testing.assert_allclose(overlaps, 1, atol=1e-6)


def test_multiplicities_count_monomials():
    for dim in (1, 2, 3):
        counts = [0] * 5
        for powers in np.ndindex(*(5,) * dim):
            if sum(powers) < 5:
                counts[sum(powers)] += 1
        assert [multiplicity(n, dim) for n in range(5)] == counts


def test_mutual_information_pointwise_and_in_the_mean(rng):
    prior = GaussianPrior(within_variance=0.4, between_variance=0.7)
    covariance = 0.4 * np.eye(2) + 0.7
    pairs = rng.multivariate_normal(np.zeros(2), covariance, size=(20_000, 3))
    joint = scipy.stats.multivariate_normal(cov=covariance).logpdf(pairs)
    marginals = scipy.stats.norm.logpdf(pairs, scale=np.sqrt(1.1)).sum(axis=-1)
    expected = (joint - marginals).sum(axis=1)
    with double_precision():
        found = np.asarray(pointwise_mutual_information(jnp.asarray(pairs[..., 0]), jnp.asarray(pairs[..., 1]), prior))
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert abs(found.mean() - mutual_information(prior, 3)) < 4 * found.std() / np.sqrt(len(found))


def test_mehlers_sum_is_the_exponential_of_the_information(rng):
    prior = GaussianPrior(within_variance=0.6, between_variance=0.4)  # ρ = 0.4 and unit variance: the sum is short
    z, z_prime = rng.normal(size=(2, 10))
    total = (hermite(z, 60) * hermite(z_prime, 60)) @ mehler_eigenvalues(0.4, 60)
    with double_precision():
        information = pointwise_mutual_information(jnp.asarray(z[:, None]), jnp.asarray(z_prime[:, None]), prior)
    np.testing.assert_allclose(np.exp(information), total, rtol=1e-8)


def white(rng, n=30, d=3):
    """Embeddings of mean zero and covariance I."""
    F = rng.normal(size=(2 * n, d))
    return np.linalg.qr(F - F.mean(axis=0))[0] * np.sqrt(2 * n)


def test_vicreg_is_the_expansion_of_the_entropy(rng):
    F = white(rng)
    direction = rng.normal(size=(3, 3))
    correlations = direction + direction.T - np.diag(2 * np.diag(direction))
    shrunk = -np.diag(np.abs(np.diag(direction)))

    def rest(change, size):
        embeddings = jnp.asarray(F @ np.linalg.cholesky(np.eye(3) + size * change).T)
        return abs(float(gaussian_objective(embeddings, 0.15) - vicreg_expansion(embeddings, 0.15)))

    with double_precision():
        assert rest(correlations, 1e-3) / rest(correlations, 5e-4) == pytest.approx(8, rel=0.05)
        assert rest(shrunk, 1e-3) / rest(shrunk, 5e-4) == pytest.approx(4, rel=0.05)


def test_gaussian_objective_is_distance_and_scipys_entropy(rng):
    F = rng.normal(size=(40, 3))
    entropy = scipy.stats.multivariate_normal(cov=np.cov(F, rowvar=False, ddof=0)).entropy()
    distance = np.square(F[:20] - F[20:]).sum(axis=1).mean()
    with double_precision():
        value = float(gaussian_objective(jnp.asarray(F), 0.2))
        expansion = float(vicreg_expansion(jnp.asarray(F), 0.2))
        direct = float(vicreg(jnp.asarray(F), 1.0, 0.25, 1 / 1.6, epsilon=0.0))
    np.testing.assert_allclose(value, distance / (8 * 0.2) - entropy + 1.5 * np.log(2 * np.pi * np.e), rtol=1e-10)
    assert expansion == pytest.approx(direct) and vicreg_weights(1 / 8).invariance == 1.0
