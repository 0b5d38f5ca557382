"""Compilation without optimisation: the tests run each function once, so compiling it is what they would wait for."""

from functools import cache

import jax


@cache
def over_keys(function):
    """The function under many keys, with one image for all."""
    return jax.jit(jax.vmap(function, (0, None)), compiler_options={"xla_backend_optimization_level": 0})


def over_both(function):
    """The function under many keys, each with an image of its own."""
    return jax.jit(jax.vmap(function), compiler_options={"xla_backend_optimization_level": 0})
