"""Tangent kernels contracted layer by layer, against explicit Jacobians, for every way a parameter can enter."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax
from jax.flatten_util import ravel_pytree

from dynamics.kernels import conjugate_kernel, empirical_ntk, full_empirical_ntk, gram
from dynamics.kernels.layerwise import WeightProduct, find_layers
from dynamics.support.precision import double_precision


def explicit(apply, params, x):
    """∂f/∂θ (views, d, P), one reverse pass an output on the whole batch, as a function of the flat parameters."""
    with double_precision():
        flat, unravel = ravel_pytree(jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), params))
        return np.asarray(jax.jit(jax.jacrev(lambda θ: apply(unravel(θ), jnp.asarray(x, jnp.float64))))(flat))


def layers_of(apply, params, x):
    leaves, treedef = jax.tree.flatten(params)
    with double_precision():
        leaves = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
        return find_layers(apply, leaves, treedef, jax.ShapeDtypeStruct((1, *x.shape[1:]), jnp.float64))


class Normalised(nn.Module):
    """Convolutions of several kinds with BatchNorm in evaluation mode, as a practical network has them."""

    @nn.compact
    def __call__(self, x):
        norm = partial(nn.BatchNorm, use_running_average=True)
        x = nn.relu(norm()(nn.Conv(6, (3, 3), strides=2, use_bias=False)(x)))
        y = nn.relu(norm()(nn.Conv(6, (3, 2), kernel_dilation=2)(x)))
        y = norm()(nn.Conv(6, (3, 3), feature_group_count=2)(y))
        y = nn.Conv(6, (3, 3), padding="VALID")(jnp.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0))))
        x = nn.ConvTranspose(4, (2, 2), strides=(2, 2))(nn.relu(x + y))
        return nn.Dense(3)(x.reshape(len(x), -1))


class Attention(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(8)(x)
        x = x + nn.MultiHeadDotProductAttention(num_heads=2, qkv_features=8)(x, x)
        return nn.Dense(2)(nn.LayerNorm()(x).mean(axis=1))


def linen(module, shape):
    variables = module.init(jax.random.key(0), jnp.ones((1, *shape)))
    rng = np.random.default_rng(1)
    # running averages that a trained network might have
    stats = jax.tree.map(lambda s: rng.uniform(0.5, 1.5, s.shape), variables.get("batch_stats", {}))
    return lambda p, x: module.apply({"params": p, "batch_stats": stats}, x), variables["params"]


def weights(*shapes):
    rng = np.random.default_rng(2)
    return [rng.normal(size=shape) for shape in shapes]


def shared(params, x):
    W, U = params
    return jnp.tanh(jnp.tanh(x @ W) @ W.T) @ U


def rescaled(params, x):
    W, U = params
    return jax.nn.silu(jnp.einsum("oi,bi->bo", 0.3 * W.T / 2, x)) @ (U * -1.5)


def through_calls(params, x):
    W, U = params
    inner = jax.jit(lambda W, x: jnp.sin(x @ W))
    return jax.jit(lambda U, y: y @ U)(U, jax.checkpoint(inner)(W, x))


def through_a_loop(params, x):
    W, U = params
    y, _ = lax.scan(lambda y, _: (jnp.tanh(y @ W), None), x, None, length=3)
    return y @ U


def normalised_weights(params, x):
    W, U = params
    return jnp.tanh(x @ (W / jnp.linalg.norm(W, axis=0))) @ U * jnp.exp(W[0, 0])


def unused(params, x):
    return x @ params[1]


SQUARE = ((5, 5), (5, 2))
CASES = {
    "batch-norm": (linen(Normalised(), (6, 6, 2)), (6, 6, 2), 5),
    "attention": (linen(Attention(), (4, 3)), (4, 3), 6),
    "one weight twice": ((shared, weights(*SQUARE)), (5,), 1),
    "rescaled and transposed": ((rescaled, weights(*SQUARE)), (5,), 2),
    "jit and checkpoint": ((through_calls, weights(*SQUARE)), (5,), 2),
    "scan": ((through_a_loop, weights(*SQUARE)), (5,), 1),
    "a function of a weight": ((normalised_weights, weights(*SQUARE)), (5,), 1),
    "an unused weight": ((unused, weights(*SQUARE)), (5,), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_explicit_jacobians_however_a_parameter_enters(name, rng):
    (apply, params), shape, products = CASES[name]
    x = rng.normal(size=(5, *shape))
    layers = layers_of(apply, params, x)
    assert len(layers.products) == products
    J = explicit(apply, params, x)
    expected = np.einsum("akp,bkp->ab", J, J) / J.shape[1]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(gram(empirical_ntk(apply, params), x), expected, rtol=1e-10, atol=1e-12 * scale)
    one = gram(empirical_ntk(apply, params, output=-1), x, x[:2])
    np.testing.assert_allclose(one, J[:, -1] @ J[:2, -1].T, rtol=1e-10, atol=1e-12 * scale)


def test_every_output_group_and_chunk_gives_the_same(rng):
    # a network of two layers with eleven outputs: groups of 11, 6, 3, 2 and 1 outputs as memory shrinks
    def apply(params, x):
        y = lax.conv_general_dilated(x, params[0], (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))
        return y.sum(axis=1) ** 2 @ params[1]

    params, x = weights((3, 2, 7), (7, 11)), rng.normal(size=(7, 4, 2))
    J = explicit(apply, params, x)
    expected = np.einsum("akp,bkp->ab", J, J) / 11
    plans = set()
    for memory in (3_000, 12_000, 10**7):
        kernel = empirical_ntk(apply, params, memory=memory)
        plans.add(kernel.tile_side(x.shape[1:]))
        np.testing.assert_allclose(gram(kernel, x), expected, rtol=1e-10, err_msg=str(memory))
    assert len(plans) == 3
    full = full_empirical_ntk(apply, params, x, x[:3], memory=100_000)
    np.testing.assert_allclose(full, np.einsum("akp,blp->abkl", J, J[:3]), rtol=1e-9, atol=1e-9)


def test_single_precision_is_close_and_on_request(rng):
    (apply, params), shape, _ = CASES["rescaled and transposed"]
    x = rng.normal(size=(4, *shape))
    double, single = (gram(empirical_ntk(apply, params, dtype=dtype), x) for dtype in ("float64", "float32"))
    np.testing.assert_allclose(single, double, rtol=1e-4)
    assert np.abs(single - double).max() > 1e-12 * np.abs(double).max()
    assert empirical_ntk(apply, params, dtype="float32")(x, x[:2]).dtype == np.float32


def test_a_layer_goes_the_cheaper_way():
    """Early convolutions have many positions and few weights, late ones and dense layers the reverse."""
    apply, params = linen(nn.Sequential([nn.Conv(4, (3, 3)), nn.Conv(64, (3, 3), strides=4)]), (16, 16, 3))

    def flat(p, x):
        return apply(p, x).reshape(len(x), -1)[:, :2]

    early, late = layers_of(flat, params, np.empty((1, 16, 16, 3))).products
    assert (early.positions, early.inputs, early.outputs) == (256, 27, 4)
    assert (late.positions, late.inputs, late.outputs) == (16, 36, 64)
    assert not early.pays(1) and early.numbers(2) == 2 * 27 * 4
    assert not late.pays(1)
    dense = WeightProduct(leaf=0, positions=1, inputs=500, outputs=300, scale=1.0)
    assert dense.pays(1) and dense.numbers(1) == 800


def test_the_kernel_is_known_by_its_parameters_on_disk(rng, tmp_path):
    (apply, params), shape, _ = CASES["rescaled and transposed"]
    x = rng.normal(size=(4, *shape))
    nudged = [params[0], params[1] + 1e-12]
    kernels = [empirical_ntk(apply, params, key="net"), empirical_ntk(apply, nudged, key="net")]
    kernels += [empirical_ntk(apply, params, key="another"), empirical_ntk(apply, params, key="net", output=0)]
    kernels += [empirical_ntk(apply, params, key="net", dtype="float32"), conjugate_kernel(apply, params, key="net")]
    keys = [kernel.key for kernel in kernels]
    assert None not in keys and len(set(keys)) == len(keys)
    assert empirical_ntk(apply, params).key is None
    assert empirical_ntk(apply, params, key="net", memory=10**6).key == keys[0]
    first = gram(kernels[0], x, cache=tmp_path)
    np.testing.assert_array_equal(gram(empirical_ntk(apply, params, key="net"), x, cache=tmp_path), first)
    assert len(list(tmp_path.iterdir())) == 1


def test_features_in_chunks_are_the_features(rng):
    (apply, params), shape, _ = CASES["rescaled and transposed"]
    x = rng.normal(size=(9, *shape))
    with double_precision():
        h = np.asarray(apply([jnp.asarray(p) for p in params], jnp.asarray(x)))
    for memory in (200, 10**9):
        values = gram(conjugate_kernel(apply, params, memory=memory), x)
        np.testing.assert_allclose(values, h @ h.T / 2, rtol=1e-10, atol=1e-12)
