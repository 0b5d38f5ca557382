"""NumPy's array format, read without trusting it: a header is matched, never evaluated, and sizes are checked first.

`numpy.load` hands the header to Python's own parser, which raises five kinds of errors on a damaged one, and allocates
what the header announces before it looks whether the file is that long.

>>> import io
>>> stream = io.BytesIO()
>>> np.save(stream, np.arange(6.0).reshape(2, 3))
>>> size = stream.tell()
>>> _ = stream.seek(0)
>>> read_npy(stream, size)
array([[0., 1., 2.],
       [3., 4., 5.]])
"""

import math
import re
import struct
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from jaxtyping import Int

from dynamics.errors import CapacityError, DataError
from dynamics.support.environment import available_memory

_MAGIC = b"\x93NUMPY"
_LENGTH = {1: "<H", 2: "<I", 3: "<I"}  # major version of the format -> form of the header's length
_LONGEST_HEADER = 10_000  # bytes; NumPy refuses longer ones, too
_MOST_AXES = 32
_CHUNK = 2**20
_ITEM = re.compile(
    r"""\s*(?P<quote>['"])(?P<key>descr|fortran_order|shape)(?P=quote)\s*:\s*"""
    r"""(?P<value>'[^']*'|"[^"]*"|True|False|\((?:\s*\d{1,19}\s*,?)*\s*\))\s*(?:,|$)"""
)
_PLAIN = re.compile(r"[<>|=]?[biufcSUV]\d{1,4}")


@dataclass(frozen=True)
class NpyHeader:
    """What the header of an array announces.

    Parameters
    ----------
    dtype : dtype
        Type of the entries: numbers, booleans, text or raw bytes. Python objects and records are refused.
    shape : tuple of int
        Shape of the array.
    fortran : bool
        Whether the first axis runs fastest in the file.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool

    @property
    def nbytes(self) -> int:
        """Number of bytes of the entries."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy(stream: BufferedIOBase, size: int, rows: Int[np.ndarray, " rows"] | None = None) -> np.ndarray:
    """Read one array.

    Parameters
    ----------
    stream : binary file
        Stream that stands at the beginning of the array.
    size : int
        Number of bytes that belong to the array, with its header.
    rows : array (k,), optional
        Indices of the rows (along the first axis) that are wanted, in this order. The others are not kept in memory.

    Raises
    ------
    DataError
        If the header is none, or announces more or fewer bytes than there are.
    CapacityError
        If the array does not fit into the memory that is left.
    """
    header, length = read_npy_header(stream)
    if header.nbytes != size - length:
        raise DataError(
            f"its header announces {header.nbytes:,} bytes of {header.dtype} {header.shape}, and there are "
            f"{size - length:,}"
        )
    if rows is None or header.fortran or not header.shape:
        require_memory(header.nbytes)
        flat = np.frombuffer(_read(stream, header.nbytes), header.dtype)
        array = flat.reshape(header.shape[::-1]).T if header.fortran else flat.reshape(header.shape)
        return array if rows is None else array[rows]
    require_memory(len(rows) * (header.nbytes // max(header.shape[0], 1)))
    return _read_rows(stream, header, np.asarray(rows))


def load_npy(path: Path) -> np.ndarray:
    """Read a file that `numpy.save` wrote.

    Raises
    ------
    DataError
        If the file cannot be read, or is no array.
    CapacityError
        If the array does not fit into the memory that is left.
    """
    try:
        with path.open("rb") as stream:
            return read_npy(stream, path.stat().st_size)
    except (OSError, DataError) as error:
        raise DataError(f"{path}: cannot be read as an array ({error}).") from error
    except CapacityError as error:
        raise CapacityError(f"{path}: {error}.") from error


def read_npy_header(stream: BufferedIOBase) -> tuple[NpyHeader, int]:
    """Read the header of an array and return it with its length in bytes; `DataError` if it is none."""
    start = stream.read(8)
    if len(start) < 8 or start[:6] != _MAGIC or start[6] not in _LENGTH:
        raise DataError("it does not begin like a NumPy array")
    form = _LENGTH[start[6]]
    (length,) = struct.unpack(form, _exactly(stream, struct.calcsize(form)))
    if length > _LONGEST_HEADER:
        raise DataError(f"its header has {length:,} bytes, and at most {_LONGEST_HEADER:,} are read")
    text = _exactly(stream, length).decode("utf-8" if start[6] == 3 else "latin-1", "replace")
    return _parsed(text.strip()), 8 + struct.calcsize(form) + length


def require_memory(nbytes: int) -> None:
    """Raise `CapacityError` if so many bytes do not fit into the memory that is left."""
    available = available_memory()
    if nbytes > _CHUNK and available is not None and nbytes > available:
        raise CapacityError(f"it announces {nbytes / 1e9:.3g} GB, and {available / 1e9:.3g} GB of memory are left")


def _parsed(text: str) -> NpyHeader:
    if not (text.startswith("{") and text.endswith("}")):
        raise DataError("its header is damaged")
    found: dict[str, str] = {}
    rest = text[1:-1].strip()
    while rest:
        item = _ITEM.match(rest)
        if item is None or item["key"] in found:
            raise DataError("its header is damaged, or describes records or Python objects, which are never loaded")
        found[item["key"]] = item["value"]
        rest = rest[item.end() :].strip()
    descr, order, shape = (found.get(key, "") for key in ("descr", "fortran_order", "shape"))
    if not _PLAIN.fullmatch(descr[1:-1]) or order not in ("True", "False") or not shape.startswith("("):
        raise DataError("its header is damaged, or describes records or Python objects, which are never loaded")
    try:
        dtype = np.dtype(descr[1:-1])
    except TypeError as error:
        raise DataError(f"its header names {descr}, which is no type of NumPy") from error
    axes = tuple(int(axis) for axis in re.findall(r"\d+", shape))
    if len(axes) > _MOST_AXES or math.prod(axis for axis in axes if axis) * max(dtype.itemsize, 1) >= 2**62:
        raise DataError(f"its header announces an impossible shape of {len(axes)} axes")
    return NpyHeader(dtype, axes, order == "True")


def _read_rows(stream: BufferedIOBase, header: NpyHeader, rows: np.ndarray) -> np.ndarray:
    """Read some rows of an array in C order, passing over the others."""
    row_bytes = header.nbytes // max(header.shape[0], 1)
    kept = np.empty((len(rows), *header.shape[1:]), header.dtype)
    at = 0
    for position in np.argsort(rows, kind="stable"):
        row = int(rows[position])
        if row * row_bytes > at:
            _pass_over(stream, row * row_bytes - at)
        kept[position] = np.frombuffer(_read(stream, row_bytes), header.dtype).reshape(header.shape[1:])
        at = (row + 1) * row_bytes
    return kept


def _pass_over(stream: BufferedIOBase, count: int) -> None:
    """Read so many bytes and keep none; what archives call seeking holds 16 MiB of them at a time."""
    while count > 0:
        part = stream.read(min(_CHUNK, count))
        if not part:
            raise DataError("it ends before the rows that are wanted")
        count -= len(part)


def _exactly(stream: BufferedIOBase, count: int) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise DataError("it ends within its header")
    return content


def _read(stream: BufferedIOBase, count: int) -> bytearray:
    """So many bytes, taken as they come: what is announced and not there takes no memory."""
    content = bytearray()
    while len(content) < count:
        part = stream.read(min(_CHUNK, count - len(content)))
        if not part:
            raise DataError(f"it ends after {len(content):,} of {count:,} bytes")
        content += part
    return content
