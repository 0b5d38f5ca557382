"""Linear SimVAE: likelihood, optimum and thresholds without the formulas, and its dynamics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from sklearn.decomposition import PCA

from dynamics.errors import ConfigError
from dynamics.generative import (
    TiedPLDA,
    arrival_times,
    linear_elbo,
    plda_flow,
    plda_forecast,
    plda_log_likelihood,
    simvae_flow,
    simvae_forecast,
    simvae_growth,
)
from dynamics.support.precision import double_precision


@pytest.mark.parametrize("J", [1, 2, 4])
def test_likelihood_is_that_of_all_views_together(rng, J):
    """Against SciPy's normal density of the stacked views, on samples, up to the constant."""
    model = TiedPLDA(within_variance=0.3, between_variance=0.8, noise=0.2, num_views=J)
    W, samples = rng.normal(size=(4, 2)), 500
    psi = rng.normal(size=(samples, 4))
    x = np.stack([psi + 0.5 * rng.normal(size=(samples, 4)) for _ in range(J)])
    Sigma = np.einsum("jbi,jbk->ik", x, x) / (J * samples)
    total = x.sum(axis=0)
    Gamma = (total.T @ total / samples - J * Sigma) / (J * (J - 1)) if J > 1 else 0 * Sigma
    covariance = np.kron(0.3 * np.eye(J) + 0.8, W @ W.T) + 0.2 * np.eye(4 * J)
    normal = scipy.stats.multivariate_normal(cov=covariance)
    expected = normal.logpdf(np.swapaxes(x, 0, 1).reshape(samples, -1)).mean()
    with double_precision():
        value = float(plda_log_likelihood(jnp.asarray(W), jnp.asarray(Sigma), jnp.asarray(Gamma), model))
    np.testing.assert_allclose(value - 2 * J * np.log(2 * np.pi), expected, rtol=1e-10)


def test_modes_are_the_likelihood_of_diagonal_weights(rng):
    model = TiedPLDA(noise=0.2, num_views=3)
    v, mu, w = rng.uniform(0.5, 2, 3), rng.uniform(0, 1, 3), rng.uniform(0, 1, 3)
    with double_precision():
        value = plda_log_likelihood(
            jnp.diag(jnp.asarray(w)), jnp.diag(jnp.asarray(v)), jnp.diag(jnp.asarray(v * mu)), model
        )
    np.testing.assert_allclose(model.log_likelihood(w**2, v, mu).sum(), value, rtol=1e-12)


def test_one_view_is_probabilistic_pca(rng):
    """Optimal energies against scikit-learn's maximum-likelihood fit, given its noise."""
    x = rng.normal(size=(400, 6)) * np.sqrt([5.0, 3.0, 1.0, 0.5, 0.4, 0.3])
    pca = PCA(2).fit(x)
    v = np.linalg.eigvalsh(np.cov(x, rowvar=False))[::-1]
    model = TiedPLDA(noise=pca.noise_variance_, num_views=1)
    energy = model.optimal_energy(v, np.zeros(6))
    fitted = (model.between_variance + model.within_variance) * energy[:2] + model.noise
    np.testing.assert_allclose(fitted, pca.explained_variance_, rtol=1e-10)
    value = model.log_likelihood(np.where(np.arange(6) < 2, energy, 0), v, np.zeros(6)).sum()
    samples = (x - x.mean(axis=0)) * np.sqrt(399 / 400) ** -1  # so that their covariance is the unbiased one
    np.testing.assert_allclose(value - 3 * np.log(2 * np.pi), pca.score(samples + pca.mean_), rtol=1e-3)


@pytest.mark.parametrize(("v", "mu", "noise", "J"), [(1.0, 1.0, 0.1, 2), (1.5, 0.0, 0.3, 2), (0.8, 0.6, 0.05, 5)])
def test_optimal_energy_against_a_search(v, mu, noise, J):
    model = TiedPLDA(noise=noise, num_views=J)
    grid = np.geomspace(1e-4, 1e2, 4001)
    values = model.log_likelihood(grid, np.full(4001, v), np.full(4001, mu))
    best = model.optimal_energy(np.array([v]), np.array([mu]))
    np.testing.assert_allclose(best, grid[values.argmax()], rtol=5e-3)
    assert model.log_likelihood(best, np.array([v]), np.array([mu]))[0] >= values.max()
    assert (TiedPLDA(noise=5.0).optimal_energy(np.array([1.0]), np.array([1.0])) == 0).all()


@pytest.mark.parametrize(("noise", "variance"), [(0.01, 1.02), (0.05, 1.09), (0.1, 1.17), (0.3, 1.44), (0.6, 1.67)])
def test_style_thresholds(noise, variance):
    assert TiedPLDA(noise=noise).style_threshold() == pytest.approx(variance, abs=0.01)


