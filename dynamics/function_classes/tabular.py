"""The universal class on finitely many views: a free value for each."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from dynamics.errors import ConfigError, DataError
from dynamics.function_classes.base import LinearInFeatures
from dynamics.typing import Array, Views


@dataclass(frozen=True)
class Tabular(LinearInFeatures):
    """Every function of the cell that a view lies in.

    With a cell for each view the class is universal on these views. With the clusters of a distribution as cells it
    holds all functions on which partners agree.

    Parameters
    ----------
    cell_of : callable
        Views (n, …) -> integers (n,) in 0 … num_cells − 1; traceable if the class is to be trained.
    num_cells : int
        How many cells there are.
    """

    cell_of: Callable[[Views], Int[Array, " views"]]
    num_cells: int

    def __post_init__(self) -> None:
        if self.num_cells < 1:
            raise ConfigError(f"num_cells is {self.num_cells}; give at least 1.")

    def features(self, x: Views) -> Float[Array, "views cells"]:
        """Indicators of the cells times √num_cells, with mean square 1 where all cells are equally likely."""
        return jnp.sqrt(float(self.num_cells)) * jax.nn.one_hot(self.cell_of(x), self.num_cells)

    @staticmethod
    def of(views: Views) -> "Tabular":
        """Make one cell for each distinct view among these. Other views raise `DataError`; it cannot be traced."""
        rows = np.asarray(views).reshape(len(views), -1)
        table = {row.tobytes(): number for number, row in enumerate(np.unique(rows, axis=0))}

        def cell_of(x: Views) -> Int[np.ndarray, " views"]:
            flat = np.asarray(x, rows.dtype).reshape(len(x), -1)
            try:
                return np.array([table[row.tobytes()] for row in flat])
            except KeyError:
                raise DataError(f"A view is not among the {len(table)} that this table was made for.") from None

        return Tabular(cell_of, len(table))
