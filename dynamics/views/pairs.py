"""Positive pairs: the only data type that travels downstream.

>>> import numpy as np
>>> from dynamics.views import Pairs
>>> x = np.random.default_rng(0).normal(size=(8, 5, 5, 1))
>>> pairs = Pairs(x, x + 0.1)
>>> len(pairs), pairs.input_shape, pairs.stacked.shape
(8, (5, 5, 1), (16, 5, 5, 1))
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dynamics.errors import DataError
from dynamics.support import files
from dynamics.support.numbers import real_array


@dataclass(frozen=True, eq=False)
class Pairs:
    """n positive pairs of views.

    Parameters
    ----------
    x, x_prime : array (n, *input_shape)
        Row i of one is the positive partner of row i of the other. Any modality, any shape. Integers, such as
        tokens, stay integers, float32 and float64 are kept, and other floating-point types are converted to the nearest
        of the two (`dynamics.support.numbers`).
    source : str
        Text that says where the pairs come from, for messages, file headers and figure captions.

    Raises
    ------
    DataError
        If the shapes differ, there is no pair, an entry is NaN or infinite, or every view is the same.
    """

    x: np.ndarray
    x_prime: np.ndarray
    source: str = "pairs"

    def __post_init__(self) -> None:
        for name in ("x", "x_prime"):
            object.__setattr__(self, name, real_array(getattr(self, name), f"{self.source}: `{name}`"))
        if self.x.shape != self.x_prime.shape:
            raise DataError(
                f"{self.source}: `x` has shape {self.x.shape} and `x_prime` {self.x_prime.shape}; "
                "give one partner of the same shape for every row."
            )
        if self.x.ndim < 2 or self.x.shape[0] == 0 or self.x[0].size == 0:
            raise DataError(f"{self.source}: views have shape {self.x.shape}; give arrays (n, *input_shape), n ≥ 1.")
        for name in ("x", "x_prime"):
            bad = ~np.isfinite(getattr(self, name)).reshape(len(self), -1).all(axis=1)
            if bad.any():
                raise DataError(
                    f"{self.source}: `{name}` has NaN or infinite entries in {bad.sum()} of {len(self)} views "
                    f"(first: row {int(bad.argmax())}); remove or repair them."
                )
        if (self.stacked == self.x[0]).all():
            raise DataError(f"{self.source}: all {2 * len(self)} views are identical, so there is nothing to learn.")

    def __len__(self) -> int:
        """Return the number of pairs n."""
        return self.x.shape[0]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one view."""
        return self.x.shape[1:]

    @property
    def stacked(self) -> np.ndarray:
        """All 2n views, X̃ = (x_1 … x_n, x'_1 … x'_n), array (2n, *input_shape)."""
        return np.concatenate([self.x, self.x_prime])

    def standardised(self) -> "Pairs":
        """Pairs with the mean and scale over all views (per channel for images, per feature for vectors) removed.

        Uncentred pixels give one huge mean mode that hides the others, so the built-in data sets arrive like this.

        Raises
        ------
        DataError
            If every view is a constant, so that no scale exists.
        """
        # images (h, w, c): one mean a channel; anything else: one mean for every entry, one scale for all
        axes = tuple(range(self.x.ndim - 1)) if self.x.ndim == 4 else (0,)
        stacked = self.stacked.astype(np.float64)
        mean = stacked.mean(axis=axes, keepdims=True)
        scale = (stacked - mean).std(axis=axes if self.x.ndim == 4 else None, keepdims=True)
        if not (scale > 0).any():
            raise DataError(f"{self.source}: the views are constant images, so there is nothing to learn.")
        stacked = (stacked - mean) / np.where(scale > 0, scale, 1.0)
        dtype = self.x.dtype if self.x.dtype.kind == "f" else np.float32
        x, x_prime = np.split(stacked.astype(dtype), 2)
        return Pairs(x, x_prime, self.source)

    def save(self, path: str | Path) -> None:
        """Write the pairs as an `.npz` file with arrays `x` and `x_prime`, under exactly this name, atomically."""
        files.save_npz(path, {"x": self.x, "x_prime": self.x_prime})

    @staticmethod
    def load(path: str | Path) -> "Pairs":
        """Read pairs from an `.npz` file with arrays `x` and `x_prime`.

        Raises
        ------
        DataError
            If the file is missing, is no `.npz`, is truncated, or lacks one of the two arrays.
        """
        path = Path(path)
        if not path.is_file():
            raise DataError(f"{path}: no such file; give the path of an .npz with arrays `x` and `x_prime`.")
        try:
            with np.load(path, allow_pickle=False) as archive:
                missing = {"x", "x_prime"} - set(archive.files)
                if missing:
                    raise DataError(
                        f"{path}: holds {sorted(archive.files)}, but lacks {sorted(missing)}; "
                        "save it with np.savez(path, x=x, x_prime=x_prime)."
                    )
                return Pairs(archive["x"], archive["x_prime"], source=str(path))
        except DataError:
            raise
        except Exception as error:  # zipfile, zlib and NumPy each raise their own kind for a damaged archive
            raise DataError(f"{path}: cannot be read as .npz ({error}); save it again with np.savez.") from error
