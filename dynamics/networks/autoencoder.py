"""Encoders and decoders of variational autoencoders, in the standard parameterisation (weights as in Flax's layers).

Fully connected as in the released code of Bizeul et al. (2024) for MNIST, and residual convolutions after their
ResNet-like encoder with stages of 32, 64 and 128 channels. Where that has batch normalisation, these have group
normalisation: a batch then needs no statistics of its own, and J views of a sample do not leak into each other.
"""

import math
from collections.abc import Callable

import jax
from flax import linen as nn
from jaxtyping import Float

from dynamics.typing import Array

_GROUP = 8  # channels that share mean and variance


class MLPEncoder(nn.Module):
    """Fully connected encoder: flattened image -> hidden layers with ReLU -> outputs.

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    outputs : int
        2d for means and log-variances.
    """

    hidden: tuple[int, ...]
    outputs: int

    @nn.compact
    def __call__(self, images: Float[Array, "batch ..."]) -> Float[Array, "batch outputs"]:
        """(batch, …) -> (batch, outputs)."""
        x = images.reshape(len(images), -1)
        for width in self.hidden:
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(self.outputs)(x)


class MLPDecoder(nn.Module):
    """Fully connected decoder: latent -> hidden layers with ReLU -> image.

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    shape : tuple of int
        (h, w, c) of the image.
    """

    hidden: tuple[int, ...]
    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, latents: Float[Array, "batch latent"]) -> Float[Array, "batch h w c"]:
        """(batch, d) -> (batch, h, w, c)."""
        outputs = MLPEncoder(self.hidden, math.prod(self.shape))(latents)
        return outputs.reshape(-1, *self.shape)


class ConvEncoder(nn.Module):
    """Residual encoder: a 3×3 stem, stages that each halve the resolution, and a linear layer on the flattened result.

    Parameters
    ----------
    widths : tuple of int
        Channels of each stage.
    blocks : int
        Residual blocks a stage; 2 in a ResNet-18.
    outputs : int
        2d for means and log-variances.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    blocks: int = 2
    outputs: int = 128

    @nn.compact
    def __call__(self, images: Float[Array, "batch h w c"]) -> Float[Array, "batch outputs"]:
        """(batch, h, w, c) -> (batch, outputs)."""
        x = nn.Conv(self.widths[0], (3, 3))(images)
        for width in self.widths:
            x = _Block(nn.Conv(width, (3, 3), 2), nn.Conv(width, (3, 3)), nn.Conv(width, (1, 1), 2))(x)
            for _ in range(self.blocks - 1):
                x = _Block(nn.Conv(width, (3, 3)), nn.Conv(width, (3, 3)))(x)
        return nn.Dense(self.outputs)(nn.relu(_norm(x)).reshape(len(x), -1))


class ConvDecoder(nn.Module):
    """Mirror of `ConvEncoder` with transposed convolutions.

    Parameters
    ----------
    widths : tuple of int
        Channels of each stage, from the latent to the image.
    blocks : int
        Residual blocks a stage.
    shape : tuple of int
        (h, w, c) of the image; sides that the stages do not halve evenly are cropped at the end.
    """

    widths: tuple[int, ...] = (128, 64, 32)
    blocks: int = 2
    shape: tuple[int, ...] = (32, 32, 3)

    @nn.compact
    def __call__(self, latents: Float[Array, "batch latent"]) -> Float[Array, "batch h w c"]:
        """(batch, d) -> (batch, h, w, c)."""
        height, width, channels = self.shape
        start = tuple(-(-side // 2 ** len(self.widths)) for side in (height, width))
        x = nn.Dense(math.prod(start) * self.widths[0])(latents).reshape(-1, *start, self.widths[0])
        for out in self.widths:
            x = _Block(
                nn.ConvTranspose(out, (3, 3), (2, 2)), nn.Conv(out, (3, 3)), nn.ConvTranspose(out, (1, 1), (2, 2))
            )(x)
            for _ in range(self.blocks - 1):
                x = _Block(nn.Conv(out, (3, 3)), nn.Conv(out, (3, 3)))(x)
        return nn.Conv(channels, (3, 3))(nn.relu(_norm(x)))[:, :height, :width]


class _Block(nn.Module):
    """Pre-activation residual block (He et al. 2016b)."""

    first: Callable[[jax.Array], jax.Array]
    second: Callable[[jax.Array], jax.Array]
    shortcut: Callable[[jax.Array], jax.Array] | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "batch h w c"]) -> Float[Array, "batch _ _ _"]:
        active = nn.relu(_norm(x))
        carried = x if self.shortcut is None else self.shortcut(active)
        return carried + self.second(nn.relu(_norm(self.first(active))))


def _norm(x: Float[Array, "batch h w c"]) -> jax.Array:
    return nn.GroupNorm(num_groups=max(1, x.shape[-1] // _GROUP))(x)
