"""Gram matrices on disk, a file for every row block, so that an interrupted evaluation goes on where it stopped.

A matrix is found by a hash of all that its values depend on: the kernel's key, the views, the precision, the versions
of the libraries and the code of the kernels. A row block is written under another name and then renamed, and carries a
checksum, so that a file is whole or is evaluated again.
"""

import json
import shutil
import time
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from dynamics.errors import CapacityError, ConfigError, DataError
from dynamics.kernels.kernel import Kernel
from dynamics.support import files
from dynamics.support.environment import versions
from dynamics.support.hashes import content_hash

ABANDONED_SECONDS = 3600.0
"""Age of a half-written file at which whoever wrote it is taken to be gone."""


class GramCache:
    """The row blocks of one Gram matrix in a folder.

    Parameters
    ----------
    folder : path
        Folder of all cached matrices; each has a sub-folder named after its hash.
    kernel : Kernel
        Kernel with a key.
    x1, x2 : array (a, …), (b, …)
        Views as the kernel takes them; `x2` is None for the Gram matrix of one stack.
    dtype : {"float64", "float32"}
        Precision of the evaluation.

    Raises
    ------
    ConfigError
        If the kernel has no key, or the folder cannot be written.
    CapacityError
        If the matrix does not fit on the disk.
    """

    def __init__(self, folder: str | Path, kernel: Kernel, x1: np.ndarray, x2: np.ndarray | None, dtype: str):
        if kernel.key is None:
            raise ConfigError(
                f"kernel {kernel.name!r}: nothing says what its values depend on, so they cannot be kept on disk; wrap "
                "it as Kernel(name, function, key=...) with a key that changes when its values do, or evaluate "
                "without a cache."
            )
        self.folder = Path(folder) / _digest(kernel.key, dtype, x1, x2)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"The kernel cache {folder} cannot be written ({error.strerror}); choose another folder."
            ) from error
        self._remove_abandoned()
        self._require_room(x1, x2, np.dtype(dtype).itemsize)

    def load(self, row: slice, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray | None:
        """Return a row block, or None if it is not there; a damaged one is named in a warning and not used."""
        path = self._path(row)
        if not path.exists():
            return None
        try:
            block = files.load_array(path)
            if block.shape != shape or block.dtype != dtype:
                raise DataError(f"{path}: holds {block.dtype} {block.shape} where {dtype} {shape} belongs.")
        except DataError as error:
            warnings.warn(f"{error} It is evaluated again.", stacklevel=2)
            return None
        return block

    def save(self, row: slice, block: np.ndarray) -> None:
        """Keep a row block; if the disk refuses it, warn, and go on without keeping it."""
        try:
            files.save_array(self._path(row), block)
        except OSError as error:
            warnings.warn(f"{self._path(row)}: cannot be written ({error.strerror}), so it is not kept.", stacklevel=2)

    def _path(self, row: slice) -> Path:
        return self.folder / f"rows-{row.start:08d}-{row.stop:08d}.block"

    def _remove_abandoned(self) -> None:
        for path in self.folder.glob("*.partial"):
            try:
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()
            except FileNotFoundError:  # another process was quicker
                pass

    def _require_room(self, x1: np.ndarray, x2: np.ndarray | None, itemsize: int) -> None:
        entries = len(x1) * (len(x1) + 1) // 2 if x2 is None else len(x1) * len(x2)
        missing = entries * itemsize - sum(path.stat().st_size for path in self.folder.glob("*.block"))
        free = shutil.disk_usage(self.folder).free
        if missing > free:
            raise CapacityError(
                f"The kernel cache {self.folder.parent} needs {missing / 1e9:.3g} GB for this Gram matrix and the disk "
                f"has {free / 1e9:.3g} GB left; choose another folder, or evaluate without a cache."
            )


def _digest(key: str, dtype: str, x1: np.ndarray, x2: np.ndarray | None) -> str:
    return content_hash(key, dtype, _versions(), _source(), x1, *([] if x2 is None else [x2]))


@cache
def _versions() -> str:
    return json.dumps({name: versions()[name] for name in ("dynamics", "jax", "jaxlib", "neural-tangents", "numpy")})


@cache
def _source() -> str:
    """Hash of the code that kernels are made of: a changed formula must not find the values of the old one."""
    package = Path(__file__).resolve().parents[1]
    modules = sorted((*package.glob("kernels/*.py"), *package.glob("networks/*.py")))
    return content_hash(*(path.read_text(encoding="utf-8") for path in modules))
