"""What is asked of every tile of a Gram matrix, on the host and where it lies.

>>> import jax.numpy as jnp
>>> bool(is_sound(jnp.eye(2), True)), bool(is_sound(jnp.eye(2) * jnp.nan, True))
(True, False)
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.errors import KernelError

Report = Callable[[int], None]
"""(tiles just done) -> None."""

ASYMMETRY = 1e-6
"""Largest |k(x, y) − k(y, x)| put down to rounding, relative to the largest entry; float32 kernels reach 1e-7."""


def check_block(block: np.ndarray, name: str, row: slice, column: slice, diagonal: bool) -> None:
    """Raise `KernelError` where a tile has another shape than its views, is not finite, or is not symmetric."""
    expected = (row.stop - row.start, column.stop - column.start)
    if block.shape != expected:
        raise KernelError(f"kernel {name!r}: returned shape {block.shape} for {expected[0]} and {expected[1]} views.")
    finite = np.isfinite(block)
    if not finite.all():
        i, j = np.argwhere(~finite)[0]
        raise KernelError(
            f"kernel {name!r}: {(~finite).sum()} values are not finite (first: views {row.start + i} and "
            f"{column.start + j}); check the views and the kernel's settings."
        )
    if diagonal and np.abs(block - block.T).max() > ASYMMETRY * np.abs(block).max():
        i, j = np.unravel_index(np.abs(block - block.T).argmax(), block.shape)
        raise KernelError(
            f"kernel {name!r}: k(x, y) = {block[i, j]:.6g} but k(y, x) = {block[j, i]:.6g} for views "
            f"{row.start + i} and {row.start + j}; a kernel is symmetric."
        )


@partial(jax.jit, static_argnums=1)
def is_sound(tile: jax.Array, diagonal: bool) -> jax.Array:
    """What `check_block` asks for, where the tile lies."""
    sound = jnp.isfinite(tile).all()
    if diagonal and tile.shape[0] == tile.shape[1]:
        sound &= jnp.abs(tile - tile.T).max() <= ASYMMETRY * jnp.abs(tile).max()
    return sound
