"""Priors against SciPy's normal density, numerical integration over ψ, and sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from dynamics.errors import ConfigError
from dynamics.generative import FlatPrior, GaussianPrior
from dynamics.support.precision import double_precision


@pytest.mark.parametrize("J", [1, 2, 3, 6])
def test_gaussian_prior_is_jointly_normal(rng, J):
    z = rng.normal(size=(J, 4, 3))
    covariance = np.kron(0.3 * np.eye(J) + 0.7, np.eye(3))
    expected = scipy.stats.multivariate_normal(cov=covariance).logpdf(np.swapaxes(z, 0, 1).reshape(4, -1))
    with double_precision():
        prior = GaussianPrior(within_variance=0.3, between_variance=0.7)
        np.testing.assert_allclose(prior.log_density(jnp.asarray(z)), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("J", [1, 2, 5])
def test_flat_prior_integrates_the_views_over_psi(rng, J):
    z, s2 = rng.normal(size=(J, 1, 1)), 0.4

    def views(psi):
        return np.exp(scipy.stats.norm.logpdf(z.ravel(), psi, np.sqrt(s2)).sum())

    integral = scipy.integrate.quad(views, -12, 12, epsabs=1e-14, epsrel=1e-13)[0]
    with double_precision():
        density = FlatPrior(within_variance=s2).log_density(jnp.asarray(z))
        np.testing.assert_allclose(density, np.log(integral), rtol=0, atol=1e-10)


def test_flat_prior_of_two_views_is_the_invariance_term(rng):
    z = rng.normal(size=(2, 5, 3))
    with double_precision():
        prior = FlatPrior(within_variance=0.15)
        difference = prior.log_density(jnp.asarray(z)) - prior.log_density(jnp.zeros((2, 5, 3)))
        np.testing.assert_allclose(difference, -np.square(z[0] - z[1]).sum(axis=1) / 0.6, rtol=0, atol=1e-10)


def test_one_view_has_the_prior_of_a_vae(rng):
    z = rng.normal(size=(1, 5, 3))
    with double_precision():
        density = GaussianPrior().log_density(jnp.asarray(z))
        np.testing.assert_allclose(density, scipy.stats.norm.logpdf(z[0]).sum(axis=1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("prior", [FlatPrior(), GaussianPrior(), GaussianPrior(between_variance=2.0)])
def test_expectation_is_the_mean_over_samples(rng, prior):
    means, variances = rng.normal(size=(3, 1, 4)), rng.uniform(0.1, 1.0, size=(3, 1, 4))
    with double_precision():
        z = means + np.sqrt(variances) * rng.normal(size=(3, 100_000, 4))
        sampled = np.asarray(prior.log_density(jnp.asarray(z)))
        exact = float(prior.expected_log_density(jnp.asarray(means), jnp.asarray(variances))[0])
    assert abs(sampled.mean() - exact) < 4 * sampled.std() / np.sqrt(len(sampled))


def test_correlation_of_two_views():
    assert GaussianPrior(within_variance=0.15).correlation(2) == pytest.approx(0.8605, abs=5e-5)
    assert GaussianPrior(within_variance=0.15, between_variance=1.0).correlation(2) == pytest.approx(1 / 1.15)


def test_gradients_are_finite_where_all_views_agree():
    gradient = jax.grad(lambda z: GaussianPrior().log_density(z).sum())(jnp.ones((4, 2, 3)))
    assert np.isfinite(gradient).all()


def test_variances_are_checked():
    with pytest.raises(ConfigError, match=r"within_variance is 0\.0; a variance is positive"):
        FlatPrior(within_variance=0.0)
    with pytest.raises(ConfigError, match="between_variance is -1"):
        GaussianPrior(between_variance=-1.0)
    with pytest.raises(ConfigError, match="the default of between_variance"):
        GaussianPrior(within_variance=1.5).log_density(jnp.zeros((1, 2, 3)))
