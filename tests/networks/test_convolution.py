"""The kernel gradient in tiles is that of `jax.lax.conv_general_dilated`."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dynamics.networks import convolution as module
from dynamics.networks.convolution import convolution
from dynamics.networks.standard_resnet import StandardResNet
from dynamics.support.precision import double_precision

on_a_cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="tiles are for XLA's CPU compiler alone")

SETTINGS = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}


@on_a_cpu
@pytest.mark.parametrize(("side", "size"), [((8, 8), (3, 3)), ((9, 11), (3, 3)), ((10, 8), (5, 1)), ((8, 35), (3, 3))])
@double_precision()
def test_value_and_gradients(side, size, monkeypatch):
    monkeypatch.setattr(module, "LEAST_SIZE", 0)
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(3, *side, 6)), rng.normal(size=(*size, 6, 5))
    weights = rng.normal(size=(3, *side, 5))
    padding = [(size[0] // 2, size[0] // 2), (size[1] // 2, size[1] // 2)]

    def loss(apply):
        return lambda x, kernel: (jnp.sin(apply(x, kernel, (1, 1), padding, **SETTINGS)) * weights).sum()

    with mock.patch.object(module, "kernel_gradient", wraps=module.kernel_gradient) as tiles:
        found = jax.value_and_grad(loss(convolution), (0, 1))(x, kernel)
    assert tiles.called
    expected = jax.value_and_grad(loss(lax.conv_general_dilated), (0, 1))(x, kernel)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize(
    ("shape", "size", "strides", "padding"),
    [
        ((512, 4, 4, 64), (3, 3), (1, 1), [(1, 1), (1, 1)]),  # images too small
        ((127, 8, 8, 64), (3, 3), (1, 1), [(1, 1), (1, 1)]),  # all of it stays in the cache
        ((128, 8, 8, 64), (3, 3), (2, 2), [(1, 1), (1, 1)]),
        ((128, 8, 8, 64), (1, 1), (1, 1), [(0, 0), (0, 0)]),
        ((128, 8, 8, 64), (3, 3), (1, 1), [(0, 0), (0, 0)]),
    ],
)
def test_all_others_are_left_alone(shape, size, strides, padding):
    x, kernel = jnp.ones(shape), jnp.ones((*size, shape[-1], 4))
    with mock.patch.object(module, "kernel_gradient") as tiles:
        jax.eval_shape(jax.grad(lambda kernel: convolution(x, kernel, strides, padding, **SETTINGS).sum()), kernel)
    assert not tiles.called


@on_a_cpu
def test_a_network_is_trained_with_it_and_keeps_its_forward_mode_elsewhere():
    network = StandardResNet(depth=10, width=1.0)
    x = jnp.zeros((128, 8, 8, 3))
    variables = jax.eval_shape(network.init, jax.random.key(0), x)

    def apply(train):
        return lambda v: network.apply(v, x, train=train, mutable=["batch_stats"])[0]

    with mock.patch.object(module, "kernel_gradient", wraps=module.kernel_gradient) as tiles:
        jax.eval_shape(jax.grad(lambda v: apply(True)(v).sum()), variables)
    assert tiles.call_count == 2  # the two convolutions of the first stage; those after it see fewer pixels
    jax.eval_shape(lambda v: jax.jvp(apply(False), (v,), (v,)), variables)
