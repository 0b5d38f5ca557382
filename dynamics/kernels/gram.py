"""Gram matrices: any kernel evaluated in tiles, in float64, checked, with its cost known beforehand.

>>> import numpy as np
>>> from dynamics.kernels import gram, rbf
>>> x = np.random.default_rng(0).normal(size=(6, 3))
>>> gram(rbf(length_scale=2.0), x).shape
(6, 6)
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from dynamics.errors import ConfigError, DataError, KernelError
from dynamics.kernels.kernel import ColumnViews, RowViews, as_kernel, blocks, mirror
from dynamics.precision import double_precision
from dynamics.progress import progress_bar
from dynamics.typing import Gram, KernelFn

Progress = Callable[[int, int], None]
"""(tiles done, tiles in all) -> None, called after every tile."""

ASYMMETRY = 1e-6
"""Largest |k(x, y) − k(y, x)| put down to rounding, relative to the largest entry; float32 kernels reach 1e-7."""

PROBE_SECONDS = 0.05
"""A probe shorter than this measures the call and not the kernel, so `estimate_cost` takes a larger one."""


def gram(
    kernel: KernelFn,
    x1: RowViews,
    x2: ColumnViews | None = None,
    *,
    tile: int | None = None,
    progress: bool | Progress = False,
) -> Gram:
    """Evaluate a kernel on all pairs of views.

    Parameters
    ----------
    kernel : Kernel or callable
        (x1 (a, …), x2 (b, …)) -> (a, b).
    x1, x2 : array (a, *input_shape), (b, *input_shape)
        Views, converted to float64. Without `x2` the Gram matrix of `x1` is returned: half the tiles are evaluated and
        the result is symmetric to the last bit.
    tile : int, optional
        Views a side evaluated at once; the default is the kernel's own bound.
    progress : bool or callable
        True shows a bar with the time left on the terminal; a callable receives (tiles done, tiles in all).

    Returns
    -------
    array (a, b), NumPy float64

    Raises
    ------
    KernelError
        If a value is not finite, the kernel returns another shape than (a, b), or k(x, y) ≠ k(y, x).
    DataError
        If the views of `x1` and `x2` have different shapes, or there are none.
    """
    kernel, symmetric = as_kernel(kernel), x2 is None
    x1 = np.asarray(x1, dtype=np.float64)
    x2 = x1 if x2 is None else np.asarray(x2, dtype=np.float64)
    if x1.shape[1:] != x2.shape[1:] or 0 in (len(x1), len(x2)):
        raise DataError(
            f"kernel {kernel.name!r}: got views of shapes {x1.shape} and {x2.shape}; "
            "give two stacks of the same kind of view, none of them empty."
        )
    side = kernel.tile_side(x1.shape[1:]) if tile is None else tile
    if side < 1:
        raise ConfigError(f"kernel {kernel.name!r}: tile is {side}; give an integer of at least 1.")
    rows, columns = list(blocks(len(x1), side)), list(blocks(len(x2), side))
    total = len(rows) * (len(rows) + 1) // 2 if symmetric else len(rows) * len(columns)

    values, done = np.empty((len(x1), len(x2))), 0
    with double_precision(), _reporter(progress, kernel.name, total) as report:
        for index, row in enumerate(rows):
            x_row = x1[row]
            k_row = kernel.against(x_row)
            for column in columns[index:] if symmetric else columns:
                diagonal = symmetric and row == column
                # the very same object on the diagonal, so that a kernel can see that both sides are one
                block = np.asarray(k_row(x_row if diagonal else x2[column]))
                _check(block, kernel.name, row, column, diagonal)
                values[row, column] = block
                done += 1
                report(done)
    return mirror(values) if symmetric else values


def estimate_cost(kernel: KernelFn, x1: RowViews, x2: ColumnViews | None = None) -> float:
    """Estimate the seconds that `gram(kernel, x1, x2)` will take, from a probe of well under a second where possible.

    The probe's time is scaled to one tile and multiplied by the number of tiles, so beyond one tile it grows like n²/2
    for one stack of n views. Compilation is left out.

    Parameters
    ----------
    kernel : Kernel or callable
        (x1 (a, …), x2 (b, …)) -> (a, b).
    x1, x2 : array (a, *input_shape), (b, *input_shape)
        The views of the whole Gram matrix.

    Returns
    -------
    float
        Seconds.
    """
    kernel, x1 = as_kernel(kernel), np.asarray(x1)
    largest = kernel.tile_side(x1.shape[1:])
    (rows, length), (columns, width) = (_cut(len(x), largest) for x in (x1, x1 if x2 is None else x2))
    tiles = rows * (rows + 1) / 2 if x2 is None else rows * columns
    side = min(2, length)
    while True:
        probe = x1[:side]
        gram(kernel, probe, tile=side)  # compiles
        start = time.perf_counter()
        gram(kernel, probe, tile=side)
        seconds = time.perf_counter() - start
        if seconds > PROBE_SECONDS or side == length:
            # work on each side alone, a Jacobian, outweighs the products of a tile
            growth = (length + width) / (2 * side) if kernel.bind else length * width / side**2
            return seconds * growth * tiles
        side = min(4 * side, length)


def _cut(count: int, side: int) -> tuple[int, int]:
    """Return the number and the length of the blocks into which `count` rows are cut."""
    cut = list(blocks(count, side))
    return len(cut), cut[0].stop - cut[0].start


def _check(block: np.ndarray, name: str, row: slice, column: slice, diagonal: bool) -> None:
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


@contextmanager
def _reporter(progress: bool | Progress, name: str, total: int) -> Iterator[Callable[[int], None]]:
    if progress is True:
        with progress_bar(f"kernel {name}", total) as report:
            yield report
    elif progress is False:
        yield lambda done: None
    else:
        yield lambda done: progress(done, total)
