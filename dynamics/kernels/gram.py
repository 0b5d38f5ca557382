"""Gram matrices: any kernel evaluated in tiles on all devices, checked, with its cost known beforehand.

>>> import numpy as np
>>> from dynamics.kernels import gram, rbf
>>> x = np.random.default_rng(0).normal(size=(6, 3))
>>> gram(rbf(length_scale=2.0), x).shape
(6, 6)
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.errors import CapacityError, ConfigError, DataError
from dynamics.kernels.cache import GramCache
from dynamics.kernels.kernel import ColumnViews, Kernel, RowViews, as_kernel, blocks, mirror
from dynamics.kernels.on_device import evaluate_on_device
from dynamics.kernels.placement import Placement, free_memory
from dynamics.kernels.tile_checks import check_block
from dynamics.support.aligned import aligned_empty
from dynamics.support.environment import available_memory
from dynamics.support.precision import full_precision
from dynamics.support.progress import progress_bar
from dynamics.typing import Gram, KernelFn

Progress = Callable[[int, int], None]
"""(tiles done, tiles in all) -> None, called after every tile."""

PROBE_SECONDS = 0.05
"""A probe shorter than this measures the call and not the kernel, so `estimate_cost` takes a larger one."""

TILES_IN_FLIGHT = 8
"""Arrays of the size of a tile that a kernel holds while it evaluates one: what `estimate_memory` counts with."""


def gram(
    kernel: KernelFn,
    x1: RowViews,
    x2: ColumnViews | None = None,
    *,
    tile: int | None = None,
    dtype: str = "float64",
    memory: int | None = None,
    cache: str | Path | None = None,
    devices: Sequence[jax.Device] | None = None,
    progress: bool | Progress = False,
    on_device: bool = False,
) -> Gram:
    """Evaluate a kernel on all pairs of views.

    Rows are sharded over the local devices. Where `jax.distributed` runs several processes, row blocks are divided
    among them: all processes have to make the same call, and each gets the whole matrix.

    Parameters
    ----------
    kernel : Kernel or callable
        (x1 (a, …), x2 (b, …)) -> (a, b).
    x1, x2 : array (a, *input_shape), (b, *input_shape)
        Views, converted to `dtype`; integers, such as tokens, stay integers for the kernels of networks. Without `x2`
        the Gram matrix of `x1` is returned: half the tiles are evaluated and the result is symmetric to the last bit.
    tile : int, optional
        Number of views on each side of a tile, which is evaluated at once; the default is the kernel's own bound.
    dtype : {"float64", "float32"}
        Precision of the evaluation and of the result. float32 halves the memory, and blurs modes whose eigenvalues are
        below 1e-7 of the largest.
    memory : int, optional
        Bytes that the evaluation may take; by default what the machine has left, or the device with `on_device`.
        `estimate_memory` says how many it needs.
    cache : path, optional
        Folder that keeps the row blocks that are done. A call with the same kernel, views and tiles reads them, so that
        an interrupted evaluation goes on where it stopped. The files are never removed automatically.
    devices : sequence of jax.Device, optional
        Local devices to use; all of them by default.
    progress : bool or callable
        True shows a bar with the time left on the terminal; a callable receives (tiles done, tiles in all).
    on_device : bool
        Whether the matrix stays on the device that evaluates it, for what is computed there next. Nothing is copied to
        the host then, which on an accelerator takes longer than a fully connected kernel. It takes one device, the
        first local one by default, one process, and no cache.

    Returns
    -------
    array (a, b), NumPy; a JAX array with `on_device`

    Raises
    ------
    KernelError
        If a value is not finite, the kernel returns another shape than (a, b), or k(x, y) ≠ k(y, x).
    DataError
        If the views of `x1` and `x2` have different shapes, or there are none.
    CapacityError
        If the matrix does not fit into memory, or its cache on the disk; nothing is evaluated then.
    ConfigError
        If a setting is out of range, or the cache cannot be used with this kernel.
    """
    kernel, symmetric = as_kernel(kernel), x2 is None
    if dtype not in ("float64", "float32"):
        raise ConfigError(f"kernel {kernel.name!r}: dtype is {dtype!r}; choose float64 or float32.")
    shape, other = np.shape(x1), np.shape(x1 if symmetric else x2)
    if shape[1:] != other[1:] or 0 in (shape[0], other[0]):
        raise DataError(
            f"kernel {kernel.name!r}: got views of shapes {shape} and {other}; "
            "give two stacks of the same kind of view, none of them empty."
        )
    if tile is not None and tile < 1:
        raise ConfigError(f"kernel {kernel.name!r}: tile is {tile}; give an integer of at least 1.")
    if on_device:
        return _kept_on_device(kernel, x1, x2, tile, dtype, memory, cache, devices, progress)
    _require_memory(kernel, x1, x2, tile, dtype, available_memory() if memory is None else memory)
    x1 = kernel.views(x1, dtype)
    x2 = None if symmetric else kernel.views(x2, dtype)
    stored = None if cache is None else GramCache(cache, kernel, x1, x2, dtype)
    return _evaluate(kernel, x1, x2, tile, dtype, Placement.over(devices, len(x1)), stored, progress)


def estimate_cost(kernel: KernelFn, x1: RowViews, x2: ColumnViews | None = None, *, dtype: str = "float64") -> float:
    """Estimate the seconds that `gram(kernel, x1, x2)` will take, from a probe of well under a second where possible.

    The probe's time is scaled to one tile and multiplied by the number of tiles, so beyond one tile it grows like n²/2
    for one stack of n views. Compilation is left out.

    Parameters
    ----------
    kernel : Kernel or callable
        (x1 (a, …), x2 (b, …)) -> (a, b).
    x1, x2 : array (a, *input_shape), (b, *input_shape)
        The views of the whole Gram matrix.
    dtype : {"float64", "float32"}
        Precision of the evaluation.

    Returns
    -------
    float
        Seconds.
    """
    kernel, x1 = as_kernel(kernel), np.asarray(x1)
    placement = Placement.over(None, len(x1))
    largest = kernel.side(x1)
    (rows, length), (columns, width) = (_cut(len(x), largest) for x in (x1, x1 if x2 is None else x2))
    tiles = rows * (rows + 1) / 2 if x2 is None else rows * columns
    side = min(2, length)
    while True:
        probe = kernel.views(x1[:side], dtype)
        _evaluate(kernel, probe, None, side, dtype, placement.alone)  # compiles
        start = time.perf_counter()
        _evaluate(kernel, probe, None, side, dtype, placement.alone)
        seconds = time.perf_counter() - start
        if seconds > PROBE_SECONDS or side == length:
            # work on each side alone, a Jacobian, outweighs the products of a tile
            growth = (length + width) / (2 * side) if kernel.bind else length * width / side**2
            return seconds * growth * tiles / placement.processes
        side = min(4 * side, length)


def estimate_memory(
    kernel: KernelFn,
    x1: RowViews,
    x2: ColumnViews | None = None,
    *,
    tile: int | None = None,
    dtype: str = "float64",
) -> int:
    """Estimate the bytes that `gram(kernel, x1, x2)` takes: the matrix, the converted views, and the work on a tile.

    Parameters are those of `gram`. What a kernel holds on top of this, such as Jacobians, is bounded by the kernel.
    """
    kernel, stacks = as_kernel(kernel), [x1] if x2 is None else [x1, x2]
    itemsize = np.dtype(dtype).itemsize
    side = kernel.side(x1) if tile is None else tile
    tile_entries = min(side, len(x1)) * min(side, len(stacks[-1]))
    converted = sum(np.size(x) for x in stacks if getattr(x, "dtype", None) != dtype)
    return itemsize * (len(x1) * len(stacks[-1]) + converted + TILES_IN_FLIGHT * tile_entries)


def _require_memory(
    kernel: Kernel, x1: RowViews, x2: ColumnViews | None, tile: int | None, dtype: str, limit: int | None
) -> None:
    needed = estimate_memory(kernel, x1, x2, tile=tile, dtype=dtype)
    if limit is not None and needed > limit:
        shape = f"{len(x1):,} × {len(x1 if x2 is None else x2):,}"
        advice = 'use fewer views, or `dtype="float32"`' if dtype == "float64" else "use fewer views"
        raise CapacityError(
            f"kernel {kernel.name!r}: a Gram matrix of {shape} views in {dtype} "
            f"takes {needed / 1e9:.3g} GB, and {limit / 1e9:.3g} GB may be used; {advice}."
        )


def _kept_on_device(
    kernel: Kernel,
    x1: RowViews,
    x2: ColumnViews | None,
    tile: int | None,
    dtype: str,
    memory: int | None,
    cache: str | Path | None,
    devices: Sequence[jax.Device] | None,
    progress: bool | Progress,
) -> Gram:
    """`gram` with `on_device`; views that are on the device already are not copied to the host either."""
    devices = jax.local_devices()[:1] if devices is None else list(devices)
    if cache is not None or len(devices) != 1 or jax.process_count() > 1:
        raise ConfigError(
            f"kernel {kernel.name!r}: a Gram matrix stays on a device (on_device) with one device, in one process and "
            "without a cache; leave out the others, or on_device."
        )
    _require_memory(kernel, x1, x2, tile, dtype, free_memory(devices) if memory is None else memory)
    side = kernel.side(x1) if tile is None else tile
    rows, columns = (len(list(blocks(len(x), side))) for x in (x1, x1 if x2 is None else x2))
    total = rows * (rows + 1) // 2 if x2 is None else rows * columns
    with full_precision(dtype), reporter(progress, kernel.name, total) as report:
        views = [
            None if x is None else x.astype(dtype) if _is_real_on_device(x) else kernel.views(x, dtype)
            for x in (x1, x2)
        ]
        return evaluate_on_device(kernel, views[0], views[1], side, devices[0], report)


def _is_real_on_device(x: RowViews) -> bool:
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.floating)


def _evaluate(
    kernel: Kernel,
    x1: np.ndarray,
    x2: np.ndarray | None,
    tile: int | None,
    dtype: str,
    placement: Placement,
    stored: GramCache | None = None,
    progress: bool | Progress = False,
) -> np.ndarray:
    """`gram` on checked arguments."""
    symmetric, x2 = x2 is None, x1 if x2 is None else x2
    side = kernel.side(x1) if tile is None else tile
    rows, columns = list(blocks(len(x1), side, len(placement.devices))), list(blocks(len(x2), side))
    if symmetric:
        columns = rows
    values = aligned_empty((len(x1), len(x2)), np.dtype(dtype))
    mine = range(placement.process, len(rows), placement.processes)
    total = sum(len(rows) - index if symmetric else len(columns) for index in mine)

    with full_precision(dtype), reporter(progress, kernel.name, total) as report:

        def sweep(index: int) -> None:
            """Evaluate one row block, from the diagonal on if the matrix is symmetric."""
            row, upper = rows[index], columns[index:] if symmetric else columns
            strip = values[row, upper[0].start :]
            block = None if stored is None else stored.load(row, strip.shape, strip.dtype)
            if block is not None:
                strip[...] = block
                report(len(upper))
                return
            x_row = placement.rows(x1[row])
            k_row = kernel.against(x_row)
            # JAX evaluates in the background: the next tile is under way while this one is fetched and checked
            pending: list[tuple[slice, Gram]] = []
            for column in (*upper, None):
                if column is not None:
                    # the very same object on the diagonal, so that a kernel can see that both sides are one
                    one = symmetric and row == column and len(placement.devices) == 1
                    pending.append((column, k_row(x_row if one else placement.columns(x2[column]))))
                if len(pending) > 1 or (column is None and pending):
                    done, tile_values = pending.pop(0)
                    tile_values = np.asarray(tile_values)
                    check_block(tile_values, kernel.name, row, done, symmetric and row == done)
                    values[row, done] = tile_values
                    report(1)
            if stored is not None:
                stored.save(row, strip)

        for first in range(0, len(rows), placement.processes):
            _round(sweep, values, rows, first, placement)
    return mirror(values) if symmetric else values


def _round(
    sweep: Callable[[int], None], values: np.ndarray, rows: list[slice], first: int, placement: Placement
) -> None:
    """Evaluate a row block in every process and exchange them."""
    index = first + placement.process
    placement.together(lambda: sweep(index) if index < len(rows) else None)
    if placement.processes == 1:
        return
    blocks_of_all = placement.exchange(values[rows[min(index, len(rows) - 1)]])
    for row, block in zip(rows[first:], blocks_of_all, strict=False):
        values[row] = block


def _cut(count: int, side: int) -> tuple[int, int]:
    """Return the number and the length of the blocks into which `count` rows are cut."""
    cut = list(blocks(count, side))
    return len(cut), cut[0].stop - cut[0].start


@contextmanager
def reporter(progress: bool | Progress, name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield what is called with the number of tiles just done."""
    done = 0

    def counting(tell: Callable[[int], None]) -> Callable[[int], None]:
        def report(tiles: int) -> None:
            nonlocal done
            done += tiles
            tell(done)

        return report

    if progress is True:
        with progress_bar(f"kernel {name}", total) as tell:
            yield counting(tell)
    elif progress is False:
        yield lambda tiles: None
    else:
        yield counting(lambda count: progress(count, total))
