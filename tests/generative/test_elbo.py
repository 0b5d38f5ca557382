"""The bound against sampling of all its terms, a VAE written out, and the evidence of a linear model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import linen as nn

from dynamics.errors import ConfigError
from dynamics.generative import (
    CODE_ENTROPY_WEIGHT,
    Bernoulli,
    FlatPrior,
    Gaussian,
    GaussianPrior,
    Posterior,
    SimVAE,
    TiedPLDA,
    elbo,
    linear_elbo,
)
from dynamics.networks import MLPDecoder, MLPEncoder
from dynamics.support.precision import double_precision

KEY = jax.random.key(0)


def linear_case(rng, J, batch=1):
    """Decoder W (m, d), views (J, batch, m) and a posterior (J, batch, d)."""
    W = rng.normal(size=(5, 2))
    x = rng.normal(size=(J, batch, 5))
    mean, log_variance = rng.normal(size=(J, batch, 2)), rng.uniform(-2, 0, size=(J, batch, 2))
    return W, x, mean, log_variance


@pytest.mark.parametrize("J", [1, 2, 3])
def test_the_bound_is_the_mean_over_samples_of_the_posterior(rng, J):
    """E_q[log p(x|z) + log p(z) − log q(z)], every density from SciPy."""
    W, x, mean, log_variance = linear_case(rng, J)
    draws, noise, s2 = 20_000, 0.3, 0.2
    z = mean + np.exp(log_variance / 2) * rng.normal(size=(J, draws, 2))
    samples = -scipy.stats.norm.logpdf(z, mean, np.exp(log_variance / 2)).sum(axis=(0, 2))
    samples += scipy.stats.norm.logpdf(x, z @ W.T, np.sqrt(noise)).sum(axis=(0, 2))
    covariance = np.kron(s2 * np.eye(J) + 1.0, np.eye(2))
    samples += scipy.stats.multivariate_normal(cov=covariance).logpdf(np.swapaxes(z, 0, 1).reshape(draws, -1))
    with double_precision():
        posterior = Posterior(*(jnp.asarray(np.repeat(part, draws, axis=1)) for part in (mean, log_variance)))
        terms = elbo(
            KEY,
            jnp.asarray(np.repeat(x, draws, axis=1)),
            posterior,
            lambda latents: latents @ W.T,
            GaussianPrior(within_variance=s2, between_variance=1.0),
            Gaussian(noise),
        )
    # both sides have an error of the same kind
    assert abs(samples.mean() - float(terms.total)) < 6 * samples.std() / np.sqrt(draws)


def test_one_view_is_a_vae(rng):
    """Reconstruction minus KL(q ‖ N(0, I)) with the same noise, as Kingma & Welling write it."""
    model = SimVAE(MLPEncoder((8,), 6), MLPDecoder((8,), (4, 4, 1)), GaussianPrior(), Bernoulli(), latent=3)
    params = model.init(KEY, (4, 4, 1))
    images = jnp.asarray(rng.uniform(size=(7, 4, 4, 1)), jnp.float32)
    mean, log_variance = jnp.split(model.encoder.apply(params["encoder"], images), 2, axis=1)
    z = mean + jnp.exp(log_variance / 2) * jax.random.normal(KEY, (1, 7, 3))[0]
    p = jax.nn.sigmoid(model.decoder.apply(params["decoder"], z))
    log_likelihood = (images * jnp.log(p) + (1 - images) * jnp.log1p(-p)).sum(axis=(1, 2, 3)).mean()
    divergence = 0.5 * (jnp.exp(log_variance) + mean**2 - 1 - log_variance).sum(axis=1).mean()
    terms = model.elbo(params, KEY, images[None])
    np.testing.assert_allclose(terms.total, log_likelihood - divergence, rtol=1e-5)
    np.testing.assert_allclose(terms.reconstruction, log_likelihood, rtol=1e-5)


@pytest.mark.parametrize("J", [1, 2, 4])
def test_the_linear_bound_and_its_evidence(rng, J):
    """`linear_elbo` is the mean of `elbo` over data, and below the likelihood of the whole sample."""
    model = TiedPLDA(within_variance=0.3, between_variance=0.8, noise=0.2, num_views=J)
    W, V = rng.normal(size=(4, 2)), 0.4 * rng.normal(size=(2, 4))
    batch = 400
    psi = rng.normal(size=(batch, 4))
    x = np.stack([psi + 0.5 * rng.normal(size=(batch, 4)) for _ in range(J)])
    Sigma = np.einsum("jbi,jbk->ik", x, x) / (J * batch)
    total = x.sum(axis=0)
    cross = total.T @ total / batch - J * Sigma
    Gamma = cross / (J * (J - 1)) if J > 1 else np.zeros_like(Sigma)
    alpha = np.linalg.inv(0.3 * np.eye(J) + 0.8)[0, 0]
    log_variance = np.log(1 / (alpha + np.square(W).sum(axis=0) / 0.2))
    covariance = np.kron(0.3 * np.eye(J) + 0.8, W @ W.T) + 0.2 * np.eye(4 * J)
    evidence = scipy.stats.multivariate_normal(cov=covariance).logpdf(np.swapaxes(x, 0, 1).reshape(batch, -1)).mean()
    with double_precision():
        posterior = Posterior(jnp.asarray(x @ V.T), jnp.broadcast_to(log_variance, (J, batch, 2)))

        def bound(key):
            prior = GaussianPrior(within_variance=0.3, between_variance=0.8)
            return elbo(key, jnp.asarray(x), posterior, lambda z: z @ W.T, prior, Gaussian(0.2)).total

        sampled = np.asarray(jax.jit(jax.vmap(bound))(jax.random.split(KEY, 200)))
        exact = linear_elbo(V, W, Sigma, Gamma, model)
        zero = linear_elbo(0 * V, 0 * W, Sigma, Gamma, model)  # fixes the constant: there the bound is the evidence
    nothing = scipy.stats.norm.logpdf(x, scale=np.sqrt(0.2)).sum(axis=(0, 2)).mean()
    # with nothing encoded the posterior of each view is the best factorised one, which misses the views' correlation
    gap = -0.5 * (np.linalg.slogdet(0.3 * np.eye(J) + 0.8)[1] + J * np.log(alpha)) * 2
    constant = nothing + gap - float(zero)
    error = sampled.std() / np.sqrt(len(sampled))
    assert abs(sampled.mean() - (float(exact) + constant)) < 5 * error + 1e-9
    assert sampled.mean() < evidence


def test_weights_multiply_their_terms(rng):
    W, x, mean, log_variance = linear_case(rng, 2, batch=3)
    posterior = Posterior(jnp.asarray(mean), jnp.asarray(log_variance))

    def terms(**weights):
        return elbo(KEY, jnp.asarray(x), posterior, lambda z: z @ W.T, FlatPrior(), Gaussian(0.1), **weights)

    plain, code, beta = terms(), terms(entropy_weight=CODE_ENTROPY_WEIGHT), terms(regulariser_weight=4.0)
    np.testing.assert_allclose(code.entropy, 2 * np.pi * plain.entropy, rtol=1e-6)
    np.testing.assert_allclose([code.prior, code.reconstruction], [plain.prior, plain.reconstruction], rtol=1e-6)
    np.testing.assert_allclose([beta.entropy, beta.prior], [4 * plain.entropy, 4 * plain.prior], rtol=1e-6)
    np.testing.assert_allclose(plain.total, sum(plain), rtol=1e-6)


def test_likelihoods_are_scipys(rng):
    images, output = rng.integers(0, 2, size=(4, 3, 3, 1)).astype(float), rng.normal(size=(4, 3, 3, 1))
    with double_precision():
        gaussian = Gaussian(0.2).log_density(jnp.asarray(output), jnp.asarray(images))
        bernoulli = Bernoulli(1.0).log_density(jnp.asarray(output), jnp.asarray(images))
        tempered = Bernoulli(0.5).log_density(jnp.asarray(output), jnp.asarray(images))
    expected = scipy.stats.norm.logpdf(images, output, np.sqrt(0.2)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(gaussian, expected, rtol=1e-12)
    expected = scipy.stats.bernoulli.logpmf(images, 1 / (1 + np.exp(-output))).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(bernoulli, expected, rtol=1e-12)
    np.testing.assert_allclose(tempered, 2 * expected, rtol=1e-12)
    with pytest.raises(ConfigError, match="decoder noise is 0"):
        Gaussian(0.0)


def test_entropy_and_divergence_of_the_posterior(rng):
    mean, other = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    log_variance, other_log_variance = rng.uniform(-1, 1, size=(2, 2, 3))
    with double_precision():
        q = Posterior(jnp.asarray(mean), jnp.asarray(log_variance))
        p = Posterior(jnp.asarray(other), jnp.asarray(other_log_variance))
        entropy, divergence = np.asarray(q.entropy()), np.asarray(q.divergence(p))
    std = np.exp(log_variance / 2)
    np.testing.assert_allclose(entropy, scipy.stats.norm.entropy(mean, std).sum(axis=1), rtol=1e-12)
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)  # exact: the log-ratio is quadratic
    z = mean[..., None] + std[..., None] * nodes
    ratio = scipy.stats.norm.logpdf(z, mean[..., None], std[..., None])
    ratio -= scipy.stats.norm.logpdf(z, other[..., None], np.exp(other_log_variance / 2)[..., None])
    np.testing.assert_allclose(divergence, (ratio @ weights / weights.sum()).sum(axis=1), rtol=1e-10)


def test_new_views_follow_the_prior(rng):
    """Decoded by the identity, partners of z have the conditional law of the second view given the first."""
    prior = GaussianPrior(within_variance=0.3, between_variance=0.9)
    model = SimVAE(Identity(2), Reshape(), prior, Gaussian(), latent=1)
    z = jnp.full((1, 1, 1, 1), 0.7)
    drawn = np.asarray(model.cross_view({"encoder": {}, "decoder": {}}, KEY, z, 40_000)).ravel()
    covariance = 0.3 * np.eye(2) + 0.9
    mean = covariance[0, 1] / covariance[0, 0] * 0.7
    variance = covariance[1, 1] - covariance[0, 1] ** 2 / covariance[0, 0]
    np.testing.assert_allclose([drawn.mean(), drawn.var()], [mean, variance], atol=0.02)


class Identity(nn.Module):
    """Image of one pixel -> [pixel, 0]."""

    outputs: int

    def __call__(self, x):
        return jnp.concatenate([x.reshape(-1, 1), jnp.zeros((len(x), 1))], axis=1)


class Reshape(nn.Module):
    """Latent -> image of one pixel."""

    def __call__(self, z):
        return z.reshape(-1, 1, 1, 1)
