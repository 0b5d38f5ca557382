"""Double precision inside the context, the caller's precision outside."""

import jax
import jax.numpy as jnp
import pytest

from dynamics.support.precision import double_precision


def test_precision_is_double_inside_and_restored_outside():
    before = jax.config.jax_enable_x64
    with double_precision():
        assert jnp.ones(1).dtype == jnp.float64
        with double_precision():
            pass
        assert jnp.ones(1).dtype == jnp.float64
    assert jax.config.jax_enable_x64 == before is False
    assert jnp.ones(1).dtype == jnp.float32


def test_precision_is_restored_after_an_error():
    with pytest.raises(ValueError), double_precision():
        raise ValueError
    assert jnp.ones(1).dtype == jnp.float32
