"""What Python shows of a record that holds arrays: one line with their shapes, and not the arrays.

>>> from dataclasses import dataclass
>>> import numpy as np
>>> @dataclass
... class Fit:
...     weights: np.ndarray
...     rate: float
...     __repr__ = one_line
>>> Fit(np.zeros((3, 2)), 0.125)
<Fit: weights (3, 2), rate 0.125>
"""

from collections.abc import Mapping, Sized
from dataclasses import fields
from typing import Any

_LONGEST = 150


def one_line(record: Any) -> str:
    """Name of the class and its fields: arrays by their shapes, numbers and short texts, sizes of collections.

    It is the `__repr__` of dataclasses that hold arrays. Fields that are functions or None are left out, and so is what
    does not fit into a line.
    """
    told = [text for each in fields(record) if (text := _told(each.name, getattr(record, each.name)))]
    line = ", ".join(told)
    if len(line) > _LONGEST:
        line = f"{line[:_LONGEST].rpartition(', ')[0]}, …"
    return f"<{type(record).__name__}: {line}>"


def _told(name: str, value: Any) -> str:
    if value is None or callable(value):
        return ""
    if hasattr(value, "shape"):
        return f"{name} {tuple(value.shape)}"
    if isinstance(value, bool) or (isinstance(value, str) and len(value) <= 40 and value):
        return f"{name} {value}"
    if isinstance(value, (int, float)):
        return f"{name} {value:.4g}"
    if isinstance(value, str):
        return ""
    if isinstance(value, Mapping) or (isinstance(value, Sized) and type(value).__module__ == "builtins"):
        return f"{name} of {len(value)}"
    return f"{name} {type(value).__name__}"
