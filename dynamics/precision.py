"""Double precision for the theory, without touching the user's global setting.

>>> import jax.numpy as jnp
>>> with double_precision():
...     print(jnp.ones(1).dtype)
float64
"""

from contextlib import AbstractContextManager

import jax

try:  # jax >= 0.8
    _enable_x64 = jax.enable_x64
except AttributeError:  # jax 0.6 and 0.7
    from jax.experimental import enable_x64 as _enable_x64


def double_precision() -> AbstractContextManager[None]:
    """Context in which JAX computes in float64; the caller's precision returns when it is left."""
    return _enable_x64(True)
