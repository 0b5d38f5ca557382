"""How many updates are handed to the device in one call.

A call costs Python and the runtime some twenty microseconds, as much as a small network takes for its update.

>>> import jax, jax.numpy as jnp
>>> updates_per_dispatch(jax.make_jaxpr(lambda w: w - 0.1 * w @ w)(jnp.eye(8)).jaxpr, on_cpu=True)
16
"""

import math
from collections.abc import Iterator
from typing import Any

UPDATES = 16  # enough that an accelerator never waits for Python, few enough that Ctrl-C is soon heard

_LONG = 1e8  # floating-point operations of matrix products in an update, some ten milliseconds of one CPU core


def updates_per_dispatch(jaxpr: Any, *, on_cpu: bool) -> int:
    """Return 16, or 1 on a CPU for updates that take long or that XLA's compiled loops slow down.

    On a CPU, XLA's convolutions take 30–60 times as long inside a compiled loop.

    Parameters
    ----------
    jaxpr : jax.core.Jaxpr
        Program of the update.
    on_cpu : bool
        Whether it runs on a CPU.
    """
    if not on_cpu:
        return UPDATES
    operations = 0.0
    for equation in _equations(jaxpr):
        if equation.primitive.name == "conv_general_dilated":
            return 1
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            summed = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
            operations += 2.0 * summed * math.prod(equation.outvars[0].aval.shape)
    return 1 if operations > _LONG else UPDATES


def _equations(jaxpr: Any) -> Iterator[Any]:
    """All equations, those of functions that are called inside included; the body of a loop counts once."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from _equations(inner)
