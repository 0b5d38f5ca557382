"""Gradient flow of linear SimVAE from a small start, which tells the modes that come first from those that come later.

Two ways to fit it, both ascending the exact objective of the data's Σ and Γ:

- `plda_flow`, the log-likelihood itself, as if every posterior were known: mode j of variance v and correlation μ grows
  by its v(1 + (J − 1)ρμ) (see `TiedPLDA.growth_rate`);
- `simvae_flow`, ELBO_SSL with a linear encoder μ(x) = Vx that is learned together with the decoder W: near zero

      ẇ = (J/τ²)(v u − s w) ,   u̇ = (J/τ²) v w − J v(α − βμ) u ,

  with the posterior variance s = 1/α and the prior's precision α within and −β/(J − 1) between views. The data enter by
  v/τ², the correlation μ only by a term without 1/τ²: the smaller the noise, the more it is variance alone.

Barlow Twins grows by γ = vμ, on the same pairs (`dynamics.flow`).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.flow.integrate import integrate
from dynamics.generative.linear import TiedPLDA, plda_log_likelihood
from dynamics.support.one_line import one_line
from dynamics.support.precision import double_precision, in_full_precision
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array

Times = Float[np.ndarray, " times"]
Moments = Float[np.ndarray, "inputs inputs"]
Decoder = Float[np.ndarray, "inputs latent"]
Encoder = Float[np.ndarray, "latent inputs"]


@dataclass(frozen=True, eq=False)
class LinearRun:
    """Course of a linear model.

    Parameters
    ----------
    trajectory : Trajectory
        Its `eigenvalues` are those of VΓVᵀ, its `covariance` those of VΣVᵀ, and its `loss` is the negative objective; V
        is the encoder.
    encoders : array (T, d, m)
        The encoder V at every time.
    """

    trajectory: Trajectory
    encoders: Float[np.ndarray, "times latent inputs"]

    __repr__ = one_line

    def mode_variances(
        self, basis: Float[np.ndarray, "inputs modes"], variance: Array
    ) -> Float[np.ndarray, "times modes"]:
        """Variance v_k‖V e_k‖² that each mode contributes to the embedding, for a basis that diagonalises Σ."""
        return variance * np.square(self.encoders @ basis).sum(axis=1)


def prior_precision(model: TiedPLDA) -> tuple[float, float]:
    """α and β: E log p(z_1 … z_J) = −(J/2)(α E z_j² − β E z_i z_j) + const, of a latent dimension."""
    J, s2, g2 = model.num_views, model.within_variance, model.between_variance
    total = s2 * (s2 + J * g2)
    return (s2 + (J - 1) * g2) / total, (J - 1) * g2 / total


@in_full_precision
def linear_elbo(
    encoder: Float[Array, "latent inputs"],
    decoder: Float[Array, "inputs latent"],
    covariance: Float[Array, "inputs inputs"],
    cross_covariance: Float[Array, "inputs inputs"],
    model: TiedPLDA,
) -> Float[jax.Array, ""]:
    """ELBO_SSL in nats a sample, up to a constant, for q(z|x) = N(Vx, diag s²) with the best s².

    −(J/2τ²)[E‖x − WVx‖² + Σ_k s²_k‖w_k‖²] − (J/2)[tr V(αΣ − βΓ)Vᵀ + α Σ_k s²_k] + (J/2) Σ_k log s²_k .
    """
    V, W, Sigma, Gamma = encoder, decoder, covariance, cross_covariance
    alpha, beta = prior_precision(model)
    J, tau2 = model.num_views, model.noise
    norms = jnp.square(W).sum(axis=0)
    s2 = 1 / (alpha + norms / tau2)
    WV = W @ V
    error = jnp.trace(Sigma) - 2 * jnp.trace(WV @ Sigma) + jnp.trace(WV @ Sigma @ WV.T)
    energy = jnp.trace(V @ (alpha * Sigma - beta * Gamma) @ V.T)
    # with the best s², α s² + s²‖w‖²/τ² = 1 in every dimension
    return -J / 2 * (error / tau2 + energy + (1 - jnp.log(s2)).sum())


def plda_flow(
    model: TiedPLDA, covariance: Moments, cross_covariance: Moments, start: Decoder, times: Times
) -> LinearRun:
    """Ascend the log-likelihood of linear SimVAE in its decoder, Ẇ = ∇L(W).

    Parameters
    ----------
    model : TiedPLDA
        The model, with its variances and J.
    covariance, cross_covariance : array (m, m)
        Covariance Σ of single views and cross-covariance Γ of partners.
    start : array (m, d)
        The decoder W(0) at the start.
    times : array (T,)
        Gradient-flow times, ascending from 0.
    """
    gradient = jax.grad(plda_log_likelihood)

    def velocity(t: Array, W: jax.Array, moments: tuple) -> jax.Array:
        return gradient(W, *moments, model)

    def save(t: Array, W: jax.Array, moments: tuple) -> jax.Array:
        return W

    moments = (np.asarray(covariance, float), np.asarray(cross_covariance, float))
    decoders, _ = integrate(velocity, start, moments, times, save)
    losses = [-_in_double(plda_log_likelihood, W, *moments, model) for W in decoders]
    encoders = np.array([posterior_encoder(model, W) for W in decoders])
    return _run("plda", encoders, np.array(losses), times, moments, model)


def simvae_flow(
    model: TiedPLDA,
    covariance: Moments,
    cross_covariance: Moments,
    encoder: Encoder,
    decoder: Decoder,
    times: Times,
) -> LinearRun:
    """Ascend ELBO_SSL of linear SimVAE in encoder and decoder together, with the best posterior variances at all times.

    Parameters
    ----------
    model, covariance, cross_covariance, times
        Model, moments of the data and times, as for `plda_flow`.
    encoder, decoder : array (d, m), (m, d)
        Encoder V(0) and decoder W(0) at the start.
    """
    gradient = jax.grad(lambda VW, *rest: linear_elbo(VW[0].T, VW[1], *rest))

    def velocity(t: Array, VW: jax.Array, moments: tuple) -> jax.Array:
        return gradient(VW, *moments, model)

    def save(t: Array, VW: jax.Array, moments: tuple) -> jax.Array:
        return VW

    moments = (np.asarray(covariance, float), np.asarray(cross_covariance, float))
    states, _ = integrate(velocity, np.stack([encoder.T, decoder]), moments, times, save)
    encoders = np.swapaxes(states[:, 0], 1, 2)
    losses = [-_in_double(linear_elbo, V, W, *moments, model) for V, W in zip(encoders, states[:, 1], strict=True)]
    return _run("linear_simvae", encoders, np.array(losses), times, moments, model)


def posterior_encoder(model: TiedPLDA, decoder: Decoder) -> Encoder:
    """V of the exact posterior mean of a single view, E[z|x] = Vx = (WᵀW + τ²/(g² + σ²) I)⁻¹ Wᵀ x."""
    ridge = model.noise / (model.between_variance + model.within_variance)
    return np.linalg.solve(decoder.T @ decoder + ridge * np.eye(decoder.shape[1]), decoder.T)


def _in_double(objective, *arguments) -> float:
    with double_precision():
        return float(objective(*(jnp.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments)))


def _run(
    rung: str, encoders: np.ndarray, losses: np.ndarray, times: Times, moments: tuple, model: TiedPLDA
) -> LinearRun:
    covariance, cross = (np.linalg.eigvalsh(encoders @ M @ np.swapaxes(encoders, 1, 2))[:, ::-1] for M in moments)
    settings = {
        "within_variance": model.within_variance,
        "between_variance": model.between_variance,
        "noise": model.noise,
        "num_views": model.num_views,
    }
    return LinearRun(Trajectory(times, cross, losses, covariance=covariance, rung=rung, meta=settings), encoders)
