from functools import partial

import jax
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.kernels import conjugate_kernel, empirical_ntk, gram, infinite_kernel
from dynamics.networks import MLP, ConvNet, ResNet

WIDTHS = (8, 32, 128)
SEEDS = 6


@pytest.mark.parametrize(
    "declare",
    [
        partial(MLP, depth=2, b_std=0.3),
        partial(ConvNet, depth=2, head="pool"),
        partial(ResNet),
        pytest.param(partial(MLP, depth=2, activation="gelu"), marks=pytest.mark.slow),
        pytest.param(partial(ConvNet, depth=2, head="flatten", activation="erf"), marks=pytest.mark.slow),
        pytest.param(partial(ResNet, head="pool", b_std=0.2), marks=pytest.mark.slow),
        pytest.param(partial(ResNet, blocks=2, activation="erf"), marks=pytest.mark.slow),
    ],
    ids=["mlp", "convnet-pool", "resnet-flatten", "mlp-gelu", "convnet-flatten", "resnet-pool", "resnet-deep"],
)
def test_finite_networks_converge_to_it(rng, declare):
    images = rng.normal(size=(6, 6, 6, 1))
    widths = [width // 2 for width in WIDTHS] if declare.func is ResNet else WIDTHS
    limits = {kind: gram(infinite_kernel(declare(), kind), images) for kind in ("nngp", "ntk")}
    errors = {"nngp": [], "ntk": []}
    for width in widths:
        module, squared = declare(width=width).module(dim=1), {"nngp": [], "ntk": []}
        features = partial(module.apply, method="features")
        for seed in range(SEEDS):
            params = jax.jit(module.init)(jax.random.key(seed), images[:1].astype(np.float32))
            kernels = {"nngp": conjugate_kernel(features, params), "ntk": empirical_ntk(module.apply, params)}
            for kind, kernel in kernels.items():
                deviation = gram(kernel, images) - limits[kind]
                squared[kind].append((deviation**2).sum() / (limits[kind] ** 2).sum())
        for kind in errors:
            errors[kind].append(np.sqrt(np.mean(squared[kind])))
    for kind in errors:
        slope = np.polyfit(np.log(widths), np.log(errors[kind]), 1)[0]
        assert sorted(errors[kind], reverse=True) == errors[kind], (kind, errors[kind])
        # width^{-1/2}; over six seeds and a factor of 16 in width, the slope's own spread is about 0.1
        assert -0.85 < slope < -0.25, (kind, errors[kind], slope)


def test_width_does_not_matter(rng):
    images = rng.normal(size=(3, 6, 6, 2))
    narrow, wide = (gram(infinite_kernel(ResNet(width=width), "ntk"), images) for width in (2, 100))
    np.testing.assert_array_equal(narrow, wide)


def test_ntk_is_nngp_plus_the_part_of_the_hidden_layers(rng):
    x = rng.normal(size=(4, 6))
    difference = gram(infinite_kernel(MLP(depth=3), "ntk"), x) - gram(infinite_kernel(MLP(depth=3), "nngp"), x)
    assert np.linalg.eigvalsh(difference)[0] > -1e-10


@pytest.mark.parametrize("head", ["flatten", "pool"])
def test_tiles_shrink_with_the_pixels(head):
    kernel = infinite_kernel(ConvNet(head=head))
    sides = [kernel.tile_side((pixels, pixels, 3)) for pixels in (4, 8, 32)]
    assert sides == sorted(sides, reverse=True) and 1 <= sides[-1] < sides[0] <= 512


def test_stax_kernel_takes_get(rng):
    kernel_fn = ConvNet(depth=1).stax()
    x = rng.normal(size=(3, 4, 4, 1)).astype(np.float32)
    np.testing.assert_allclose(kernel_fn(x, None, "nngp"), gram(infinite_kernel(ConvNet(depth=1), "nngp"), x), 1e-5)


def test_unknown_kind_is_named():
    with pytest.raises(ConfigError) as caught:
        infinite_kernel(MLP(), "nnpg")
    assert str(caught.value) == "infinite_kernel: kind 'nnpg' is unknown; choose from ntk, nngp."
