"""SimVAE: encoder, decoder, prior and likelihood put together (Bizeul et al. 2024); a VAE for one view.

>>> import jax, jax.numpy as jnp
>>> from dynamics.generative import Gaussian, GaussianPrior
>>> from dynamics.networks import MLPDecoder, MLPEncoder
>>> model = SimVAE(MLPEncoder((32,), 2 * 4), MLPDecoder((32,), (8, 8, 1)), GaussianPrior(), Gaussian(0.02), latent=4)
>>> params = model.init(jax.random.key(0), (8, 8, 1))
>>> images = jnp.ones((5, 8, 8, 1))
>>> model.embed(params, images).shape, model.reconstruct(params, images).shape
((5, 4), (5, 8, 8, 1))
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Float, Key

from dynamics.generative.elbo import ElboTerms, elbo
from dynamics.generative.likelihood import Likelihood
from dynamics.generative.posterior import Posterior
from dynamics.generative.prior import GaussianPrior, Prior
from dynamics.typing import Array, Embedding

Params = Any


@dataclass(frozen=True)
class SimVAE:
    """The generative model y → z_1 … z_J → x_j with its amortised posterior.

    Parameters
    ----------
    encoder : flax module
        Images (batch, h, w, c) -> (batch, 2d), read as [μ, log s²].
    decoder : flax module
        Latents (batch, d) -> (batch, h, w, c), what the likelihood takes.
    prior : Prior
        Prior p(z_1 … z_J) of the latents.
    likelihood : Likelihood
        Likelihood p(x | z) of an image.
    latent : int
        Number of latent dimensions d.
    entropy_weight, regulariser_weight : float
        Weights of the terms of the bound, as for `elbo`.
    """

    encoder: nn.Module
    decoder: nn.Module
    prior: Prior
    likelihood: Likelihood
    latent: int
    entropy_weight: float = 1.0
    regulariser_weight: float = 1.0

    def init(self, key: Key[jax.Array, ""], shape: tuple[int, ...]) -> Params:
        """Parameters {"encoder", "decoder"} for images of a shape (h, w, c)."""
        encoder_key, decoder_key = jax.random.split(key)
        return {
            "encoder": self.encoder.init(encoder_key, jnp.zeros((1, *shape))),
            "decoder": self.decoder.init(decoder_key, jnp.zeros((1, self.latent))),
        }

    def posterior(self, params: Params, images: Float[Array, "batch h w c"]) -> Posterior:
        """q(z | x) of every image, (batch, d)."""
        return Posterior.of(self.encoder.apply(params["encoder"], images))

    def embed(self, params: Params, images: Float[Array, "batch h w c"]) -> Embedding:
        """μ(x) (batch, d), the representation that is evaluated."""
        return self.posterior(params, images).mean

    def decode(self, params: Params, latents: Float[Array, "batch latent"]) -> Float[Array, "batch h w c"]:
        """Mean image of every latent (batch, d)."""
        return self.likelihood.image(self.decoder.apply(params["decoder"], latents))

    def reconstruct(self, params: Params, images: Float[Array, "batch h w c"]) -> Float[Array, "batch h w c"]:
        """Mean image of the posterior mean of every image."""
        return self.decode(params, self.embed(params, images))

    def cross_view(
        self, params: Params, key: Key[jax.Array, ""], images: Float[Array, "batch h w c"], count: int
    ) -> Float[Array, "count batch h w c"]:
        """New views of the samples that the images show: z' ~ p(z' | z) at z = μ(x), decoded.

        For the Gaussian prior p(z' | z) is N(ρz, (1 − ρ²)(g² + σ²)). For the flat prior it is N(z, 2σ²), the limit of
        g² → ∞.
        """
        z = self.embed(params, images)
        rho, variance = 1.0, 2 * self.prior.within_variance
        if isinstance(self.prior, GaussianPrior):
            rho = self.prior.correlation(2)
            variance = (1 - rho**2) * (self.prior.between(2) + self.prior.within_variance)
        noise = jax.random.normal(key, (count, *z.shape), z.dtype)
        partners = rho * z + variance**0.5 * noise
        return self.decode(params, partners.reshape(-1, self.latent)).reshape(count, *images.shape)

    def elbo(self, params: Params, key: Key[jax.Array, ""], views: Float[Array, "views batch h w c"]) -> ElboTerms:
        """The bound of a batch (J, batch, h, w, c), any J ≥ 1."""
        posterior = self.posterior(params, views.reshape(-1, *views.shape[2:]))
        return elbo(
            key,
            views,
            Posterior(*(part.reshape(*views.shape[:2], -1) for part in posterior)),
            lambda latents: self.decoder.apply(params["decoder"], latents),
            self.prior,
            self.likelihood,
            entropy_weight=self.entropy_weight,
            regulariser_weight=self.regulariser_weight,
        )
