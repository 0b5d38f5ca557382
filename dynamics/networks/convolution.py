"""A convolution whose kernel gradient XLA's CPU compiler evaluates tile by tile.

The gradient of a 3×3 kernel is itself a convolution, of all images with kernels as large as an image, and 3×3 pixels
are its result. XLA on a CPU reaches 20–60 billion operations a second on it where the convolution itself reaches
100–210 (256 images, 16–64 channels, jaxlib 0.10.1, two cores). Cut into tiles of the image, whose gradients add up, the
same takes half of the time. The function has no forward-mode derivative.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from dynamics.typing import Array

TILE, MOST_TILES = 4, 8
"""Side of a tile in pixels, and the number of tiles along a side from which they grow instead, as each is compiled."""

LEAST_SIDE, LEAST_SIZE = 2 * TILE, 2**19
"""Images smaller than this, or so few numbers that they stay in the cache of a core, gain nothing."""

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolution(
    x: Float[Array, "n h w c"], kernel: Float[Array, "kh kw c d"], strides: Any, padding: Any, **settings: Any
) -> Float[Array, "n h2 w2 d"]:
    """`jax.lax.conv_general_dilated`, to be handed to `flax.linen.Conv` in a network that is trained.

    The kernel gradient is cut into tiles on a CPU, for large enough convolutions that keep the size of the image.
    """

    def convolve(x: Array, kernel: Array) -> Array:
        return lax.conv_general_dilated(x, kernel, strides, padding, **settings)

    if not _worth_tiles(x, kernel, strides, padding):
        return convolve(x, kernel)

    @jax.custom_vjp
    def tiled(x: Array, kernel: Array) -> Array:
        return convolve(x, kernel)

    def forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
        return convolve(x, kernel), (x, kernel)

    def backward(saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
        x, kernel = saved
        (along_x,) = jax.vjp(lambda x: convolve(x, kernel), x)[1](g)
        return along_x, kernel_gradient(x, g, kernel.shape[:2]).astype(kernel.dtype)

    tiled.defvjp(forward, backward)
    return tiled(x, kernel)


def kernel_gradient(
    x: Float[Array, "n h w c"], g: Float[Array, "n h w d"], size: tuple[int, int]
) -> Float[Array, "kh kw c d"]:
    """Σ over images and pixels of x, moved by each offset of a kernel of odd size, times g; in tiles of the image."""
    (kh, kw), (h, w) = size, x.shape[1:3]
    x = jnp.pad(x, ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2), (0, 0)))
    x, g = x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3)  # channels as images, images as channels
    tall, wide = (max(TILE, -(-side // MOST_TILES)) for side in (h, w))
    total: Any = 0.0
    for i in range(0, h, tall):
        for j in range(0, w, wide):
            tile = g[i : i + tall, j : j + wide]
            around = x[:, i : i + tile.shape[0] + kh - 1, j : j + tile.shape[1] + kw - 1]
            total += lax.conv_general_dilated(around, tile, (1, 1), "VALID", dimension_numbers=_LAYOUT)
    return total.transpose(1, 2, 0, 3)


def _worth_tiles(x: Array, kernel: Array, strides: Any, padding: Any) -> bool:
    kh, kw = kernel.shape[:2]
    keeps_size = tuple(strides) == (1, 1) and tuple(padding) == ((kh // 2, kh // 2), (kw // 2, kw // 2))
    large = min(x.shape[1:3]) >= LEAST_SIDE and x.size >= LEAST_SIZE
    return jax.default_backend() == "cpu" and kh % 2 == kw % 2 == 1 and kh * kw > 1 and keeps_size and large
