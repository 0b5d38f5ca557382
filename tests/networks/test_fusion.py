import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.networks.fusion import computed_once


def network(x, kernels, wrap):
    """Residual blocks whose sums every later block would evaluate again."""
    for kernel in kernels:
        y = jax.lax.conv_general_dilated(wrap(x), kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + (y - y.mean((0, 1, 2))) * jax.lax.rsqrt(y.var((0, 1, 2)) + 1e-5))
    return jnp.square(x).mean()


@pytest.fixture
def example(rng):
    x = rng.normal(size=(4, 8, 8, 8)).astype(np.float32)
    kernels = [0.1 * rng.normal(size=(3, 3, 8, 8)).astype(np.float32) for _ in range(3)]
    return x, kernels


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_not_a_bit_changes(rng, dtype):
    x = jnp.asarray(rng.normal(size=(3, 5)) * 10.0 ** rng.integers(-30, 30, size=(3, 5)), dtype)
    once = jax.jit(computed_once)(x)
    assert once.dtype == dtype
    np.testing.assert_array_equal(np.asarray(once, np.float64), np.asarray(x, np.float64))


def test_gradients_are_those_without_it(example):
    with_it, without = (
        jax.jit(jax.grad(network, argnums=(0, 1)), static_argnums=2)(*example, wrap)
        for wrap in (computed_once, lambda x: x)
    )
    for ours, plain in zip(jax.tree.leaves(with_it), jax.tree.leaves(without), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=2e-4, atol=1e-6)  # float32, other order of sums


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="a matter of the CPU compiler")
def test_transpositions_read_the_activation_and_not_what_it_was_made_of(example):
    """Operands of fused transpositions in the compiled gradient: the chain of blocks without, one array with it."""

    def operands(wrap):
        compiled = jax.jit(jax.grad(network, argnums=1), static_argnums=2).lower(*example, wrap).compile()
        fusions = re.findall(r"%transpose\S* = \S+ fusion\(([^)]*)\)", compiled.as_text())
        return sum(fusion.count("%") for fusion in fusions)

    assert operands(computed_once) < operands(lambda x: x)
