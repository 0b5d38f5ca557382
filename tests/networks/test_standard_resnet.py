"""The practical networks against the published ones, and what normalisation does to them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.networks.encoder import Encoder
from dynamics.networks.projector import HeadNetwork, scaled_start
from dynamics.networks.standard_resnet import StandardResNet, normalisation
from dynamics.objectives.heads import Head
from dynamics.objectives.registry import OBJECTIVES

IMAGES = jnp.ones((2, 32, 32, 3))


def count(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def shapes(module, x, **settings):
    return jax.eval_shape(lambda key: module.init(key, x, **settings), jax.random.key(0))


# torchvision's resnet18 and resnet50 have 11,689,512 and 25,557,032 parameters with their heads of 1000 classes
@pytest.mark.parametrize(("depth", "features", "published"), [(18, 512, 11_689_512), (50, 2048, 25_557_032)])
def test_parameters_are_as_many_as_published(depth, features, published):
    imagenet = count(shapes(StandardResNet(depth, "imagenet"), IMAGES)["params"])
    assert imagenet + features * 1000 + 1000 == published
    cifar = count(shapes(StandardResNet(depth, "cifar"), IMAGES)["params"])
    assert imagenet - cifar == (7 * 7 - 3 * 3) * 3 * 64


@pytest.mark.parametrize(("stem", "sides"), [("cifar", [32, 32, 16, 8, 4]), ("imagenet", [8, 8, 4, 2, 1])])
def test_resolutions_and_channels(stem, sides):
    taps = {}

    def forward(key):
        taps.clear()
        StandardResNet(50, stem, width=0.5).init(key, IMAGES, taps=taps)
        return dict(taps)

    shaped = jax.eval_shape(forward, jax.random.key(0))
    layers = [shaped[name] for name in ("stem", "stage1", "stage2", "stage3", "stage4")]
    assert [layer.shape[1] for layer in layers] == sides
    assert [layer.shape[-1] for layer in layers] == [32, 128, 256, 512, 1024]


def test_an_unknown_setting_is_named():
    for settings, words in (({"depth": 34}, "18, 50"), ({"norm": "layer"}, "group"), ({"width": 0.001}, "1/64")):
        with pytest.raises(ConfigError, match=words):
            shapes(StandardResNet(**settings), IMAGES)


def test_batch_normalisation_has_an_epsilon_that_swamps_small_activations(rng):
    x = rng.normal(size=(64, 5)).astype(np.float32)

    def deviation(scale):
        module = HeadNetwork(Head((), 5, normalise_output=True))
        variables = module.init(jax.random.key(0), x)
        variables["params"]["readout"]["kernel"] = scale * jnp.eye(5)
        return module.apply(variables, x, train=True, mutable=["batch_stats"])[0].std(axis=0)

    np.testing.assert_allclose(deviation(1.0), 1.0, rtol=1e-4)
    np.testing.assert_allclose(deviation(1e-6), x.std(axis=0) * 1e-6 / 1e-5**0.5, rtol=1e-3)


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (48, 24), (7, 7)])
def test_groups_are_as_many_as_divide_the_channels(channels, groups, rng):
    from flax import linen as nn

    class Alone(nn.Module):
        @nn.compact
        def __call__(self, x):
            return normalisation("group", True, jnp.float32, "norm", groups=32)(x)

    x = rng.normal(size=(3, 4, 4, channels)).astype(np.float32) * np.arange(1, channels + 1)
    y = Alone().apply(Alone().init(jax.random.key(0), x), x)
    grouped = x.reshape(3, 4, 4, groups, channels // groups).astype(np.float64)
    mean, variance = (f(grouped, axis=(1, 2, 4), keepdims=True) for f in (np.mean, np.var))
    np.testing.assert_allclose(y, ((grouped - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape), atol=1e-4)


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
def test_activations_neither_vanish_nor_explode(norm, rng):
    x = rng.normal(size=(8, 16, 16, 3)).astype(np.float32)
    encoder = Encoder(StandardResNet(10, norm=norm, width=0.25), Head((32,), 8, norm))
    variables = jax.jit(encoder.init)(jax.random.key(0), x)
    taps, _ = jax.jit(lambda v, x: encoder.apply(v, x, train=True, method="hidden", mutable=["batch_stats"]))(
        variables, x
    )
    stages = {f"stage{stage}" for stage in range(1, 5)}
    assert set(taps) == {"stem", *stages, "features", "layer1", "embeddings"}
    for name, activation in taps.items():
        assert 0.02 < float(activation.std()) < 5, name


def test_bfloat16_computes_in_it_and_keeps_the_rest_in_float32(rng):
    x = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    encoder = Encoder(StandardResNet(10, width=0.125, dtype=jnp.bfloat16), Head((16,), 4))
    variables = encoder.init(jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    taps = encoder.apply(variables, x, method="hidden")
    assert taps["stage4"].dtype == jnp.bfloat16 and taps["embeddings"].dtype == jnp.float32


def test_projectors_have_the_sizes_of_their_papers():
    h = jnp.ones((1, 2048))

    def of(head):
        return count(shapes(HeadNetwork(head), h)["params"])

    assert of(OBJECTIVES["barlow-twins"].projector) == 2048 * 8192 + 2 * 8192**2 + 4 * 8192
    assert of(OBJECTIVES["vicreg"].projector) == of(OBJECTIVES["barlow-twins"].projector) + 2 * 8192
    assert of(OBJECTIVES["simclr"].projector) == 2048 * 2048 + 2048 + 2048 * 128 + 128
    assert of(OBJECTIVES["byol"].projector) == 2048 * 4096 + 3 * 4096 + 4096 * 256 + 256
    assert of(OBJECTIVES["simsiam"].projector) == 3 * 2048**2 + 4 * 2048
    assert count(shapes(HeadNetwork(OBJECTIVES["byol"].predictor), jnp.ones((1, 256)))["params"]) == (
        256 * 4096 + 3 * 4096 + 4096 * 256 + 256
    )
    assert of(OBJECTIVES["simsiam"].predictor) == 2048 * 512 + 2 * 512 + 512 * 2048 + 2048


@pytest.mark.parametrize(
    ("layers", "small"),
    [("readout", {"projector/readout"}), ("projector", {"projector/readout", "projector/layer1"}), ("all", None)],
)
def test_a_small_start_scales_the_weights_it_names(layers, small):
    encoder = Encoder(StandardResNet(10, width=0.125), Head((16,), 4, readout_bias=True))
    params = encoder.init(jax.random.key(0), IMAGES[:, :8, :8])["params"]
    scaled = scaled_start(params, layers, 0.25)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        keys = [key.key for key in path]
        found = leaf if "norm" in str(keys) else 0.25 * leaf
        if small is not None and "/".join(keys[:2]) not in small:
            found = leaf
        ours = scaled
        for key in keys:
            ours = ours[key]
        np.testing.assert_array_equal(ours, found, err_msg=str(keys))
