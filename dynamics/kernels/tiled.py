"""Half of a Gram matrix in tiles on all devices of all processes, for `leading_modes`, which only multiplies with it.

>>> import numpy as np
>>> from dynamics.kernels import linear
>>> x = np.random.default_rng(0).normal(size=(6, 3))
>>> K = TiledGram(linear(), x, tile=4)
>>> bool(np.allclose(K(np.eye(6)), x @ x.T))
True

Tiles on and above the diagonal are evaluated once and stay where they were evaluated. In a product every tile is read
once and serves both halves of the matrix, so memory, evaluation and traffic are half of the full matrix's. What devices
and processes exchange are blocks of columns (2n, b), never tiles.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import CapacityError, ConfigError, DataError
from dynamics.kernels.cache import GramCache
from dynamics.kernels.gram import TILES_IN_FLIGHT, Progress, reporter
from dynamics.kernels.kernel import ColumnViews, RowViews, as_kernel, blocks
from dynamics.kernels.placement import Placement, free_memory
from dynamics.kernels.tile_checks import check_block, is_sound
from dynamics.support.precision import double_precision, full_precision
from dynamics.typing import KernelFn

Index = int | jax.Array


class _Tile(NamedTuple):
    row: int
    column: int
    values: jax.Array


class TiledGram:
    """Multiplies blocks of columns with the Gram matrix K̃ of `x`, of which it holds half.

    With several processes (`jax.distributed`) all of them make the same calls, and each gets the whole product.

    Parameters
    ----------
    kernel : Kernel or callable
        (x1 (a, …), x2 (b, …)) -> (a, b).
    x : array (2n, *input_shape)
        Views in the order x_1 … x_n, x'_1 … x'_n.
    tile, dtype, cache, progress
        Side of a tile, precision, cache folder and progress bar, as for `gram`; both use the same files of the cache.
    memory : int, optional
        Bytes that one device may spend on its tiles; by default what it has left.
    devices : sequence of jax.Device, optional
        Devices of this process to use; all of them by default.

    Raises
    ------
    KernelError, DataError, ConfigError
        For the same reasons as `gram`.
    CapacityError
        If the tiles of a device do not fit; nothing is evaluated then.
    """

    def __init__(
        self,
        kernel: KernelFn,
        x: ColumnViews,
        *,
        tile: int | None = None,
        dtype: str = "float64",
        memory: int | None = None,
        cache: str | Path | None = None,
        devices: Sequence[jax.Device] | None = None,
        progress: bool | Progress = False,
    ) -> None:
        self.kernel = as_kernel(kernel)
        if dtype not in ("float64", "float32"):
            raise ConfigError(f"kernel {self.kernel.name!r}: dtype is {dtype!r}; choose float64 or float32.")
        if len(x) == 0:
            raise DataError(f"kernel {self.kernel.name!r}: there are no views.")
        side = self.kernel.side(x) if tile is None else tile
        if side < 1:
            raise ConfigError(f"kernel {self.kernel.name!r}: tile is {tile}; give an integer of at least 1.")
        self.num_views = len(x)
        self.rows = list(blocks(self.num_views, side))
        self.placement = Placement.over(devices, self.num_views)
        self._require_memory(np.dtype(dtype), memory)
        x, self.dtype = self.kernel.views(x, dtype), np.dtype(dtype)
        self.tiles: list[list[_Tile]] = [[] for _ in self.placement.devices]
        self._evaluate(x, None if cache is None else GramCache(cache, self.kernel, x, None, dtype), progress)

    def __call__(self, Q: Float[np.ndarray, "views columns"]) -> Float[np.ndarray, "views columns"]:
        """Return the product K̃ Q, array (2n, b), in float64."""
        with double_precision():
            # one product for all processes, even if theirs have drifted apart by rounding
            factor = self._cut(self.placement.exchange(np.asarray(Q, np.float64))[0])
            sums = []
            for device, tiles in zip(self.placement.devices, self.tiles, strict=True):
                columns = jax.device_put(factor, device)
                total = jnp.zeros_like(columns)
                for tile in tiles:
                    add = _add_diagonal if tile.row == tile.column else _add
                    total = add(total, tile.values, columns, tile.row, tile.column)
                sums.append(total)
            total = np.sum([np.asarray(part) for part in sums], axis=0)  # after all devices have been given their work
            return self._joined(self.placement.exchange(total).sum(axis=0))

    @property
    def nbytes(self) -> int:
        """Bytes of the tiles that this process holds."""
        return sum(tile.values.nbytes for tiles in self.tiles for tile in tiles)

    def _mine(self) -> list[tuple[int, int]]:
        """(row block, index of the device) of this process: to and fro, for the first block has the most tiles."""
        count, processes, devices = len(self.rows), self.placement.processes, len(self.placement.devices)
        rows = [i for i in range(count) if _dealt(i, processes) == self.placement.process]
        return [(i, _dealt(k, devices)) for k, i in enumerate(rows)]

    def _require_memory(self, dtype: np.dtype, memory: int | None) -> None:
        side, count = self.rows[0].stop, len(self.rows)
        tiles = np.zeros(len(self.placement.devices), int)
        for i, device in self._mine():
            tiles[device] += count - i
        needed = int(dtype.itemsize * side**2 * (tiles.max() + TILES_IN_FLIGHT))
        limit = free_memory(self.placement.devices) if memory is None else memory
        if limit is not None and needed > limit:
            advice = ', or `dtype="float32"`' if dtype == np.float64 else ""
            raise CapacityError(
                f"kernel {self.kernel.name!r}: half of the Gram matrix of {self.num_views:,} views in {dtype} takes "
                f"{needed / 1e9:.3g} GB on a device, and {limit / 1e9:.3g} GB may be used; use more devices, fewer "
                f"views{advice}, or `KernelProduct`, which holds no matrix."
            )

    def _evaluate(self, x: np.ndarray, stored: GramCache | None, progress: bool | Progress) -> None:
        mine, devices = self._mine(), len(self.placement.devices)
        total = sum(len(self.rows) - i for i, _ in mine)
        rounds = -(-len(self.rows) // self.placement.processes) + 1 + devices  # of the process with the most blocks
        views = _ViewsOnDevices(x, self.rows, self.placement.devices)
        started: deque[Any] = deque()
        with full_precision(self.dtype), reporter(progress, self.kernel.name, total) as report:

            def work(turn: int) -> None:
                """Start a row block and finish the one that its device had before, so that all devices are busy."""
                if turn < len(mine):
                    started.append(self._start(views, *mine[turn], stored))
                if started and (len(started) > devices or turn >= len(mine)):
                    self._finish(*started.popleft(), stored, report)  # type: ignore[call-arg]  # all but the last two

            for turn in range(rounds):
                self.placement.together(partial(work, turn))

    def _start(
        self, views: "_ViewsOnDevices", index: int, device: int, stored: GramCache | None
    ) -> tuple[int, list[_Tile], bool]:
        """Evaluate the tiles of a row block from the diagonal on, in the background, or read them."""
        row, columns = self.rows[index], range(index, len(self.rows))
        shape = (row.stop - row.start, self.num_views - row.start)
        strip = None if stored is None else stored.load(row, shape, self.dtype)
        if strip is None:
            x_row = views(device, index)
            k_row = self.kernel.against(x_row)
            # the very same object on the diagonal, so that a kernel can see that both sides are one
            values = (k_row(x_row if j == index else views(device, j)) for j in columns)
        else:
            inside = (slice(self.rows[j].start - row.start, self.rows[j].stop - row.start) for j in columns)
            values = (np.ascontiguousarray(strip[:, i]) for i in inside)
        place = self.placement.devices[device]
        put = [jax.device_put(jnp.asarray(v, self.dtype), place) for v in values]
        return device, [_Tile(index, j, v) for j, v in zip(columns, put, strict=True)], strip is not None

    def _finish(
        self, device: int, tiles: list[_Tile], read: bool, stored: GramCache | None, report: Callable[[int], None]
    ) -> None:
        """Wait for the tiles of a row block, check, keep and store them."""
        index, row = tiles[0].row, self.rows[tiles[0].row]
        sound = [is_sound(tile.values, tile.column == index) for tile in tiles]
        for tile, right in zip(tiles, sound, strict=True):
            if not (tile.values.shape == (row.stop - row.start,) * 2 and right):
                column = self.rows[tile.column]
                check_block(np.asarray(tile.values), self.kernel.name, row, column, tile.column == index)
        tiles[0] = tiles[0]._replace(values=_symmetrised(tiles[0].values))
        self.tiles[device] += tiles
        if stored is not None and not read:
            strip = np.empty((row.stop - row.start, self.num_views - row.start), tiles[0].values.dtype)
            for tile in tiles:
                column = self.rows[tile.column]
                strip[:, column.start - row.start : column.stop - row.start] = tile.values
            stored.save(row, strip)
        report(len(tiles))

    def _fresh(self) -> list[slice]:
        """Rows of every block that no block before it has: all have one length, so that the last may overlap."""
        stops = [0, *(row.stop for row in self.rows)]
        return [slice(stop - row.start, row.stop - row.start) for stop, row in zip(stops, self.rows, strict=False)]

    def _cut(self, Q: np.ndarray) -> np.ndarray:
        """Q in blocks of rows (blocks, length, b), where rows that come twice are zero for the second time."""
        cut = np.zeros((len(self.rows), self.rows[0].stop, Q.shape[1]))
        for block, row, fresh in zip(cut, self.rows, self._fresh(), strict=True):
            block[fresh] = Q[row][fresh]
        return cut

    def _joined(self, cut: np.ndarray) -> np.ndarray:
        return np.concatenate([block[fresh] for block, fresh in zip(cut, self._fresh(), strict=True)])


class _ViewsOnDevices:
    """Blocks of views where they are needed: an accelerator keeps them, a processor reads them where they are."""

    def __init__(self, x: np.ndarray, rows: list[slice], devices: Sequence[jax.Device]) -> None:
        self.x, self.rows = x, rows
        self.places = [Placement((device,)) for device in devices]
        self.kept: dict[tuple[int, int], RowViews] = {}

    def __call__(self, device: int, block: int) -> RowViews:
        if (device, block) in self.kept:
            return self.kept[device, block]
        views = self.places[device].rows(self.x[self.rows[block]])
        if self.places[device].devices[0].platform != "cpu":
            self.kept[device, block] = views = jax.device_put(views, self.places[device].devices[0])
        return views


def _dealt(index: int, hands: int) -> int:
    """0, 1, …, hands − 1, hands − 1, …, 1, 0, 0, 1, …."""
    place = index % (2 * hands)
    return min(place, 2 * hands - 1 - place)


@partial(jax.jit, donate_argnums=0)
def _add(total: jax.Array, tile: jax.Array, Q: jax.Array, row: Index, column: Index) -> jax.Array:
    """A tile above the diagonal and its mirror image; values in float32 are multiplied in float64."""
    K = tile.astype(Q.dtype)
    total = total.at[row].add(jnp.matmul(K, Q[column], precision="highest"))
    return total.at[column].add(jnp.matmul(K.T, Q[row], precision="highest"))


@partial(jax.jit, donate_argnums=0)
def _add_diagonal(total: jax.Array, tile: jax.Array, Q: jax.Array, row: Index, column: Index) -> jax.Array:
    return total.at[row].add(jnp.matmul(tile.astype(Q.dtype), Q[column], precision="highest"))


@jax.jit
def _symmetrised(tile: jax.Array) -> jax.Array:
    return jnp.triu(tile) + jnp.triu(tile, 1).T
