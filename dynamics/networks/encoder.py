"""Backbone, projector and predictor of a practical recipe in one Flax module.

>>> import jax, jax.numpy as jnp
>>> from dynamics.objectives.heads import Head
>>> from dynamics.networks.standard_resnet import StandardResNet
>>> encoder = Encoder(StandardResNet(depth=10, width=0.125), Head((64,), 8))
>>> variables = jax.jit(encoder.init)(jax.random.key(0), jnp.ones((2, 8, 8, 1)))
>>> sorted(variables), jax.jit(encoder.apply)(variables, jnp.ones((5, 8, 8, 1))).shape
(['batch_stats', 'params'], (5, 8))
"""

import jax
from flax import linen as nn
from jaxtyping import Float

from dynamics.networks.projector import HeadNetwork
from dynamics.networks.standard_resnet import as_float32
from dynamics.objectives.heads import Head
from dynamics.typing import Array, Embedding, Views


class Encoder(nn.Module):
    """Images -> embeddings, with hidden layers by name.

    Parameters
    ----------
    backbone : flax.linen.Module
        A network such as `StandardResNet`, called with (x, train) and optionally a dict that receives hidden layers.
        Its output (batch, N) is the representation that probes see; its `dtype` is that of the projector.
    projector_head : Head
        Projector, whose outputs are the embeddings that the loss sees.
    predictor_head : Head, optional
        Predictor of BYOL and SimSiam, applied to the embeddings.
    """

    backbone: nn.Module
    projector_head: Head
    predictor_head: Head | None = None

    def setup(self) -> None:
        """Create the submodules (called by Flax)."""
        self.projector = HeadNetwork(self.projector_head, self.backbone.dtype)
        if self.predictor_head is not None:
            self.predictor = HeadNetwork(self.predictor_head, self.backbone.dtype)

    def __call__(self, x: Views, train: bool = False) -> Embedding:
        """Embeddings (batch, dim) of images (batch, height, width, channels)."""
        return self.embed_and_predict(x, train)[0]

    def embed_and_predict(self, x: Views, train: bool = False) -> tuple[Embedding, Embedding | None]:
        """Embeddings, and the predictor's outputs on them if there is one."""
        z = self.projector(self.backbone(x, train), train)
        return z, None if self.predictor_head is None else self.predictor(z, train)

    def features(self, x: Views, train: bool = False) -> Float[Array, "views features"]:
        """Pooled features of the backbone (batch, N)."""
        return as_float32(self.backbone(x, train))

    def readout_features(self, x: Views, train: bool = False) -> Float[Array, "views features"]:
        """Inputs of the projector's last layer (batch, N): what a conjugate kernel is made of."""
        taps = self.hidden(x, train)
        depth = len(self.projector_head.hidden)
        return as_float32(taps[f"layer{depth}"] if depth else taps["features"])

    def hidden(self, x: Views, train: bool = False) -> dict[str, Array]:
        """Activations by name, from the stem to the `embeddings`; images keep their axes."""
        taps: dict[str, jax.Array] = {}
        taps["features"] = self.backbone(x, train, taps)
        taps["embeddings"] = self.projector(taps["features"], train, taps)
        return taps
