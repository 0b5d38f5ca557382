"""`.npz` archives with a JSON header: written whole or not at all, and read without trusting them."""

import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from dynamics.errors import CapacityError, DataError, DynamicsError
from dynamics.support.files import cause, expanded, plain, replace_file
from dynamics.support.npy import read_npy, read_npy_header, require_memory

_HEADER = "header.json"
_LARGE = 2**20  # bytes of an array that is not compressed
_SUFFIX = ".npy"


def save_npz(path: str | Path, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any] | None = None) -> None:
    """Write arrays and a JSON header; a reader sees the old file or the new one, never half of it.

    Large arrays are stored as they are: compressing noise takes longer than anything else and saves a tenth.

    Raises
    ------
    ConfigError
        If the file cannot be written there.
    """
    header_bytes = np.frombuffer(json.dumps(plain(header or {}, finite=False)).encode(), np.uint8)

    def write(file: Any) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in {_HEADER: header_bytes, **arrays}.items():
                values = np.asanyarray(array)
                member = zipfile.ZipInfo(f"{name}{_SUFFIX}")  # without a date: the same numbers make the same file
                member.compress_type = zipfile.ZIP_DEFLATED if values.nbytes < _LARGE else zipfile.ZIP_STORED
                with archive.open(member, "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, values, allow_pickle=False)

    replace_file(path, write)


def load_npz(path: str | Path, required: Sequence[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and header of a file of `save_npz`.

    Raises
    ------
    DataError
        If the file is missing, damaged, or lacks one of the `required` arrays.
    """
    with open_npz(path) as archive:
        missing = set(required) - set(archive.names)
        if missing:
            raise DataError(f"{path}: lacks {sorted(missing)}; it was not written by this part of dynamics.")
        arrays = {name: archive.read(name) for name in archive.names}
        stored = arrays.pop(_HEADER, None)
        header = {} if stored is None else json.loads(stored.tobytes())
        if not isinstance(header, dict):
            raise DataError("its header is no JSON object")
    return arrays, header


class Archive:
    """An `.npz` file that is open for reading (`open_npz`).

    Parameters
    ----------
    members : zipfile.ZipFile
        The opened archive.
    """

    def __init__(self, members: zipfile.ZipFile):
        self._members = members
        self.names = [name.removesuffix(_SUFFIX) for name in members.namelist()]
        """Names of the arrays."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, of which only the header is read."""
        with self._members.open(self._info(name)) as stream:
            return read_npy_header(stream)[0].shape

    def read(self, name: str, rows: Int[np.ndarray, " rows"] | None = None) -> np.ndarray:
        """An array, or some of its rows; the others are passed over and take no memory."""
        info = self._info(name)
        require_memory(0 if rows is not None else info.file_size)
        try:
            with self._members.open(info) as stream:
                array = read_npy(stream, info.file_size, rows)
                if rows is None and stream.read(1):
                    raise DataError("it is longer than its header says")
                return array
        except (DataError, CapacityError) as error:
            raise type(error)(f"`{name}`: {error}") from error

    def _info(self, name: str) -> zipfile.ZipInfo:
        return next(info for info in self._members.infolist() if info.filename.removesuffix(_SUFFIX) == name)


@contextmanager
def open_npz(path: str | Path) -> Iterator[Archive]:
    """Open an `.npz` file; whatever is wrong with it becomes a `DataError` that names it.

    Raises
    ------
    DataError
        If the file is missing, or is damaged where it is read.
    CapacityError
        If an array does not fit into the memory that is left.
    """
    path = expanded(path)
    if not os.path.isfile(path):  # unlike Path.is_file, it takes names that no system allows
        raise DataError(f"{path}: no such file.")
    try:
        with zipfile.ZipFile(path) as members:
            yield Archive(members)
    except CapacityError as error:
        raise CapacityError(f"{path}: {error}.") from error
    except DataError as error:
        if str(error).startswith(str(path)):  # said by whoever reads, and complete
            raise
        raise _damaged(path, error) from error
    except DynamicsError:
        raise
    except Exception as error:  # zipfile, zlib, json and struct each raise their own kind for a damaged archive
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read ({cause(error)}); it is damaged, or no .npz of plain arrays.")
