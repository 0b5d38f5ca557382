"""Arrays of other libraries, such as PyTorch or CuPy, as arrays of NumPy or JAX.

>>> class Foreign:
...     def __array__(self, dtype=None, copy=None):
...         return np.arange(3)
>>> as_array(Foreign()).tolist()
[0, 1, 2]
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.errors import DataError

_CPU = 1  # of DLPack's types of devices


def as_array(values: Any) -> np.ndarray | jax.Array:
    """The array behind `values`; arrays of NumPy and JAX are returned as they are.

    Tensors of PyTorch come without their gradient, from any device, and half precision as float32. Others need the
    protocol `__dlpack__` or `__array__`. The memory may be shared with the other library.

    Raises
    ------
    DataError
        If they are no array, or lie on a device that JAX does not see.
    """
    if isinstance(values, np.ndarray | jax.Array):
        return values
    if hasattr(values, "detach"):  # PyTorch, which is not imported for this
        values = values.detach()
        narrow = values.is_floating_point() and values.element_size() < 4  # NumPy has no bfloat16
        return (values.float() if narrow else values).cpu().numpy()
    try:
        if hasattr(values, "__dlpack__") and values.__dlpack_device__()[0] != _CPU:
            return jnp.from_dlpack(values)
        return np.asarray(values)
    except Exception as error:  # each library raises its own kind
        raise DataError(f"An array of type {type(values).__name__} cannot be read here: {error}") from error
