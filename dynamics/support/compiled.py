"""Compiling once what is the same: functions with settings are told apart by what they do, not by which object it is.

`functools.partial(loss, weight=0.5)` is a new object whenever it is written, and two of them are never equal. A cache
that is keyed by the function, and every compiler has one, would miss each time.

>>> from functools import partial
>>> def power(x, n):
...     return x**n
>>> partial(power, n=2) == partial(power, n=2), comparable(partial(power, n=2)) == comparable(partial(power, n=2))
(False, True)
"""

import functools
from collections.abc import Callable
from typing import Any

FOR_ONE_RUN = {"xla_backend_optimization_level": 1}
"""Options of `jax.jit` for what runs once or twice, such as drawing parameters: it is compiled two to four times faster
than with all optimisations, and its numbers on a CPU were the same bit for bit wherever that was tried."""


class _Comparable:
    """A partial that equals every other one of the same function and the same settings."""

    def __init__(self, bound: functools.partial):
        function = comparable(bound.func)
        self._bound = functools.partial(function, *bound.args, **bound.keywords)
        self._key = (function, _typed(bound.args), frozenset((k, _typed(v)) for k, v in bound.keywords.items()))
        self._hash = hash(self._key)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._bound(*args, **keywords)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Comparable) and self._key == other._key

    def __hash__(self) -> int:
        return self._hash


def comparable(function: Callable) -> Callable:
    """The function in a form whose equality says whether it computes the same.

    Parameters
    ----------
    function : callable
        The function. A `functools.partial` whose settings can be hashed becomes a callable that equals all others of
        the same function and settings. Everything else, also a partial that binds an array, is returned as it is and
        equals only itself.
    """
    if not isinstance(function, functools.partial):
        return function
    try:
        return _Comparable(function)
    except TypeError:  # a setting that cannot be hashed, such as an array
        return function


def compile_once(maxsize: int) -> Callable[[Callable], Callable]:
    """Decorate a function that builds compiled functions from others, so that it builds only once for the same ones.

    Parameters
    ----------
    maxsize : int
        How many results are kept; the one that was not used for longest is dropped first. A result that is kept also
        keeps everything in memory that its functions close over.
    """

    def decorate(build: Callable) -> Callable:
        cached = functools.lru_cache(maxsize)(build)

        @functools.wraps(build)
        def look_up(*arguments: Any) -> Any:
            return cached(*(comparable(each) if callable(each) else each for each in arguments))

        look_up.cache_info = cached.cache_info  # type: ignore[attr-defined]  # functions may have attributes
        return look_up

    return decorate


def _typed(value: Any) -> Any:
    """A key that tells 1 from 1.0 and from True, as a compiler does; Python's own equality does not."""
    if isinstance(value, tuple):
        return tuple(map(_typed, value))
    return type(value), comparable(value) if callable(value) else value
