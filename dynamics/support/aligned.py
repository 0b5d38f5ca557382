"""NumPy arrays that JAX can read where they lie.

>>> aligned_empty((2, 3), "float32").ctypes.data % ALIGNMENT
0
"""

import numpy as np

ALIGNMENT = 64
"""XLA on a CPU reads NumPy's memory in place where it begins at a multiple of so many bytes; elsewhere it copies."""


def aligned_empty(shape: tuple[int, ...], dtype: str | np.dtype) -> np.ndarray:
    """`numpy.empty` at an address that spares a copy, which for a Gram matrix of many views is the larger part."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size].view(dtype).reshape(shape)
