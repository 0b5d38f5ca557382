from functools import partial

import jax
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.kernels import conjugate_kernel, empirical_ntk, gram, infinite_kernel
from dynamics.kernels.infinite import stax_kernel
from dynamics.networks import MLP, ConvNet, ResNet

SEEDS = 30


@pytest.mark.parametrize(
    ("declare", "widths"),
    [
        (partial(MLP, depth=2, b_std=0.3), (16, 64, 256)),
        (partial(ConvNet, depth=2, head="pool"), (8, 24, 72)),
        (partial(ResNet), (4, 10, 25)),
        pytest.param(partial(MLP, depth=2, activation="gelu"), (16, 64, 256), marks=pytest.mark.slow),
        pytest.param(partial(ConvNet, depth=2, activation="erf"), (8, 24, 72), marks=pytest.mark.slow),
        pytest.param(partial(ResNet, head="pool", b_std=0.2), (4, 10, 25), marks=pytest.mark.slow),
        pytest.param(partial(ResNet, blocks=2, activation="erf"), (4, 10, 25), marks=pytest.mark.slow),
    ],
    ids=["mlp", "convnet-pool", "resnet-flatten", "mlp-gelu", "convnet-flatten", "resnet-pool", "resnet-deep"],
)
def test_finite_networks_converge_to_it(rng, declare, widths):
    images = rng.normal(size=(6, 6, 6, 1))
    limits = {kind: gram(infinite_kernel(declare(), kind), images) for kind in ("nngp", "ntk")}
    errors = {"nngp": [], "ntk": []}
    for width in widths:
        module, squared = declare(width=width).module(dim=1), {"nngp": [], "ntk": []}
        features = partial(module.apply, method="features")
        shapes = jax.eval_shape(module.init, jax.random.key(0), images[:1].astype(np.float32))
        for _ in range(SEEDS):
            params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)
            kernels = {"nngp": conjugate_kernel(features, params), "ntk": empirical_ntk(module.apply, params)}
            for kind, kernel in kernels.items():
                deviation = gram(kernel, images) - limits[kind]
                squared[kind].append((deviation**2).sum() / (limits[kind] ** 2).sum())
        for kind in errors:
            errors[kind].append(np.sqrt(np.mean(squared[kind])))
    for kind in errors:
        # width^{-1/2}, steeper at small width where the next order counts; its own spread over 30 seeds is about 0.07
        slope = np.polyfit(np.log(widths), np.log(errors[kind]), 1)[0]
        assert sorted(errors[kind], reverse=True) == errors[kind], (kind, errors[kind])
        assert -0.8 < slope < -0.3, (kind, errors[kind], slope)
        # and to this limit, not to one near it
        assert errors[kind][-1] < 3 * errors[kind][0] * (widths[0] / widths[-1]) ** 0.5


def test_width_does_not_matter(rng):
    images = rng.normal(size=(3, 6, 6, 2))
    narrow, wide = (gram(infinite_kernel(ConvNet(width=width, depth=2), "ntk"), images) for width in (2, 100))
    np.testing.assert_array_equal(narrow, wide)


def test_ntk_is_nngp_plus_the_part_of_the_hidden_layers(rng):
    x = rng.normal(size=(4, 6))
    difference = gram(infinite_kernel(MLP(depth=3), "ntk"), x) - gram(infinite_kernel(MLP(depth=3), "nngp"), x)
    assert np.linalg.eigvalsh(difference)[0] > -1e-10


@pytest.mark.parametrize("head", ["flatten", "pool"])
def test_tiles_shrink_with_the_pixels(head):
    kernel = infinite_kernel(ConvNet(head=head), backend="neural-tangents")
    sides = [kernel.tile_side((pixels, pixels, 3)) for pixels in (4, 8, 32)]
    assert sides == sorted(sides, reverse=True) and 1 <= sides[-1] < sides[0] <= 512


def test_stax_kernel_takes_get(rng):
    kernel_fn = stax_kernel(ConvNet(depth=1))
    x = rng.normal(size=(3, 4, 4, 1)).astype(np.float32)
    np.testing.assert_allclose(kernel_fn(x, None, "nngp"), gram(infinite_kernel(ConvNet(depth=1), "nngp"), x), 1e-5)


def test_unknown_kind_is_named():
    with pytest.raises(ConfigError) as caught:
        infinite_kernel(MLP(), "nnpg")
    assert str(caught.value) == "infinite_kernel: kind 'nnpg' is unknown; choose from ntk, nngp."


def test_kernels_of_different_networks_have_different_keys_for_the_cache():
    keys = {
        infinite_kernel(network, kind, backend=backend).key
        for network in (MLP(depth=1), MLP(depth=2), ConvNet(depth=2))
        for kind in ("ntk", "nngp")
        for backend in ("fused", "neural-tangents")
    }
    assert len(keys) == 12 and None not in keys
    assert infinite_kernel(MLP(depth=1)).key == infinite_kernel(MLP(depth=1)).key


def test_without_neural_tangents_the_fused_kernels_work_and_others_say_what_is_missing(monkeypatch):
    monkeypatch.setattr("dynamics.kernels.infinite.find_spec", lambda name: None)
    assert infinite_kernel(MLP(depth=1), backend="auto") is not None
    for asked in (
        lambda: infinite_kernel(MLP(depth=1, activation="gelu")),
        lambda: infinite_kernel(MLP(depth=1), backend="neural-tangents"),
        lambda: stax_kernel(MLP(depth=1)),
    ):
        with pytest.raises(ConfigError, match=r"ssl-dynamics\[neural-tangents\]"):
            asked()
