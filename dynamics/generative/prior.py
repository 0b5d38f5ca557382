"""Priors of J views that share their content: p(z_1 … z_J) = ∫ p(ψ) Π_j N(z_j; ψ, σ²I) dψ, in closed form.

Bizeul et al. (2024) take a mixture over y = 1 … N, one component ψ_y for every training sample; averaged over a prior
of ψ it is a Gaussian of the views together. Views of one sample lie around their own mean z̄, and the two priors here
differ in where that mean may lie.

>>> import jax.numpy as jnp
>>> z = jnp.asarray([[[1.0, 0.0]], [[0.0, 0.0]]])  # two views (J = 2) of one sample, in two dimensions
>>> prior = FlatPrior(within_variance=0.25)
>>> exponent = prior.log_density(z) - prior.log_density(0 * z)
>>> bool(jnp.allclose(exponent, -1.0))  # −‖z_1 − z_2‖²/4σ²
True
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.typing import Array

WITHIN_VARIANCE = 0.15
"""σ² of the released code of Bizeul et al. (2024), for all data sets."""

Latents = Float[Array, "views batch latent"]


@dataclass(frozen=True, kw_only=True)
class Prior(ABC):
    """Density of the latents z (J, batch, d) of J views of every sample.

    Parameters
    ----------
    within_variance : float
        Variance σ² of each latent dimension among the views of one sample.

    Raises
    ------
    ConfigError
        If a variance is not positive.
    """

    within_variance: float = WITHIN_VARIANCE

    def __post_init__(self) -> None:
        _require_positive("within_variance", self.within_variance)

    def log_density(self, latents: Latents) -> Float[Array, " batch"]:
        """Log p(z_1 … z_J) of every sample, in nats, from the latents (J, batch, d)."""
        return self.expected_log_density(latents, jnp.zeros_like(latents))

    def expected_log_density(self, means: Latents, variances: Latents) -> Float[Array, " batch"]:
        """E_q log p(z_1 … z_J) for independent z_j ~ N(μ_j, diag s²_j), exactly.

        The exponents are quadratic, so two moments are all there is to it: E Σ_j ‖z_j − z̄‖² = Σ_j ‖μ_j − μ̄‖² +
        (1 − 1/J) Σ_jk s²_jk and E ‖z̄‖² = ‖μ̄‖² + Σ_jk s²_jk/J².

        Parameters
        ----------
        means, variances : array (J, batch, d)
            Means μ and variances s² of each view's latent.
        """
        J, _, d = means.shape
        centre, noise = means.mean(axis=0), variances.sum(axis=(0, 2))
        spread = jnp.square(means - centre).sum(axis=(0, 2)) + (1 - 1 / J) * noise
        level = jnp.square(centre).sum(axis=1) + noise / J**2
        return self._log_density(spread, level, J, d)

    @abstractmethod
    def _log_density(
        self, spread: Float[Array, " batch"], level: Float[Array, " batch"], J: int, d: int
    ) -> Float[Array, " batch"]:
        """Log-density as a function of Σ_j ‖z_j − z̄‖² and ‖z̄‖²."""


@dataclass(frozen=True, kw_only=True)
class FlatPrior(Prior):
    """Prior under which any ψ is equally likely ("uniform" in the released code): only distances to the mean count.

    The log-density is −(d(J−1)/2) log 2πσ² − (d/2) log J − (1/2σ²) Σ_j ‖z_j − z̄‖², a density along the differences of
    views alone. One view on its own is not constrained at all.
    """

    def _log_density(
        self, spread: Float[Array, " batch"], level: Float[Array, " batch"], J: int, d: int
    ) -> Float[Array, " batch"]:
        s2 = self.within_variance
        return -d * (J - 1) / 2 * jnp.log(2 * jnp.pi * s2) - d / 2 * math.log(J) - spread / (2 * s2)


@dataclass(frozen=True, kw_only=True)
class GaussianPrior(Prior):
    """ψ ~ N(0, g²I): the latents of the J views are jointly Gaussian, with covariance σ²δ_ij + g² in each dimension.

    Parameters
    ----------
    within_variance : float
        Variance σ² among the views of one sample.
    between_variance : float, optional
        Variance g² of ψ. The default is 1 − σ²/J, the choice of the released code, at which z̄ has unit variance and a
        single view (J = 1) the distribution N(0, I) of a VAE.
    """

    between_variance: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.between_variance is not None:
            _require_positive("between_variance", self.between_variance)

    def between(self, num_views: int) -> float:
        """Return the variance g² for J views.

        Raises
        ------
        ConfigError
            If `between_variance` is left out and its default 1 − σ²/J is not positive.
        """
        if self.between_variance is not None:
            return self.between_variance
        _require_positive(
            "1 − within_variance/J, the default of between_variance,", 1 - self.within_variance / num_views
        )
        return 1 - self.within_variance / num_views

    def correlation(self, num_views: int) -> float:
        """ρ = g²/(g² + σ²), the correlation of two views in each latent dimension."""
        return self.between(num_views) / (self.between(num_views) + self.within_variance)

    def _log_density(
        self, spread: Float[Array, " batch"], level: Float[Array, " batch"], J: int, d: int
    ) -> Float[Array, " batch"]:
        s2, total = self.within_variance, self.within_variance + J * self.between(J)
        normaliser = d / 2 * (J * math.log(2 * math.pi) + (J - 1) * jnp.log(s2) + jnp.log(total))
        return -normaliser - (spread / s2 + J * level / total) / 2


def _require_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"{name} is {value}; a variance is positive and finite.")
