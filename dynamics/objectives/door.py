"""What every loss does with the embeddings that it is given, before its formula."""

import functools
import inspect
from collections.abc import Callable
from numbers import Real
from typing import Any, ParamSpec, TypeVar

import jax.numpy as jnp

from dynamics.errors import DataError
from dynamics.support.bounds import require_within
from dynamics.support.numbers import computing_type

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def of_embeddings(loss: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a loss of embeddings: half precision is computed in float32, and an odd number of views is refused.

    Sums of squares and exponentials of float16 overflow, and those of bfloat16 have two digits. Views come in pairs
    unless there is a graph that relates them.
    """
    names = list(inspect.signature(loss).parameters)
    embeddings = [name for name in names if name in ("embeddings", "predictions", "targets")]

    @functools.wraps(loss)
    def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        given = dict(zip(names, args, strict=False)) | kwargs
        for name in embeddings:
            F = jnp.asarray(given[name])
            if given.get("graph") is None and len(F) % 2:
                raise DataError(f"{loss.__name__}: {len(F)} views are no pairs; give both views of every pair.")
            given[name] = F.astype(computing_type(F.dtype)) if F.dtype.itemsize < 4 else F
        return loss(**given)  # type: ignore[call-arg]  # the names are those of its own signature

    return checked


def check_setting(name: str, value: Any, hint: Any) -> None:
    """Raise `ConfigError` if a setting is out of the bounds in its type; traced values, as under `vmap`, pass."""
    if isinstance(value, Real):
        require_within(name, value, hint)  # type: ignore[arg-type]
