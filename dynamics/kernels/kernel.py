"""A kernel: a callable on two stacks of views, with a name and a bound on its memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Shaped

from dynamics.support.numbers import real_array
from dynamics.support.precision import full_precision, in_full_precision
from dynamics.typing import Array, Gram, KernelFn

RowViews = Shaped[Array, "rows ..."]
ColumnViews = Shaped[Array, "columns ..."]


DEFAULT_TILE = 512
"""Views on each side of a tile, for kernels that hold little besides."""


def _default_tile(view_shape: tuple[int, ...]) -> int:
    return DEFAULT_TILE


@dataclass(frozen=True)
class Kernel:
    """A kernel function k on two stacks of views, (x1 (a, …), x2 (b, …)) -> (a, b).

    Calling it evaluates numbers of the caller's type, with all their digits, in one piece; `gram` evaluates in float64,
    in tiles, and checks the values.
    Any plain callable of the same signature may stand where a kernel is asked for.

    Parameters
    ----------
    name : str
        Name of the kernel in messages and figures.
    function : callable
        (x1 (a, …), x2 (b, …)) -> (a, b).
    tile_side : callable
        (shape of one view) -> largest a = b that fits into memory at once; with `integers`, (shape, type) -> a = b.
    bind : callable, optional
        x1 -> (x2 -> (a, b)), for kernels that do work on each side alone, such as a Jacobian. The work on x1 is done
        once and serves every x2 of a sweep.
    key : str, optional
        Everything that the values depend on, in words or as a hash of it: two kernels with one key give one Gram
        matrix. Without it `gram` cannot store what it evaluates on disk.
    integers : bool
        Whether integer views, such as tokens, reach the kernel as they are. Other kernels get real numbers.
    """

    name: str
    function: KernelFn
    tile_side: Callable[..., int] = _default_tile
    bind: Callable[[RowViews], Callable[[ColumnViews], Gram]] | None = None
    key: str | None = None
    integers: bool = False

    def __call__(self, x1: RowViews, x2: ColumnViews) -> Gram:
        """Return the kernel values k(x1_i, x2_j), array (a, b)."""
        with full_precision():
            return self.function(x1, x2)

    def views(self, x: Shaped[Array, "views ..."], dtype: str) -> np.ndarray:
        """The views in the type in which the kernel takes them; `DataError` if they are no real numbers or masked."""
        x = real_array(x, f"kernel {self.name!r}: the array of views")
        return x if self.integers and x.dtype.kind in "iu" else np.asarray(x, dtype)

    def side(self, x: Shaped[Array, "views ..."]) -> int:
        """How many of such views on each side of a tile fit into memory at once."""
        shape = np.shape(x)[1:]
        return self.tile_side(shape, np.asarray(x[:1]).dtype) if self.integers else self.tile_side(shape)

    def against(self, x1: RowViews) -> Callable[[ColumnViews], Gram]:
        """Return x2 -> k(x1, x2), with the work on x1 done once."""
        if self.bind is None:
            return in_full_precision(partial(self.function, x1))
        with full_precision():
            return in_full_precision(self.bind(x1))


def as_kernel(kernel: KernelFn) -> Kernel:
    """Return `kernel` itself, or a plain callable wrapped and named after its function."""
    if isinstance(kernel, Kernel):
        return kernel
    return Kernel(getattr(kernel, "__name__", type(kernel).__name__), kernel)


def blocks(count: int, side: int, multiple: int = 1) -> Iterator[slice]:
    """Cut `count` rows into the fewest blocks of at most `side` rows, all of one length; the last may overlap.

    One length means one compilation; the rows evaluated twice are fewer than there are blocks times `multiple`. The
    length is rounded up to a `multiple` of at most `count`, so that as many devices can share a block.
    """
    number = -(-count // side)
    while (length := -(-count // (number * multiple)) * multiple) > count:
        number += 1
    for start in range(0, count, length):
        stop = min(start + length, count)
        yield slice(stop - length, stop)


def mirror(gram: np.ndarray, side: int = 1024) -> np.ndarray:
    """Copy the upper triangle of a square matrix into the lower, in place and without a second matrix."""
    for start in range(0, len(gram), side):
        stop = start + side
        gram[stop:, start:stop] = gram[start:stop, stop:].T
        corner = gram[start:stop, start:stop]
        corner[...] = np.triu(corner) + np.triu(corner, 1).T
    return gram