def test_thresholds_bracket_what_is_given_up():
    for noise in (0.01, 0.1, 0.6):
        model = TiedPLDA(noise=noise)
        assert 1 < model.style_threshold() < model.growth_threshold() == pytest.approx(1 + 1 / 1.15)
    with pytest.raises(ConfigError, match="hidden by the noise"):
        TiedPLDA(noise=5.0).style_threshold()


def test_growth_is_the_curvature_at_zero():
    model, v, mu = TiedPLDA(noise=0.3, num_views=3), np.array([1.2, 0.9]), np.array([0.3, 1.0])
    h = 1e-3
    curvature = 2 * (model.log_likelihood(np.full(2, h**2), v, mu) - model.log_likelihood(np.zeros(2), v, mu)) / h**2
    np.testing.assert_allclose(model.growth_rate(v, mu), curvature, rtol=1e-4)
    simvae = simvae_growth(model, v, mu)
    for k in range(2):
        Sigma, Gamma = np.array([[v[k]]]), np.array([[v[k] * mu[k]]])
        with double_precision():
            hessian = jax.hessian(lambda wu, S=Sigma, G=Gamma: linear_elbo(wu[1:, None], wu[:1, None], S, G, model))
            rates = np.linalg.eigvalsh(np.asarray(hessian(jnp.zeros(2))))
        np.testing.assert_allclose(simvae[k], rates[-1], rtol=1e-8)


@pytest.fixture(scope="module")
def case():
    """Three modes whose order by v, by v(1 + ρμ) and by vμ differs, and a random small start."""
    rng = np.random.default_rng(0)
    v, mu = np.array([2.0, 1.4, 0.9]), np.array([0.05, 0.9, 0.4])
    return TiedPLDA(noise=0.1), v, mu, 1e-4 * rng.normal(size=(3, 3)), 1e-4 * rng.normal(size=(3, 3))


def test_the_optimum_is_stationary_among_all_weights(rng):
    model, v, mu = TiedPLDA(noise=0.1), np.array([2.0, 1.4, 0.9]), np.array([0.05, 0.9, 0.4])
    W = np.diag(np.sqrt(model.optimal_energy(v, mu))) @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    with double_precision():
        arguments = jnp.diag(jnp.asarray(v)), jnp.diag(jnp.asarray(v * mu)), model
        gradient = jax.grad(plda_log_likelihood)(jnp.asarray(W), *arguments)
        at_half = jax.grad(plda_log_likelihood)(jnp.asarray(W / 2), *arguments)
    assert np.abs(gradient).max() < 1e-8 < 1e-2 < np.abs(at_half).max()


@pytest.mark.slow
def test_flow_of_the_likelihood_comes_as_forecast(case):
    model, v, mu, W, _ = case
    rates = model.growth_rate(v, mu)
    times = np.linspace(0, 14 / rates.min(), 300)
    run = plda_flow(model, np.diag(v), np.diag(v * mu), W, times)
    assert (np.diff(run.trajectory.loss) < 1e-9).all()
    measured, forecast = run.mode_variances(np.eye(3), v), plda_forecast(model, v, mu, W, times)
    np.testing.assert_allclose(arrival_times(forecast, times), arrival_times(measured, times), rtol=0.03)
    assert (np.argsort(arrival_times(measured, times)) == [1, 0, 2]).all()  # by v(1 + ρμ)
    np.testing.assert_allclose(run.trajectory.covariance.sum(axis=1), measured.sum(axis=1), rtol=1e-8)


def test_flow_with_an_encoder_goes_by_variance(case):
    model, v, mu, W, V = case
    times = np.linspace(0, 14 / simvae_growth(model, v, mu).min(), 300)
    run = simvae_flow(model, np.diag(v), np.diag(v * mu), V, W, times)
    assert (np.diff(run.trajectory.loss) < 1e-9).all()
    measured, forecast = run.mode_variances(np.eye(3), v), simvae_forecast(model, v, mu, V, W, times)
    arrivals = arrival_times(measured, times)
    assert (np.argsort(arrivals) == [0, 1, 2]).all()
    # the factorised posterior couples latent axes that do not point along modes: later modes are off by some per cent
    np.testing.assert_allclose(arrival_times(forecast, times), arrivals, rtol=0.1)


def test_arrival_is_half_of_the_peak():
    times = np.linspace(0, 1, 101)
    curves = np.stack([times, np.zeros(101)], axis=1)
    np.testing.assert_allclose(arrival_times(curves, times), [0.5, np.inf])


@pytest.mark.parametrize("settings", [{"noise": 0.0}, {"within_variance": -1.0}, {"num_views": 0}])
def test_settings_are_checked(settings):
    with pytest.raises(ConfigError):
        TiedPLDA(**settings)
