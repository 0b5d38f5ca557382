"""What a file must hold, declared as types: JSON by msgspec, arrays by jaxtyping, both checked in one place each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import jaxtyped

from dynamics.errors import DataError
from dynamics.support.files import cause, expanded


@dataclass(frozen=True)
class ArrayField:
    """What an array of a file must be.

    Parameters
    ----------
    type : jaxtyping type
        Type and shape, such as `Float[np.ndarray, "times dim"]`. Axes of the same name have the same length in all
        arrays of the file.
    finite : bool
        Whether NaN and infinities are refused.
    """

    type: Any
    finite: bool = True


def check_arrays(path: str | Path, arrays: Mapping[str, np.ndarray], declared: Mapping[str, ArrayField]) -> None:
    """Check the arrays of a file against their declaration.

    Parameters
    ----------
    path : Path
        File that they come from, for the message.
    arrays : mapping
        Name -> array. Names that are not declared are left alone.
    declared : mapping
        Name -> what the array must be. A name that ends in `.*` stands for all that begin like it.

    Raises
    ------
    DataError
        If an array has another type or shape, or is not finite where it must be; the message names file and array.
    """
    with jaxtyped("context"):  # within it, an axis keeps the length that it had first
        for name, field in _matching(arrays, declared):
            array = arrays[name]
            if not isinstance(array, field.type):
                raise DataError(
                    f"{path}: `{name}` is {array.dtype} of shape {array.shape} and should be {_kind_of(field)}, "
                    f"({field.type.dim_str.strip()}) that fit the other arrays; make the file again."
                )
            if field.finite and not np.isfinite(array).all():
                count = np.count_nonzero(~np.isfinite(array))
                raise DataError(f"{path}: `{name}` has {count:,} entries that are NaN or infinite; make it again.")


def load_record(path: str | Path, kind: Any) -> Any:
    """Read JSON as a declared record.

    Parameters
    ----------
    path : Path
        File to read.
    kind : type
        A `msgspec.Struct`, which declares fields and their types, or another type that msgspec decodes to.

    Raises
    ------
    DataError
        If the file is missing, is no JSON, or a field is missing or of another type; the sentence names the field.
    """
    try:
        return msgspec.json.decode(expanded(path).read_bytes(), type=kind)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise not_ours(path, error) from error


def as_record(path: str | Path, content: Any, kind: Any) -> Any:
    """Plain values, such as the header of a file, as a declared record; errors are those of `load_record`."""
    try:
        return msgspec.convert(content, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise not_ours(path, error) from error


def not_ours(path: str | Path, error: Exception | str) -> DataError:
    """The error for a file whose content is not what dynamics writes there."""
    why = error if isinstance(error, str) else cause(error)
    return DataError(f"{path}: is not what dynamics wrote ({why}); run the command again.")


def _matching(arrays: Mapping[str, Any], declared: Mapping[str, ArrayField]) -> Iterator[tuple[str, ArrayField]]:
    for pattern, field in declared.items():
        for name in arrays:
            if name == pattern or (pattern.endswith(".*") and name.startswith(pattern[:-1])):
                yield name, field


def _kind_of(field: ArrayField) -> str:
    kinds = {"f": "real numbers", "i": "integers", "u": "integers", "b": "booleans"}
    return next(kinds[kind[0]] for kind in field.type.dtypes if kind[0] in kinds)
