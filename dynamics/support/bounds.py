"""Ranges of the numbers in a config record, written beside each of them and checked in one place.

>>> from dataclasses import dataclass
>>> @dataclass
... class Settings:
...     steps: Annotated[int, Bounds(1, 1000)] = 10
>>> check_bounds(Settings(steps=0))
Traceback (most recent call last):
    ...
dynamics.errors.ConfigError: `steps` is 0; give a number from 1 to 1,000.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Annotated, Any, get_args, get_type_hints

from dynamics.errors import ConfigError


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest value that a number may have, both allowed unless the range is open above.

    Parameters
    ----------
    least, most : float
        Ends of the range.
    open_above : bool
        Whether `most` itself is left out.
    whole : bool
        Whether the number must be an integer, because it counts something.
    """

    least: float | int
    most: float | int
    open_above: bool = False
    whole: bool = False

    def admit(self, value: float | int) -> bool:
        """Whether the number lies in the range; NaN never does."""
        if self.whole and not isinstance(value, Integral):
            return False
        return (
            math.isfinite(value)
            and self.least <= value
            and (value < self.most if self.open_above else value <= self.most)
        )

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        upper = f"below {_shown(self.most)}" if self.open_above else f"to {_shown(self.most)}"
        return f"{kind} from {_shown(self.least)} {upper}"


Count = Annotated[int, Bounds(1, 10**9, whole=True)]
"""How many of something there are: at least one."""

Size = Annotated[int, Bounds(1, 10**6, whole=True)]
"""Units, channels or dimensions of a network."""

ImageSize = Annotated[int, Bounds(4, 4096, whole=True)]
"""Side of an image in pixels."""

Seed = Annotated[int, Bounds(0, 2**32 - 1, whole=True)]
"""Seed of a random generator."""

Scale = Annotated[float, Bounds(1e-12, 1e12)]
"""A positive factor."""


def check_bounds(record: Any) -> None:
    """Check every number of a dataclass against the `Bounds` in its type. None passes where the type allows it.

    Raises
    ------
    ConfigError
        If a number is out of its range; the message names the field.
    """
    hints = get_type_hints(type(record), include_extras=True)
    for field in fields(record):
        value = getattr(record, field.name)
        for bounds in _bounds_within(hints[field.name]):
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, Real):
                    require_within(field.name, number, Annotated[float, bounds])


def require_within(name: str, value: float | int | None, hint: Any) -> None:
    """Check one argument against the `Bounds` in a type, such as `Count`; None passes.

    Raises
    ------
    ConfigError
        If the number is out of its range; the message names the argument.
    """
    for bounds in _bounds_within(hint):
        if value is not None and not bounds.admit(value):
            raise ConfigError(f"`{name}` is {_brief(value)}; give {bounds}.")


def _bounds_within(hint: Any) -> Iterator[Bounds]:
    """The bounds in a type, or in the parts of a union or tuple."""
    yield from (mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, Bounds))
    for part in get_args(hint):
        if not isinstance(part, Bounds):
            yield from _bounds_within(part)


def _shown(number: float | int) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _brief(number: Real) -> str:
    text = str(number)
    return text if len(text) <= 24 else f"{text[:20]}… ({len(text)} digits)"
