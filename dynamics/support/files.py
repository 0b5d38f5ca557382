"""Files that are whole or absent: JSON, text, figures, single arrays and bytes, written atomically."""

import csv
import errno
import hashlib
import io
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.errors import CapacityError, ConfigError, DataError
from dynamics.support.npy import read_npy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CHECKSUM_BYTES = 32


def expanded(path: str | Path) -> Path:
    """The path that a user means: `~` is the home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # a user that does not exist
        return Path(path)


def output_folder(path: str | Path) -> Path:
    """Create a folder for results, or raise `ConfigError` if it cannot be written."""
    path = expanded(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except (OSError, ValueError) as error:  # ValueError: a name that no file system can write
        raise ConfigError(
            f"The output folder {brief(path)} cannot be written ({cause(error)}); choose another."
        ) from error
    return path


def output_file(path: str | Path) -> Path:
    """Create the folder of a file for results, and raise `ConfigError` if the file cannot be written there."""
    path = expanded(path)
    try:
        kept = path.lstat()
    except FileNotFoundError:
        kept = None
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error
    if path.is_dir() or path.name in ("", ".."):
        raise ConfigError(f"{brief(path)} is a folder; give the name of a file.")
    if kept is not None and not path.is_file():
        raise ConfigError(f"{brief(path)} is a device or a broken link, which is not replaced; choose another.")
    output_folder(path.parent)
    return path


def brief(text: object, most: int = 200) -> str:
    """A path or another text as it is shown in a message: a very long one with its middle left out."""
    text = str(text)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 3 :]}"


def cause(error: Exception) -> str:
    """What the system or a library says was wrong, in one short line, without the path, which is named around it."""
    lines = (getattr(error, "strerror", None) or str(error)).splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= 200 else f"{lines[0][:200]}…"


def save_figure(figure: "Figure", path: str | Path) -> None:
    """Write a figure as PATH.png and PATH.pdf, atomically, and close it; `ConfigError` if they cannot be written."""
    from matplotlib import pyplot as plt

    undated = {"png": {}, "pdf": {"CreationDate": None}}  # the same numbers make the same file
    for suffix, metadata in undated.items():
        replace_file(
            f"{path}.{suffix}",
            partial(figure.savefig, format=suffix, metadata=metadata),
        )
    plt.close(figure)


def save_csv(path: str | Path, columns: Mapping[str, Any]) -> None:
    """Write columns of one length as comma-separated values below their names, atomically.

    What is missing, NaN or None, is an empty cell. A whole number is written as one, though its column is of floats.

    Raises
    ------
    ConfigError
        If the file cannot be written there.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    lists = (column.tolist() if isinstance(column, np.ndarray) else column for column in columns.values())
    writer.writerows(zip(*(map(_cell, column) for column in lists), strict=True))
    save_text(path, text.getvalue())


def _cell(value: Any) -> Any:
    """NaN as an empty cell, and a whole number as one, though other rows of its column have none."""
    if not isinstance(value, float):
        return value
    return "" if value != value else int(value) if value.is_integer() and abs(value) < 2**53 else value


def save_array(path: str | Path, array: np.ndarray) -> None:
    """Write one array behind a checksum of its bytes, uncompressed; errors are those of `save_bytes`."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    save_bytes(path, buffer.getbuffer())


def load_array(path: str | Path) -> np.ndarray:
    """Read what `save_array` wrote.

    Raises
    ------
    DataError
        If the file is missing, its content does not match its checksum, or it is no array.
    CapacityError
        If it does not fit into the memory that is left.
    """
    content = load_bytes(path)
    try:
        return read_npy(io.BytesIO(content), len(content))
    except (DataError, CapacityError) as error:
        raise type(error)(f"{path}: cannot be read ({error}).") from error


def save_bytes(path: str | Path, content: bytes | memoryview, *, durable: bool = False) -> None:
    """Write bytes behind their checksum; if `durable`, they are on the disk before they take their place.

    Raises
    ------
    OSError
        If the file cannot be written. Whoever keeps bytes knows what that means for a run, and says it.
    """

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
    """Write JSON, atomically; NaN becomes null. `ConfigError` if it cannot be written there."""
    save_text(path, json.dumps(plain(content), indent=2, allow_nan=False) + "\n")


def save_text(path: str | Path, text: str) -> None:
    """Write text in UTF-8, atomically; `ConfigError` if it cannot be written there."""
    replace_file(path, lambda file: file.write(text.encode()))


def replace_file(path: str | Path, write: Callable[[Any], Any]) -> None:
    """Have `write` fill a file that takes its place when it is whole.

    Raises
    ------
    ConfigError
        If the file cannot be written there; what was there stays.
    """
    try:
        _replace(path, write)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str | Path, error: Exception) -> ConfigError:
    return ConfigError(f"{brief(path)} cannot be written ({cause(error)}); choose another place, or make room there.")


def _is_name(path: Path) -> bool:
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _replace(path: str | Path, write: Any) -> None:
    path = Path(path)
    if not _is_name(path):
        raise OSError(errno.EINVAL, "it is no name of a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileExistsError(errno.EEXIST, "it is a folder or a device, and no file")
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")  # mkstemp's would be unreadable to others
    try:
        with temporary.open("xb") as file:
            write(file)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def plain(value: Any, *, finite: bool = True) -> Any:
    """What JSON can say: arrays become lists; NaN and infinities None if `finite`, other objects text if it is not."""
    if isinstance(value, Mapping):
        return {str(key): plain(item, finite=finite) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist(), finite=finite)
    if isinstance(value, list | tuple):
        return [plain(item, finite=finite) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) or not finite else None
    if hasattr(value, "__array__"):
        try:
            return plain(np.asarray(value), finite=finite)
        except TypeError:  # random keys of JAX
            return str(value)
    # a header is written at the end of a training: nothing in it may lose the run
    return str(value) if isinstance(value, Path) or not (finite or isinstance(value, str | int | None)) else value
