"""A small vision transformer (Dosovitskiy et al. 2021), in standard parameterisation and without a kernel limit here.

>>> import jax, jax.numpy as jnp
>>> network = VisionTransformer(dim=5, patch=2, width=16, depth=1, heads=2)
>>> params = jax.jit(network.init)(jax.random.key(0), jnp.ones((1, 8, 8, 1)))
>>> jax.jit(network.apply)(params, jnp.ones((3, 8, 8, 1))).shape
(3, 5)
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.typing import Array, Embedding, Views


class VisionTransformer(nn.Module):
    """Patches as tokens with learned positions, pre-normalised blocks, the mean of the tokens, and a readout.

    Parameters
    ----------
    dim : int
        Number of outputs d.
    patch : int
        Side of the square patches, a divisor of both sides of the images.
    width : int
        Number of entries of a token, a multiple of `heads`.
    depth : int
        Number of blocks; each is self-attention and a two-layer MLP of four times the width.
    heads : int
        Number of attention heads.
    """

    dim: int
    patch: int = 4
    width: int = 64
    depth: int = 3
    heads: int = 4

    @nn.compact
    def __call__(self, x: Views) -> Embedding:
        """Return the embeddings (batch, dim) of images (batch, height, width, channels)."""
        return nn.Dense(self.dim, use_bias=False, name="readout")(self.features(x))

    @nn.compact
    def features(self, x: Views) -> Float[Array, "views features"]:
        """Return the mean token (batch, width) after the last normalisation."""
        if x.ndim != 4 or x.shape[1] % self.patch or x.shape[2] % self.patch:
            raise ConfigError(
                f"Patches of {self.patch} do not tile views of shape {x.shape[1:]}; give images they fit."
            )
        if self.width % self.heads:
            raise ConfigError(f"A width of {self.width} does not divide among {self.heads} heads.")
        rows, columns = x.shape[1] // self.patch, x.shape[2] // self.patch
        # one patch a row of numbers; the same as a strided convolution, and fast inside compiled loops
        tokens = x.reshape(len(x), rows, self.patch, columns, self.patch, x.shape[3]).swapaxes(2, 3)
        h = nn.Dense(self.width, name="embed")(tokens.reshape(len(x), rows * columns, -1))
        h = h + self.param("positions", nn.initializers.normal(0.02), (rows * columns, self.width), jnp.float32)
        for block in range(1, self.depth + 1):
            normed = nn.LayerNorm(name=f"block{block}_norm1")(h)
            attend = nn.MultiHeadDotProductAttention(self.heads, name=f"block{block}_attention")
            h = h + attend(normed, normed)
            normed = nn.LayerNorm(name=f"block{block}_norm2")(h)
            hidden = nn.gelu(nn.Dense(4 * self.width, name=f"block{block}_mlp1")(normed))
            h = h + nn.Dense(self.width, name=f"block{block}_mlp2")(hidden)
        return nn.LayerNorm(name="norm")(h).mean(axis=1)
