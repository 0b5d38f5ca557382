from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from dynamics.errors import ConfigError
from dynamics.kernels import conjugate_kernel, empirical_ntk, full_empirical_ntk, gram
from dynamics.networks import MLP, ConvNet
from dynamics.support.precision import double_precision


@pytest.fixture
def images(rng):
    return rng.normal(size=(5, 4, 4, 1))


@pytest.fixture
def network(images):
    module = ConvNet(width=3, depth=2, activation="erf", b_std=0.2).module(dim=3)
    return module, module.init(jax.random.key(0), images[:1].astype(np.float32))


@pytest.fixture
def jacobian(network, images):
    # one reverse pass an output on the whole batch, with XLA's convolution as a linear map of the flat parameters
    module, params = network
    with double_precision():
        flat, unravel = ravel_pytree(jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), params))
        return np.asarray(jax.jit(jax.jacrev(lambda θ: module.apply(unravel(θ), jnp.asarray(images))))(flat))


def test_equals_explicit_jacobians(network, images, jacobian):
    kernel = empirical_ntk(network[0].apply, network[1])
    expected = np.einsum("akp,bkp->ab", jacobian, jacobian) / 3
    values = gram(kernel, images)
    np.testing.assert_allclose(values, expected, rtol=1e-10)
    np.testing.assert_allclose(gram(kernel, images, images[:2]), expected[:, :2], rtol=1e-10)
    assert np.linalg.eigvalsh(values)[0] > -1e-12 * np.trace(values)


def test_one_output_and_all_outputs(network, images, jacobian):
    apply, params = network[0].apply, network[1]
    full = full_empirical_ntk(apply, params, images, images[:2])
    np.testing.assert_allclose(full, np.einsum("akp,blp->abkl", jacobian, jacobian[:2]), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gram(empirical_ntk(apply, params, output=1), images, images[:2]), full[..., 1, 1], 1e-10)
    np.testing.assert_array_equal(full_empirical_ntk(apply, params, images).shape, (5, 5, 3, 3))


@pytest.mark.parametrize("memory", [8_000, 12_000, 10**6])
def test_any_bound_on_memory_gives_the_same(memory, network, images, jacobian):
    apply, params = network[0].apply, network[1]
    kernel = empirical_ntk(apply, params, memory=memory)
    side = kernel.tile_side(images.shape[1:])
    assert (side < 5) == (memory < 10**6), side
    expected = np.einsum("akp,bkp->ab", jacobian, jacobian) / 3
    np.testing.assert_allclose(gram(kernel, images), expected, rtol=1e-10)
    np.testing.assert_allclose(gram(kernel, images, images[1:]), expected[:, 1:], rtol=1e-10)
    full = full_empirical_ntk(apply, params, images, memory=4 * memory)
    np.testing.assert_allclose(full, np.einsum("akp,blp->abkl", jacobian, jacobian), rtol=1e-9, atol=1e-12)


def test_agrees_with_neural_tangents(rng):
    from dynamics.kernels._neural_tangents import neural_tangents

    x, module = rng.normal(size=(4, 6)), MLP(width=9, depth=2).module(dim=2)
    params = module.init(jax.random.key(0), x[:1])
    reference = neural_tangents.empirical_ntk_fn(module.apply, trace_axes=(), vmap_axes=0)
    with double_precision():
        params64 = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), params)
        expected = reference(jnp.asarray(x), None, params64)
    np.testing.assert_allclose(full_empirical_ntk(module.apply, params, x), expected, rtol=1e-10, atol=1e-12)


def test_any_function_of_any_pytree(rng):
    # f = x A + c: the kernel is x·y + 1, whatever the parameters
    x, params = rng.normal(size=(3, 4)), [rng.normal(size=(4, 2)), {"c": rng.normal(size=2)}]
    kernel = empirical_ntk(lambda p, x: x @ p[0] + p[1]["c"], params)
    np.testing.assert_allclose(gram(kernel, x), x @ x.T + 1, rtol=1e-12)
    np.testing.assert_allclose(kernel(x, x[:2]), x @ x[:2].T + 1, rtol=1e-12)


def test_conjugate_kernel_is_the_product_of_features(images):
    module = ConvNet(width=5, depth=2, head="pool").module(dim=1)
    params = module.init(jax.random.key(0), images[:1].astype(np.float32))
    h = np.asarray(module.apply(params, images.astype(np.float32), method="features"), dtype=np.float64)
    kernel = conjugate_kernel(partial(module.apply, method="features"), params)
    np.testing.assert_allclose(gram(kernel, images, images[:2], tile=2), h @ h[:2].T / 5, rtol=1e-5)
    assert np.linalg.eigvalsh(gram(kernel, images))[0] > -1e-14


def test_conjugate_kernel_is_the_readouts_part_of_the_ntk(network, images):
    module, params = network
    rest = params["params"]["body"]

    def apply(readout, x):
        return module.apply({"params": {"body": rest, "readout": readout}}, x)

    frozen = gram(empirical_ntk(apply, params["params"]["readout"]), images)
    conjugate = gram(conjugate_kernel(partial(module.apply, method="features"), params), images)
    # the frozen body stays float32, where the other casts it
    np.testing.assert_allclose(frozen, conjugate, rtol=1e-5)


def test_what_is_wrong_is_named(network, images):
    apply, params = network[0].apply, network[1]
    with pytest.raises(ConfigError) as caught:
        gram(empirical_ntk(apply, params, output=3), images)
    assert str(caught.value) == "empirical-ntk(output 3): the network has 3 outputs; give an index from 0 to 2."
    with pytest.raises(ConfigError, match=r"one view needs .* bytes, more than memory=1e\+03; raise it, or choose one"):
        gram(empirical_ntk(apply, params, memory=1000), images)
