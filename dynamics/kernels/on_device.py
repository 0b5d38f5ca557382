"""A Gram matrix that is put together where it is evaluated, and stays there: no tile passes through the host.

>>> import jax, numpy as np
>>> from dynamics.kernels import gram, linear
>>> x = np.random.default_rng(0).normal(size=(6, 3))
>>> K = gram(linear(), x, on_device=True)
>>> isinstance(K, jax.Array), bool(np.allclose(K, x @ x.T))
(True, True)
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.kernels.kernel import Kernel, blocks
from dynamics.kernels.tile_checks import Report, check_block, is_sound
from dynamics.typing import Array, Gram


def evaluate_on_device(
    kernel: Kernel, x1: Array, x2: Array | None, side: int, device: jax.Device, report: Report
) -> Gram:
    """`gram` on checked arguments, by one device; to be called in the precision of the evaluation.

    Parameters
    ----------
    kernel : Kernel
        The kernel.
    x1, x2 : array (a, *input_shape), (b, *input_shape)
        Views; without `x2` those of `x1` are compared with each other, each pair once.
    side : int
        Largest number of views on each side of a tile.
    device : jax.Device
        Device that evaluates the tiles and keeps the matrix.
    report : callable
        Function that is called with the number of tiles just done.

    Returns
    -------
    jax.Array (a, b)
    """
    symmetric, x2 = x2 is None, x1 if x2 is None else x2
    rows = list(blocks(len(x1), side))
    columns = rows if symmetric else list(blocks(len(x2), side))
    x_rows = [jax.device_put(_cut(x1, row), device) for row in rows]
    x_columns = x_rows if symmetric else [jax.device_put(_cut(x2, column), device) for column in columns]
    values = jnp.zeros((len(x1), len(x2)), device=device)
    for i, row in enumerate(rows):
        k_row = kernel.against(x_rows[i])
        waiting = None  # the tile before, which is looked at while the next one is evaluated
        for j in range(i if symmetric else 0, len(columns)):
            diagonal = symmetric and i == j
            tile = jax.device_put(jnp.asarray(k_row(x_columns[j]), values.dtype), device)
            if tile.shape != (row.stop - row.start, columns[j].stop - columns[j].start):
                check_block(np.asarray(tile), kernel.name, row, columns[j], diagonal)
            following = (tile, is_sound(tile, diagonal), row, columns[j], diagonal)
            values = _with_tile(values, tile, row.start, columns[j].start, symmetric, diagonal)
            if waiting is not None:
                _check(kernel, *waiting, report)
            waiting = following
        if waiting is not None:
            _check(kernel, *waiting, report)
    return values


def _cut(x: Array, rows: slice) -> Array:
    """Some of the views; where they begin is no part of a compiled program."""
    if isinstance(x, np.ndarray):
        return x[rows]
    return jax.lax.dynamic_slice_in_dim(x, rows.start, rows.stop - rows.start)


def _check(
    kernel: Kernel, tile: jax.Array, sound: jax.Array, row: slice, column: slice, diagonal: bool, report: Report
) -> None:
    if not sound:  # only then does the tile go to the host, where the message is made
        check_block(np.asarray(tile), kernel.name, row, column, diagonal)
    report(1)


@partial(jax.jit, static_argnums=(4, 5), donate_argnums=0)
def _with_tile(
    values: jax.Array, tile: jax.Array, row: jax.Array, column: jax.Array, symmetric: bool, diagonal: bool
) -> jax.Array:
    """The matrix with a tile in its place and, where it is symmetric, with the mirror image in its.

    The last tile on the diagonal comes last. It makes equal what overlapping blocks leave different by rounding.
    """
    if diagonal:
        tile = jnp.triu(tile) + jnp.triu(tile, 1).T
    values = jax.lax.dynamic_update_slice(values, tile, (row, column))
    return jax.lax.dynamic_update_slice(values, tile.T, (column, row)) if symmetric and not diagonal else values
