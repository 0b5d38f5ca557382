"""Forecast of linear SimVAE from a small random start, with every mode on its own.

It is made as for Barlow Twins (`dynamics.flow.closed_form`). Modes grow exponentially, each into what the modes before
it have left free of the latent dimensions, so mode j starts from the j-th diagonal entry of a QR factorisation in the
order of the rates. From there each mode follows its own equation to its own end.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.flow.integrate import integrate
from dynamics.generative.linear import TiedPLDA
from dynamics.generative.linear_flow import prior_precision
from dynamics.typing import Array

Values = Float[np.ndarray, " modes"]
Curves = Float[np.ndarray, "times modes"]


def simvae_growth(model: TiedPLDA, variance: Values, correlation: Values) -> Values:
    """Rate at which a mode of encoder and decoder grows from a small start, negative for those that die out.

    It is the larger eigenvalue of (J/τ²)[[−s, v], [v, −τ²v(α − βμ)]]. So a mode is learned if v(1 − βμ/α)⁻¹ > τ². For
    small noise the rate is (J/2τ²)(√(s² + 4v²) − s), which depends on the variance alone.
    """
    return _simvae_modes(model, variance, correlation)[0]


def plda_forecast(
    model: TiedPLDA,
    variance: Values,
    correlation: Values,
    start: Float[np.ndarray, "modes latent"],
    times: Float[np.ndarray, " times"],
) -> Curves:
    """Variance of every mode in the embedding along the flow of the log-likelihood.

    Parameters
    ----------
    model : TiedPLDA
        The model, with its variances and J.
    variance, correlation : array (m,)
        Variances v and correlations μ of the data.
    start : array (m, d)
        The decoder W(0) at the start, in the basis of the modes.
    times : array (T,)
        Gradient-flow times, ascending from 0.

    Returns
    -------
    array (T, m)
        Variances v w²/(w² + τ²/(g² + σ²))², for the encoder of the exact posterior.
    """
    amplitudes = _free_parts(start, model.growth_rate(variance, correlation))
    J, p, q = model.num_views, model.num_views * model.between_variance + model.within_variance, model.within_variance
    common, differing = variance * (1 + (J - 1) * correlation), variance * (1 - correlation)

    def velocity(t: Array, w: jax.Array, data: tuple) -> jax.Array:
        common, differing = data
        A_s, A_d = model.noise + p * w**2, model.noise + q * w**2
        return w * (p * (common - A_s) / A_s**2 + (J - 1) * q * (differing - A_d) / A_d**2)

    w, _ = integrate(velocity, amplitudes, (common, differing), times, _itself)
    ridge = model.noise / (model.between_variance + model.within_variance)
    return variance * w**2 / (w**2 + ridge) ** 2


def simvae_forecast(
    model: TiedPLDA,
    variance: Values,
    correlation: Values,
    encoder: Float[np.ndarray, "latent modes"],
    decoder: Float[np.ndarray, "modes latent"],
    times: Float[np.ndarray, " times"],
) -> Curves:
    """Variance v u² of every mode in the embedding along the flow of ELBO_SSL; parameters as in `plda_forecast`.

    `encoder` (d, m) and `decoder` (m, d) are V(0) and W(0) in the basis of the modes.
    """
    rates, direction = _simvae_modes(model, variance, correlation)
    starts = direction[:, :1] * decoder + direction[:, 1:] * encoder.T  # the part along the growing direction
    amplitudes = _free_parts(starts, rates)
    alpha, beta = prior_precision(model)
    J, tau2 = model.num_views, model.noise

    def velocity(t: Array, wu: jax.Array, data: tuple) -> jax.Array:
        v, mu = data
        w, u = wu
        s = 1 / (alpha + w**2 / tau2)
        residual = v * (1 - w * u)
        return J * jnp.stack([(residual * u - s * w) / tau2, residual * w / tau2 - v * (alpha - beta * mu) * u])

    wu, _ = integrate(velocity, (direction * amplitudes[:, None]).T, (variance, correlation), times, _itself)
    return variance * wu[:, 1] ** 2


def arrival_times(curves: Curves, times: Float[np.ndarray, " times"]) -> Values:
    """When each curve first passes half of its highest value, interpolated; infinite for those that stay at zero."""
    arrivals = np.full(curves.shape[1], np.inf)
    for k, curve in enumerate(curves.T):
        half = curve.max() / 2
        after = int(np.argmax(curve >= half))
        if half > 1e-6 and after > 0:
            arrivals[k] = np.interp(half, curve[after - 1 : after + 1], times[after - 1 : after + 1])
    return arrivals


def _simvae_modes(model: TiedPLDA, variance: Values, correlation: Values) -> tuple[Values, np.ndarray]:
    """Rates, and unit vectors (w, u) (m, 2) along which each mode grows: the matrices are symmetric."""
    alpha, beta = prior_precision(model)
    matrices = np.empty((len(variance), 2, 2))
    matrices[:, 0, 0], matrices[:, 1, 1] = -1 / alpha, -model.noise * variance * (alpha - beta * correlation)
    matrices[:, 0, 1] = matrices[:, 1, 0] = variance
    rates, vectors = np.linalg.eigh(model.num_views / model.noise * matrices)
    return rates[:, 1], np.abs(vectors[:, :, 1])  # both entries of the leading vector have one sign


def _free_parts(start: Float[np.ndarray, "modes latent"], rates: Values) -> Values:
    """Amplitude of each mode in what faster ones leave free; 0 for modes beyond the latent dimensions."""
    order = np.argsort(-rates)
    diagonal = np.abs(np.linalg.qr(start[order].T)[1].diagonal())
    amplitudes = np.zeros(len(rates))
    amplitudes[order[: len(diagonal)]] = diagonal
    return amplitudes


def _itself(t: Array, state: jax.Array, data: tuple) -> jax.Array:
    return state
