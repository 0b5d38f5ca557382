"""Likelihoods p(x | z) of an image given the decoder's output, each with the noise of the decoder as a parameter.

The noise decides what the latents are used for: what varies less than the noise is not worth encoding.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.typing import Array

Stack = Float[Array, "batch ..."]


@dataclass(frozen=True)
class Likelihood(ABC):
    """How an image is distributed around the decoder's output.

    Parameters
    ----------
    noise : float
        The noise τ²: for `Gaussian` the variance of every pixel, for `Bernoulli` the number by which the log-likelihood
        is divided.

    Raises
    ------
    ConfigError
        If the noise is not positive.
    """

    noise: float = 1.0

    def __post_init__(self) -> None:
        if not (self.noise > 0 and math.isfinite(self.noise)):
            raise ConfigError(f"The decoder noise is {self.noise}; give a positive number.")

    @abstractmethod
    def log_density(self, output: Stack, images: Stack) -> Float[Array, " batch"]:
        """Log p(x | z) of every image, in nats, from the decoder's output of the same shape."""

    @abstractmethod
    def image(self, output: Stack) -> Stack:
        """Mean image that the decoder's output stands for."""


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Log-likelihood −½‖x − f‖²/τ² − (D/2) log 2πτ²; the decoder's output f is the mean image."""

    def log_density(self, output: Stack, images: Stack) -> Float[Array, " batch"]:
        """Log N(x; f, τ²I) of every image."""
        pixels = math.prod(images.shape[1:])
        return -_sums(jnp.square(images - output)) / (2 * self.noise) - pixels / 2 * jnp.log(2 * jnp.pi * self.noise)

    def image(self, output: Stack) -> Stack:
        """Return the output itself."""
        return output


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Binary cross-entropy of intensities in [0, 1], divided by τ²; the decoder's output f are logits.

    With τ² = 1 and binary images it is a likelihood. The released code of Bizeul et al. (2024) divides by τ² = e^−4.6,
    a tempered likelihood whose normaliser, a constant, is left out.
    """

    def log_density(self, output: Stack, images: Stack) -> Float[Array, " batch"]:
        """−BCE/τ² of every image, summed over its pixels."""
        return -_sums(jnp.logaddexp(0.0, output) - images * output) / self.noise

    def image(self, output: Stack) -> Stack:
        """Return the probabilities of white pixels."""
        return jax.nn.sigmoid(output)


def _sums(values: Stack) -> Float[Array, " batch"]:
    return values.reshape(len(values), -1).sum(axis=1)
