"""Positive pairs: the only data type that travels downstream.

>>> import numpy as np
>>> from dynamics.views import Pairs
>>> x = np.random.default_rng(0).normal(size=(8, 5, 5, 1))
>>> pairs = Pairs(x, x + 0.1)
>>> len(pairs), pairs.input_shape, pairs.stacked.shape
(8, (5, 5, 1), (16, 5, 5, 1))
"""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import Int

from dynamics.errors import DataError
from dynamics.support import archives
from dynamics.support.image_strip import image_strip
from dynamics.support.numbers import real_array

_SHOWN = 10  # pairs in a notebook


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
    labels : array (n,) or (n, t), optional
        What each pair shows: a class as an integer, a boolean or a text, or t real targets as floating-point numbers.
        Training never sees them; they say what a probe can read from what was learned.

    Raises
    ------
    DataError
        If the shapes differ, there is no pair, an entry is NaN or infinite, every view is the same, or there is not one
        label for each pair.
    """

    x: np.ndarray
    x_prime: np.ndarray
    source: str = "pairs"
    labels: np.ndarray | None = None

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
            _require_finite(getattr(self, name), name, self.source)
        if self.labels is not None:
            object.__setattr__(self, "labels", _checked_labels(self.labels, len(self), self.source))
        if (self.stacked == self.x[0]).all():
            raise DataError(f"{self.source}: all {2 * len(self)} views are identical, so there is nothing to learn.")

    def __len__(self) -> int:
        """Return the number of pairs n."""
        return self.x.shape[0]

    def __repr__(self) -> str:
        """Source, number, shape and type of the views, in one line."""
        return f"<Pairs: {len(self)} of views {self.input_shape}, {self.x.dtype}, from {self.source}>"

    def _repr_html_(self) -> str:
        """The same line, and above each other the two views of the first pairs if they are images."""
        caption = repr(self)[1:-1]
        if self.x.ndim != 4 or self.x.shape[-1] not in (1, 3):
            return f"<div>{escape(caption)}</div>"
        first = [np.asarray(half[:_SHOWN], np.float64) for half in (self.x, self.x_prime)]
        return image_strip(np.stack(first), caption)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one view."""
        return self.x.shape[1:]

    @property
    def stacked(self) -> np.ndarray:
        """All 2n views, X̃ = (x_1 … x_n, x'_1 … x'_n), array (2n, *input_shape)."""
        return np.concatenate([self.x, self.x_prime])

    @property
    def stacked_labels(self) -> np.ndarray | None:
        """Labels of all 2n views in the order of `stacked`, array (2n,) or (2n, t); None without labels."""
        return None if self.labels is None else np.concatenate([self.labels, self.labels])

    def rows(self, which: slice | np.ndarray) -> "Pairs":
        """Some of the pairs, with their labels."""
        labels = None if self.labels is None else self.labels[which]
        return Pairs(self.x[which], self.x_prime[which], self.source, labels)

    def standardised(self, like: "Pairs | None" = None) -> "Pairs":
        """Pairs with the mean and scale over all views (per channel for images, per feature for vectors) removed.

        Uncentred pixels give one huge mean mode that hides the others, so the built-in data sets arrive like this.

        Parameters
        ----------
        like : Pairs, optional
            Other pairs, not yet standardised, whose mean and scale are removed: training pairs, if these are held out.

        Raises
        ------
        DataError
            If every view is a constant, so that no scale exists.
        """
        # images (h, w, c): one mean a channel; anything else: one mean for every entry, one scale for all
        axes = tuple(range(self.x.ndim - 1)) if self.x.ndim == 4 else (0,)
        reference = (self if like is None else like).stacked.astype(np.float64)
        mean = reference.mean(axis=axes, keepdims=True)
        scale = (reference - mean).std(axis=axes if self.x.ndim == 4 else None, keepdims=True)
        if not (scale > 0).any():
            raise DataError(f"{self.source}: the views are constant images, so there is nothing to learn.")
        stacked = (self.stacked.astype(np.float64) - mean) / np.where(scale > 0, scale, 1.0)
        dtype = self.x.dtype if self.x.dtype.kind == "f" else np.float32
        x, x_prime = np.split(stacked.astype(dtype), 2)
        return Pairs(x, x_prime, self.source, self.labels)

    def save(self, path: str | Path) -> None:
        """Write the pairs as an `.npz` file with arrays `x`, `x_prime` and, where there are any, `labels`.

        The file has exactly this name and is written atomically.
        """
        labels = {} if self.labels is None else {"labels": self.labels}
        archives.save_npz(path, {"x": self.x, "x_prime": self.x_prime, **labels})

    @staticmethod
    def load(path: str | Path, choose: Callable[[int], Int[np.ndarray, " rows"]] | None = None) -> "Pairs":
        """Read pairs from an `.npz` file with arrays `x`, `x_prime` and, where it has them, `labels`.

        Parameters
        ----------
        path : Path
            The file; `~` is the home folder.
        choose : callable, optional
            Function number of pairs in the file -> indices of those that are wanted. The others are not kept in memory.

        Raises
        ------
        DataError
            If the file is missing, is no `.npz`, is truncated, or lacks one of the two arrays.
        CapacityError
            If the pairs do not fit into the memory that is left.
        """
        with archives.open_npz(path) as archive:
            _require_both(path, archive)
            rows = None
            if choose is not None:
                lengths = [archive.shape(name)[:1] for name in ("x", "x_prime")]
                rows = choose(min((length[0] for length in lengths if length), default=0))
            x, x_prime = archive.read("x", rows), archive.read("x_prime", rows)
            labels = archive.read("labels", rows) if "labels" in archive.names else None
        for name, array in (("x", x), ("x_prime", x_prime)):
            _require_finite(array, name, str(path), rows)
        return Pairs(x, x_prime, str(path), labels)

    @staticmethod
    def count(path: str | Path) -> int:
        """Number of pairs in a file, whose arrays are not read; errors are those of `check`."""
        with archives.open_npz(path) as archive:
            _require_both(path, archive)
            return archive.shape("x")[0] if archive.shape("x") else 0

    @staticmethod
    def check(path: str | Path) -> None:
        """Raise `DataError` if a file is missing or has no two arrays `x` and `x_prime`; they are not read."""
        with archives.open_npz(path) as archive:
            _require_both(path, archive)


