"""The vision transformer: tokens, and what the mean over them must and must not see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.networks.vit import VisionTransformer


@pytest.fixture(scope="module")
def network():
    module = VisionTransformer(dim=4, patch=2, width=8, depth=2, heads=2)
    return module, module.init(jax.random.key(0), jnp.ones((1, 6, 4, 3)))


def patches_swapped(x):
    """Exchange the first two patches of each image."""
    y = x.copy()
    y[:, :2, :2], y[:, :2, 2:4] = x[:, :2, 2:4], x[:, :2, :2]
    return y


def test_order_of_patches_counts_through_positions_alone(network, rng):
    module, params = network
    x = rng.normal(size=(3, 6, 4, 3)).astype(np.float32)
    assert np.abs(module.apply(params, x) - module.apply(params, patches_swapped(x))).max() > 1e-4
    blind = {"params": {**params["params"], "positions": jnp.zeros_like(params["params"]["positions"])}}
    np.testing.assert_allclose(module.apply(blind, x), module.apply(blind, patches_swapped(x)), atol=1e-5)


def test_readout_is_linear_in_the_features(network, rng):
    module, params = network
    x = rng.normal(size=(3, 6, 4, 3)).astype(np.float32)
    h = module.apply(params, x, method="features")
    np.testing.assert_allclose(module.apply(params, x), h @ params["params"]["readout"]["kernel"], atol=1e-5)


def test_images_must_fit():
    with pytest.raises(ConfigError, match="do not tile"):
        VisionTransformer(2, patch=4).init(jax.random.key(0), jnp.ones((1, 6, 6, 1)))
    with pytest.raises(ConfigError, match="does not divide"):
        VisionTransformer(2, patch=2, width=9, heads=2).init(jax.random.key(0), jnp.ones((1, 4, 4, 1)))
