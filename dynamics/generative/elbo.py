"""ELBO_SSL = Σ_j E_q log p(x_j | z_j) + Σ_j H[q(z_j | x_j)] + E_q log p(z_1 … z_J), Bizeul et al. (2024).

For a single view (J = 1) and a prior N(0, I) it is the evidence lower bound of a VAE.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
from jaxtyping import Float, Key

from dynamics.generative.likelihood import Likelihood
from dynamics.generative.posterior import Posterior
from dynamics.generative.prior import Prior
from dynamics.typing import Array

CODE_ENTROPY_WEIGHT = 2 * math.pi
"""Weight of the entropy in the released code, where a factor of the normaliser seems misplaced; 1 is correct."""


class ElboTerms(NamedTuple):
    """The bound term by term, in nats a sample, each summed over the J views and averaged over the batch.

    Parameters
    ----------
    reconstruction : array ()
        Reconstruction term Σ_j E_q log p(x_j | z_j), from one draw of z.
    entropy : array ()
        Entropy Σ_j H[q(z_j | x_j)], computed exactly, times its weight.
    prior : array ()
        Prior term E_q log p(z_1 … z_J), computed exactly.
    """

    reconstruction: Float[Array, ""]
    entropy: Float[Array, ""]
    prior: Float[Array, ""]

    @property
    def total(self) -> Float[Array, ""]:
        """The sum of the terms, the bound (a lower bound of the evidence only for weights of 1)."""
        return self.reconstruction + self.entropy + self.prior


def elbo(
    key: Key[jax.Array, ""],
    views: Float[Array, "views batch ..."],
    posterior: Posterior,
    decode: Callable[[Float[Array, "rows latent"]], Float[Array, "rows ..."]],
    prior: Prior,
    likelihood: Likelihood,
    *,
    entropy_weight: float = 1.0,
    regulariser_weight: float = 1.0,
) -> ElboTerms:
    """Compute the bound for a batch of samples with J views each.

    Parameters
    ----------
    key : jax key
        Random key from which z is drawn.
    views : array (J, batch, *shape)
        Views x_1 … x_J of every sample.
    posterior : Posterior
        Posterior q(z_j | x_j), with means and log-variances (J, batch, d).
    decode : callable
        Latents (rows, d) -> what the likelihood takes, (rows, *shape).
    prior, likelihood
        The distributions p(z_1 … z_J) and p(x | z).
    entropy_weight : float
        Weight of the entropy alone; the released code has `CODE_ENTROPY_WEIGHT`.
    regulariser_weight : float
        Weight of entropy and prior together, which is the β of a β-VAE (Higgins et al. 2017) if J = 1.
    """
    J, batch = views.shape[:2]
    latents = posterior.sample(key).reshape(J * batch, -1)
    log_likelihood = likelihood.log_density(decode(latents), views.reshape(J * batch, *views.shape[2:]))
    return ElboTerms(
        reconstruction=J * log_likelihood.mean(),
        entropy=regulariser_weight * entropy_weight * posterior.entropy().sum(axis=0).mean(),
        prior=regulariser_weight * prior.expected_log_density(posterior.mean, posterior.variance).mean(),
    )
