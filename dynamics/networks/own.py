"""Networks of other libraries as one function of parameters and views: Flax Linen, Flax NNX and Equinox.

>>> from flax import linen
>>> import numpy as np
>>> apply, params = as_function(linen.Dense(3), np.ones((4, 5), np.float32))
>>> apply(params, np.ones((4, 5), np.float32)).shape
(4, 3)
"""

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dynamics.errors import ConfigError
from dynamics.typing import Embedding, Views

Apply = Callable[[Any, Views], Embedding]


def is_module(network: Any) -> bool:
    """Whether `as_function` knows a network: it is a module of Flax Linen, Flax NNX or Equinox."""
    return _library(network) is not None


def as_function(network: Any, views: Views, *, seed: int = 0) -> tuple[Apply, Any]:
    """The function (params, x (b, …)) -> (b, d) of a module, and its parameters.

    Parameters
    ----------
    network : module
        A Linen module, whose parameters are drawn here unless it is bound to some; an NNX module; or an Equinox module,
        which takes one view, as modules of Equinox do.
    views : array (b, *input_shape)
        Views of the shape that the network takes.
    seed : int
        Seed of the parameters of a Linen module that has none.

    Raises
    ------
    ConfigError
        If the network is none of these, or has other state than parameters, such as that of a batch normalisation.
    """
    library = _library(network)
    if library is None:
        raise ConfigError(
            f"A {type(network).__name__} is no module of Flax or Equinox; give a function and its parameters "
            "to `small_network`."
        )
    return {"linen": _linen, "nnx": _nnx, "equinox": _equinox}[library](network, views, seed)


def _library(network: Any) -> str | None:
    """The library of a module; only one that has been imported already can have made it."""
    for library, module, name in (
        ("linen", "flax.linen", "Module"),
        ("nnx", "flax.nnx", "Module"),
        ("equinox", "equinox", "Module"),
    ):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(network, kind):
            return library
    return None


def _linen(network: Any, views: Views, seed: int) -> tuple[Apply, Any]:
    module, variables = network, None
    if network.scope is not None:
        module, variables = network.unbind()
    if variables is None:
        variables = jax.jit(module.init)(jax.random.key(seed), jnp.asarray(views[:1]))
    if other := sorted(set(variables) - {"params"}):
        raise _has_state(module, other)
    return module.apply, variables


def _nnx(network: Any, views: Views, seed: int) -> tuple[Apply, Any]:
    nnx = sys.modules["flax.nnx"]
    graph, params, rest = nnx.split(network, nnx.Param, ...)
    if jax.tree.leaves(rest):
        raise _has_state(network, sorted({type(value).__name__ for _, value in nnx.to_flat_state(rest)}))
    return (lambda params, x: nnx.merge(graph, params, rest)(x)), params


def _equinox(network: Any, views: Views, seed: int) -> tuple[Apply, Any]:
    equinox = sys.modules["equinox"]
    params, fixed = equinox.partition(network, equinox.is_inexact_array)
    return (lambda params, x: jax.vmap(equinox.combine(params, fixed))(x)), params


def _has_state(network: Any, names: list[str]) -> ConfigError:
    return ConfigError(
        f"This {type(network).__name__} keeps state besides its parameters ({', '.join(names)}); a forecast is about a "
        "function of parameters and views alone. Leave such layers out, or fix them in a function for `small_network`."
    )
