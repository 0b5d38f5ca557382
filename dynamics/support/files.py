"""Files that are whole or absent: `.npz` archives with a JSON header, single arrays, and JSON, written atomically."""

import hashlib
import io
import json
import os
import secrets
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from dynamics.errors import ConfigError, DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEADER = "header.json"
_CHECKSUM_BYTES = 32
_LARGE = 2**20  # bytes of an array that is not compressed


def output_folder(path: str | Path) -> Path:
    """Create a folder for results, or raise `ConfigError` if it cannot be written."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ConfigError(f"The output folder {path} cannot be written ({error.strerror}); choose another.") from error
    return path


def save_npz(path: str | Path, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any] | None = None) -> None:
    """Write arrays and a JSON header; a reader sees the old file or the new one, never half of it.

    Large arrays are stored as they are: compressing noise takes longer than anything else and saves a tenth.
    """
    header_bytes = np.frombuffer(json.dumps(_plain(header or {}, finite=False)).encode(), np.uint8)

    def write(file: Any) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in {_HEADER: header_bytes, **arrays}.items():
                values = np.asanyarray(array)
                member = zipfile.ZipInfo(f"{name}.npy")  # without a date: the same numbers make the same file
                member.compress_type = zipfile.ZIP_DEFLATED if values.nbytes < _LARGE else zipfile.ZIP_STORED
                with archive.open(member, "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, values, allow_pickle=False)

    _replace(path, write)


def load_npz(path: str | Path, required: Sequence[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and header of a file of `save_npz`.

    Raises
    ------
    DataError
        If the file is missing, damaged, or lacks one of the `required` arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(bytes(arrays.pop(_HEADER, np.frombuffer(b"{}", np.uint8))))
    except Exception as error:  # zipfile, zlib, json and NumPy each raise their own kind for a damaged archive
        raise DataError(f"{path}: cannot be read ({error}); it is damaged or was not written by dynamics.") from error
    missing = set(required) - set(arrays)
    if missing:
        raise DataError(f"{path}: lacks {sorted(missing)}; it was not written by this part of dynamics.")
    return arrays, header


def save_figure(figure: "Figure", path: str | Path) -> None:
    """Write a figure as PATH.png and PATH.pdf, atomically, and close it."""
    from matplotlib import pyplot as plt

    undated = {"png": {}, "pdf": {"CreationDate": None}}  # the same numbers make the same file
    for suffix, metadata in undated.items():
        _replace(
            Path(f"{path}.{suffix}"),
            lambda file, suffix=suffix, metadata=metadata: figure.savefig(file, format=suffix, metadata=metadata),
        )
    plt.close(figure)


def save_array(path: str | Path, array: np.ndarray) -> None:
    """Write one array behind a checksum of its bytes, uncompressed."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    save_bytes(path, buffer.getbuffer())


def load_array(path: str | Path) -> np.ndarray:
    """Read what `save_array` wrote.

    Raises
    ------
    DataError
        If the file is missing, or its content does not match its checksum.
    """
    return np.lib.format.read_array(io.BytesIO(load_bytes(path)), allow_pickle=False)


def save_bytes(path: str | Path, content: bytes | memoryview, *, durable: bool = False) -> None:
    """Write bytes behind their checksum; if `durable`, they are on the disk before they take their place."""

    def write(file: Any) -> None:
        file.writelines((_checksum(content), content))
        if durable:
            file.flush()
            os.fsync(file.fileno())

    _replace(path, write)


def load_bytes(path: str | Path) -> memoryview:
    """Read what `save_bytes` wrote.

    Raises
    ------
    DataError
        If the file is missing, or its content does not match its checksum.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    checksum, rest = content[:_CHECKSUM_BYTES], memoryview(content)[_CHECKSUM_BYTES:]
    if _checksum(rest) != checksum:
        raise DataError(f"{path}: its content does not match its checksum; it is damaged.")
    return rest


def remove_partial(folder: str | Path) -> None:
    """Remove what writers that were killed left unfinished in a folder."""
    for path in Path(folder).glob("*.partial"):
        path.unlink(missing_ok=True)


def _checksum(content: Any) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES).digest()


def save_json(path: str | Path, content: Any) -> None:
    """Write JSON, atomically; NaN becomes null."""
    save_text(path, json.dumps(_plain(content), indent=2, allow_nan=False) + "\n")


Record = TypeVar("Record")


def load_record(path: str | Path, kind: type[Record]) -> Record:
    """Read JSON as a declared record.

    Parameters
    ----------
    path : Path
        File to read.
    kind : type
        A `msgspec.Struct`, which declares fields and their types.

    Raises
    ------
    DataError
        If the file is missing, is no JSON, or a field is missing or of another type; the sentence names the field.
    """
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=kind)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: is not what dynamics wrote ({error}); run the command again.") from error


def save_text(path: str | Path, text: str) -> None:
    """Write text in UTF-8, atomically."""
    _replace(path, lambda file: file.write(text.encode()))


def _replace(path: str | Path, write: Any) -> None:
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")  # mkstemp's would be unreadable to others
    try:
        with temporary.open("xb") as file:
            write(file)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _plain(value: Any, *, finite: bool = True) -> Any:
    """What JSON can say: arrays become lists; NaN and infinities None if `finite`, other objects text if it is not."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, finite=finite) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist(), finite=finite)
    if isinstance(value, list | tuple):
        return [_plain(item, finite=finite) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) or not finite else None
    if hasattr(value, "__array__"):
        try:
            return _plain(np.asarray(value), finite=finite)
        except TypeError:  # random keys of JAX
            return str(value)
    # a header is written at the end of a training: nothing in it may lose the run
    return str(value) if isinstance(value, Path) or not (finite or isinstance(value, str | int | None)) else value
