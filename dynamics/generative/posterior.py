"""Approximate posterior q(z | x) = N(μ(x), diag s²(x)) of one view's latent."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Key

from dynamics.typing import Array


class Posterior(NamedTuple):
    """Diagonal Gaussians, one for every row.

    Parameters
    ----------
    mean, log_variance : array (..., d)
        Means μ and log-variances log s².
    """

    mean: Float[Array, "... latent"]
    log_variance: Float[Array, "... latent"]

    @staticmethod
    def of(output: Float[Array, "... twice_latent"]) -> "Posterior":
        """Read the encoder's output (..., 2d) as [μ, log s²]."""
        return Posterior(*jnp.split(output, 2, axis=-1))

    @property
    def variance(self) -> Float[Array, "... latent"]:
        """s² (..., d)."""
        return jnp.exp(self.log_variance)

    def sample(self, key: Key[jax.Array, ""]) -> Float[Array, "... latent"]:
        """One draw of every row, differentiable in μ and s (Kingma & Welling 2014)."""
        return self.mean + jnp.exp(self.log_variance / 2) * jax.random.normal(key, self.mean.shape, self.mean.dtype)

    def entropy(self) -> Float[Array, "..."]:
        """H[q] = ½ Σ_k (log s²_k + log 2πe) of every row, in nats."""
        return (self.log_variance + (1 + jnp.log(2 * jnp.pi))).sum(axis=-1) / 2

    def divergence(self, other: "Posterior") -> Float[Array, "..."]:
        """KL(self ‖ other) of every row, in nats."""
        ratio = jnp.exp(self.log_variance - other.log_variance)
        distance = jnp.square(self.mean - other.mean) / other.variance
        return (ratio + distance - 1 - self.log_variance + other.log_variance).sum(axis=-1) / 2
