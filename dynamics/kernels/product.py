"""Products of a Gram matrix that is never held: tiles are evaluated, multiplied and forgotten.

>>> import numpy as np
>>> from dynamics.kernels import linear
>>> x = np.random.default_rng(0).normal(size=(6, 3))
>>> product = KernelProduct(linear(), x)
>>> bool(np.allclose(product(np.eye(6)), x @ x.T))
True
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.kernels.kernel import ColumnViews, as_kernel, blocks
from dynamics.support.precision import double_precision
from dynamics.typing import KernelFn


class KernelProduct:
    """Multiplies blocks of columns with the Gram matrix of `x` without holding it, for more views than memory allows.

    `dynamics.modes.leading_modes` takes one in place of a matrix.

    Every tile on or above the diagonal is evaluated once a product and serves both halves. A product costs as much as
    the Gram matrix, and its memory is one tile.

    Parameters
    ----------
    kernel : Kernel or callable
        (x1 (a, …), x2 (b, …)) -> (a, b).
    x : array (2n, *input_shape)
        Views in the order x_1 … x_n, x'_1 … x'_n.
    tile : int, optional
        Number of views on each side of a tile, which is evaluated at once; the default is the kernel's own bound.
    dtype : {"float64", "float32"}
        Precision of the evaluation. The products are float64.

    Raises
    ------
    ConfigError
        If `tile` or `dtype` is out of range.
    """

    def __init__(self, kernel: KernelFn, x: ColumnViews, *, tile: int | None = None, dtype: str = "float64") -> None:
        if dtype not in ("float64", "float32"):
            raise ConfigError(f"KernelProduct: dtype is {dtype!r}; choose float64 or float32.")
        self.kernel = as_kernel(kernel)
        self.x = self.kernel.views(x, dtype)
        self.tile = self.kernel.side(self.x) if tile is None else tile
        if self.tile < 1:
            raise ConfigError(f"KernelProduct: tile is {tile}; give an integer of at least 1.")

    @property
    def num_views(self) -> int:
        """The number of views 2n."""
        return len(self.x)

    def __call__(self, Q: Float[np.ndarray, "views columns"]) -> Float[np.ndarray, "views columns"]:
        """Return the product K̃ Q, array (2n, b)."""
        values = np.zeros(Q.shape)
        cut = list(blocks(self.num_views, self.tile))
        # all blocks have one length, so the last may repeat rows of the one before: they count once
        fresh = [slice(0, cut[0].stop), *(slice(a.stop, b.stop) for a, b in pairwise(cut))]
        with double_precision():
            for i, (row, new_row) in enumerate(zip(cut, fresh, strict=True)):
                k_row = self.kernel.against(self.x[row])
                for column, new_column in zip(cut[i:], fresh[i:], strict=True):
                    block = np.asarray(k_row(self.x[column]), np.float64)
                    block = block[new_row.start - row.start :, new_column.start - column.start :]
                    values[new_row] += block @ Q[new_column]
                    if column != row:
                        values[new_column] += block.T @ Q[new_row]
        return values

    def diagonal(self) -> Float[np.ndarray, " views"]:
        """Return the diagonal of K̃: k(x, x) of every view."""
        with double_precision():
            return np.array([np.asarray(self.kernel(v[None], v[None]))[0, 0] for v in self.x], np.float64)