def _require_both(path: str | Path, archive: archives.Archive) -> None:
    missing = {"x", "x_prime"} - set(archive.names)
    if missing:
        raise DataError(
            f"{path}: holds {sorted(archive.names)}, but lacks {sorted(missing)}; "
            "save it with np.savez(path, x=x, x_prime=x_prime)."
        )


def _require_finite(array: np.ndarray, name: str, source: str, rows: np.ndarray | None = None) -> None:
    """Raise `DataError` if a view is not finite; `rows` are the rows of the user's array that these are."""
    if array.size == 0 or array.ndim == 0 or array.dtype.kind not in "fc":
        return
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        first = int(bad.argmax() if rows is None else np.asarray(rows)[bad].min())
        raise DataError(
            f"{source}: `{name}` has NaN or infinite entries in {bad.sum()} of {len(array)} views "
            f"(first: row {first}); remove or repair them."
        )


def _checked_labels(labels: np.ndarray, count: int, source: str) -> np.ndarray:
    """Labels as an array, one row a pair: classes (n,), or finite real targets (n,) or (n, t)."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "biuUSf":
        raise DataError(
            f"{source}: `labels` has dtype {labels.dtype}; give integers, booleans or text for classes, or "
            "floating-point numbers for real targets."
        )
    real = labels.dtype.kind == "f"
    if len(labels.shape) not in ((1, 2) if real else (1,)) or len(labels) != count or not labels.size:
        shapes = "(n,) or (n, targets)" if real else "(n,)"
        raise DataError(f"{source}: `labels` has shape {labels.shape}; give {shapes} for the {count} pairs.")
    if real and not np.isfinite(labels).all():
        raise DataError(f"{source}: `labels` has NaN or infinite entries; remove or repair them.")
    return labels
