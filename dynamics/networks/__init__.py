"""Architectures: one declaration gives the finite network and its infinite-width kernel.

>>> import jax, jax.numpy as jnp
>>> from dynamics.networks import ConvNet
>>> network = ConvNet(width=16, depth=2, head="pool").module(dim=4)
>>> params = network.init(jax.random.key(0), jnp.ones((1, 8, 8, 1)))
>>> network.apply(params, jnp.ones((5, 8, 8, 1))).shape
(5, 4)
>>> network.apply(params, jnp.ones((5, 8, 8, 1)), method="features").shape
(5, 16)
"""

from dynamics.networks.autoencoder import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from dynamics.networks.base import Architecture
from dynamics.networks.convnet import ConvNet
from dynamics.networks.fiber_pairs import FiberPairs
from dynamics.networks.group_convnet import GroupConvNet
from dynamics.networks.groups import PlaneGroup
from dynamics.networks.mlp import MLP
from dynamics.networks.registry import ARCHITECTURES, architecture
from dynamics.networks.resnet import ResNet

__all__ = [
    "ARCHITECTURES",
    "MLP",
    "Architecture",
    "ConvDecoder",
    "ConvEncoder",
    "ConvNet",
    "FiberPairs",
    "GroupConvNet",
    "MLPDecoder",
    "MLPEncoder",
    "PlaneGroup",
    "ResNet",
    "architecture",
]
