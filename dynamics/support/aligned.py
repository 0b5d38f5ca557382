"""NumPy arrays that JAX can read in place, without a copy.

>>> aligned_empty((2, 3), "float32").ctypes.data % ALIGNMENT
0
"""

import numpy as np

ALIGNMENT = 64
"""Alignment in bytes. XLA on a CPU reads NumPy's memory in place where it begins at a multiple of it, and copies it
elsewhere."""


def aligned_empty(shape: tuple[int, ...], dtype: str | np.dtype) -> np.ndarray:
    """Return an empty array at an aligned address, which saves a copy of, for example, a large Gram matrix."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size].view(dtype).reshape(shape)
