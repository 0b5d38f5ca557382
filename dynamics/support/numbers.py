"""The door for a user's arrays: which types are kept, which are converted, and which are refused with a sentence.

| type | becomes | because |
|---|---|---|
| float64, float32 | as it is | theory runs in the one, networks in the other |
| float16, bfloat16, float8 | float32 | sums of squares over- and underflow in fewer bits |
| float128 | float64 | JAX has none |
| integers, booleans | as they are | they may be tokens, which a network looks up |
| masked, complex, objects, text | refused | what is hidden or not real would become a number |

>>> real_array([1, 2], "x").dtype.kind, real_array(np.float16([0.5]), "x").dtype
('i', dtype('float32'))
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from dynamics.errors import DataError


def real_array(values: Any, name: str) -> np.ndarray:
    """The array of real numbers that a user means.

    Parameters
    ----------
    values : array_like
        What came through the door.
    name : str
        What it is called in the message.

    Returns
    -------
    array
        float64, float32, integer or boolean.

    Raises
    ------
    DataError
        If entries are masked or are no real numbers.
    """
    if np.ma.is_masked(values):
        raise DataError(
            f"{name} has {np.ma.count_masked(values):,} masked entries, whose values mean nothing; fill them or leave "
            "their rows out."
        )
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:  # rows of different length, keys of JAX
        raise DataError(f"{name} is no array of numbers ({error}); give real numbers.") from error
    if not (array.dtype.kind in "biuf" or jnp.issubdtype(array.dtype, jnp.floating)):
        raise DataError(f"{name} has dtype {array.dtype}; give real numbers.")
    return array.astype(computing_type(array.dtype), copy=False)


def computing_type(dtype: Any) -> np.dtype:
    """Type in which numbers of this type are computed with: the next of float32 and float64; integers as they are."""
    dtype = np.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        return dtype
    return np.dtype(np.float64 if dtype.itemsize >= 8 else np.float32)


def half_precision(dtype: Any) -> float | None:
    """Relative distance of neighbouring numbers of a floating-point type with fewer bits than float32, else None."""
    dtype = np.dtype(dtype)
    return float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4 else None
