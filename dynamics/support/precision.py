"""Precision of the theory, without touching the user's global settings.

Theory is computed in float64, or in float32 with all its digits. Accelerators multiply float32 matrices with 10 bits of
the mantissa unless they are told otherwise, which is right for training and wrong for a kernel by up to 1 % an entry.
This file is the one place that tells them; training does not use it and keeps the device's default.

>>> import jax.numpy as jnp
>>> with double_precision():
...     print(jnp.ones(1).dtype)
float64
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ParamSpec, TypeVar

import jax
import numpy as np
from numpy.typing import DTypeLike

try:  # jax >= 0.8
    _enable_x64 = jax.enable_x64
except AttributeError:  # jax 0.6 and 0.7
    from jax.experimental import enable_x64 as _enable_x64  # type: ignore[attr-defined,no-redef]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

PRODUCTS = {
    "theory": "float64, or float32 with all its digits (highest)",
    "training": "the device's default, in the precision of the recipe",
}
"""Which precision matrix products and convolutions have, by what they are computed for."""


@contextmanager
def double_precision() -> Iterator[None]:
    """Context in which JAX computes in float64, and with all digits where numbers are float32 nevertheless.

    After the block the caller's precision is as before.
    """
    with _enable_x64(True), jax.default_matmul_precision("highest"):
        yield


def full_precision(dtype: DTypeLike = np.float32) -> AbstractContextManager[object]:
    """Context in which JAX computes with all digits of float64 or float32."""
    return double_precision() if np.dtype(dtype) == np.float64 else jax.default_matmul_precision("highest")


def in_full_precision(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function of the theory so that its products have all digits of the numbers that it is given.

    This holds wherever the function is called from, also inside a function that is being compiled.
    """

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with full_precision():
            return function(*args, **kwargs)

    return call
