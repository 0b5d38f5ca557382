"""Readers of the official binary files: idx (MNIST, Fashion-MNIST), CIFAR-10 and STL-10.

Each takes paths and gives `(images, labels)`: uint8 `(n, h, w, c)` and int64 `(n,)` in 0 … 9, or None where the folder
has no labels. A file that is too short, too long or damaged is an error that names it: half a data set is never read
silently.
"""

import gzip
import math
import zlib
from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from dynamics.errors import CapacityError, DataError
from dynamics.support.npy import require_memory

Labelled = tuple[np.ndarray, np.ndarray | None]

CIFAR10_RECORD = 1 + 3 * 32 * 32  # label, then 1024 red, 1024 green and 1024 blue pixels, row by row
STL10_IMAGE = 3 * 96 * 96
IDX_UNSIGNED_BYTE = 0x08
_IDX_HEADER = 16  # bytes after which the sizes of images and of labels are known
_CHUNK = 2**20


def read_mnist(images_path: Path, labels_path: Path | None = None, limit: int | None = None) -> Labelled:
    """Read images and labels in the idx format, gzipped or not.

    Parameters
    ----------
    images_path, labels_path : Path
        Files of magic number 0x00000803 (n, h, w) and 0x00000801 (n,).
    limit : int, optional
        Number of images to read, the first of the file; all by default.

    Raises
    ------
    DataError
        If a file is truncated, too long, no idx file of this kind, or the two hold different numbers of entries.
    """
    images = read_idx(images_path, ndim=3)[..., None]
    if labels_path is None:
        return images[:limit], None
    labels = read_idx(labels_path, ndim=1)
    if len(labels) != len(images):
        raise DataError(
            f"{labels_path}: holds {len(labels):,} labels, but {images_path.name} holds {len(images):,} images; "
            "the two files do not belong together."
        )
    return images[:limit], _checked_labels(labels_path, labels.astype(np.int64))[:limit]


def read_cifar10(path: Path, labels_path: Path | None = None, limit: int | None = None) -> Labelled:
    """Read one batch of the CIFAR-10 "binary version"; the labels are inside, so `labels_path` stays None.

    Raises
    ------
    DataError
        If the size is no multiple of the 3,073-byte record, or a label is above 9.
    """
    records = _read_records(path, CIFAR10_RECORD, limit)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, _checked_labels(path, records[:, 0].astype(np.int64))


def read_stl10(images_path: Path, labels_path: Path | None = None, limit: int | None = None) -> Labelled:
    """Read STL-10 images (96×96×3, stored channel by channel, column by column) and their labels, 1 … 10 in the file.

    Raises
    ------
    DataError
        If the size is no multiple of the 27,648-byte image, or the labels are too few, too many or outside 1 … 10.
    """
    columns = _read_records(images_path, STL10_IMAGE, limit).reshape(-1, 3, 96, 96)
    images = columns.transpose(0, 3, 2, 1)
    if labels_path is None:
        return images, None
    labels = _read_records(labels_path, 1).ravel()
    expected = images_path.stat().st_size // STL10_IMAGE
    if len(labels) != expected:
        raise DataError(
            f"{labels_path}: holds {len(labels):,} labels, but {images_path.name} holds {expected:,} images; "
            "the two files do not belong together."
        )
    return images, _checked_labels(labels_path, labels.astype(np.int64) - 1)[:limit]


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Read a uint8 array of `ndim` axes in the idx format: magic number, sizes (big-endian uint32), then the bytes.

    Raises
    ------
    DataError
        If the magic number is another, or the size is not what the header says.
    """
    header = 4 + 4 * ndim
    expected_magic = bytes([0, 0, IDX_UNSIGNED_BYTE, ndim])

    def announced(start: bytearray) -> int:
        return header + math.prod(_sizes(start[:header])) if start.startswith(expected_magic) else header

    content, damage = _read_bytes(path, announced)
    if content[:4] != expected_magic[: len(content)] or (len(content) < header and not damage):
        raise DataError(
            f"{path}: starts with 0x{content[:4].hex()} and has {len(content):,} bytes; expected an idx file of magic "
            f"number 0x{expected_magic.hex()} with a header of {header} bytes."
        )
    if len(content) < header:  # so little could be unpacked that the sizes are unknown
        raise DataError(f"{path}: the gzip stream is damaged ({damage}); found {len(content)} bytes and no header.")
    shape = _sizes(content[:header])
    expected = header + math.prod(shape)
    if damage or len(content) != expected or 0 in shape:
        cause = f"the gzip stream is damaged: {damage}" if damage else "the file is truncated or damaged"
        found = f"{len(content):,}" if len(content) <= expected + _CHUNK else f"at least {len(content):,}"
        raise DataError(
            f"{path}: the header announces {shape}, so expected {expected:,} bytes, found {found} ({cause})."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _sizes(header: bytes | bytearray) -> tuple[int, ...]:
    """The sizes in an idx header, after its magic number."""
    return tuple(int(size) for size in np.frombuffer(header[4:], dtype=">u4"))


def _read_bytes(path: Path, announced: Callable[[bytearray], int]) -> tuple[bytearray, str]:
    """Bytes of a file, unpacked if gzipped, and what is wrong with the gzip stream ("" if nothing, CRC included).

    No more is kept than a chunk beyond the size that the file's first bytes announce: a small file may unpack to more
    than there is memory.
    """
    content = bytearray()
    try:
        with path.open("rb") as file:
            start = file.peek(2)[:2]  # type: ignore[attr-defined]  # a buffered reader has it
            packed = start == b"\x1f\x8b"
            if path.suffix == ".gz" and not packed:
                found = path.stat().st_size
                raise DataError(f"{path}: is no gzip file (starts with 0x{start.hex()}, {found:,} bytes).")
            stream = gzip.GzipFile(fileobj=file) if packed else file
            while part := _part(stream, path):
                content += part
                if len(content) >= _IDX_HEADER:
                    size = announced(content)
                    _require_room(path, size)
                    if len(content) > size + _CHUNK:
                        break
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return content, str(error)
    except OSError as error:
        raise _unreadable(path, error) from error
    return content, ""


def _part(stream: BufferedIOBase, path: Path) -> bytes:
    """The next bytes of a stream, as many as there are at once, so that a damaged one gives all before the damage."""
    return stream.read1(_CHUNK)


def _require_room(path: Path, size: int) -> None:
    try:
        require_memory(size)
    except CapacityError as error:
        raise CapacityError(f"{path}: {error}; it is damaged, or needs a larger machine.") from error


def _read_records(path: Path, size: int, limit: int | None = None) -> np.ndarray:
    """Records of `size` bytes, uint8 (n, size)."""
    try:
        found = path.stat().st_size
        values = np.fromfile(path, dtype=np.uint8, count=-1 if limit is None else limit * size)
    except OSError as error:
        raise _unreadable(path, error) from error
    if found == 0 or found % size:
        whole = max(1, found // size)
        raise DataError(
            f"{path}: expected a multiple of {size:,} bytes (such as {whole * size:,} for {whole:,} records), "
            f"found {found:,}; the file is truncated or damaged."
        )
    return values.reshape(-1, size)


def _checked_labels(path: Path, labels: np.ndarray) -> np.ndarray:
    outside = (labels < 0) | (labels > 9)
    if outside.any():
        raise DataError(
            f"{path}: {outside.sum():,} of {len(labels):,} labels are none of the ten classes "
            f"(first: record {int(outside.argmax()):,}); the file is damaged or of another data set."
        )
    return labels


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be read ({error.strerror or error}); check its permissions.")
