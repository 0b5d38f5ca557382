"""Double precision for the theory, without touching the user's global setting.

>>> import jax.numpy as jnp
>>> with double_precision():
...     print(jnp.ones(1).dtype)
float64
"""

from contextlib import AbstractContextManager

import jax
import numpy as np
from numpy.typing import DTypeLike

try:  # jax >= 0.8
    _enable_x64 = jax.enable_x64
except AttributeError:  # jax 0.6 and 0.7
    from jax.experimental import enable_x64 as _enable_x64  # type: ignore[attr-defined,no-redef]


def double_precision() -> AbstractContextManager[None]:
    """Context in which JAX computes in float64; the caller's precision returns when it is left."""
    return _enable_x64(True)


def full_precision(dtype: DTypeLike) -> AbstractContextManager[object]:
    """Context in which JAX computes with all digits of float64 or float32.

    Some accelerators multiply float32 matrices with 10 bits unless they are told otherwise.
    """
    return double_precision() if np.dtype(dtype) == np.float64 else jax.default_matmul_precision("highest")
