"""What varies in a sweep: one setting and its values, or several of them and their product.

>>> from dynamics.sweeps.axes import parse_axis
>>> parse_axis("width=16,32"), parse_axis("init-scale=1e-4,1e-3").values
(Axis(name='width', values=(16, 32)), (0.0001, 0.001))
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dynamics.errors import ConfigError
from dynamics.experiment.config import Config


@dataclass(frozen=True)
class Axis:
    """One setting of `Config` and the values it takes.

    Raises
    ------
    ConfigError
        If there is no such setting, no value, or a value twice.
    """

    name: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        known = [field.name for field in fields(Config)]
        if self.name not in known:
            raise ConfigError(f"There is no setting `{self.name}` to vary; known are {', '.join(known)}.")
        if not self.values:
            raise ConfigError(f"The setting {self.name} has no value; give some, such as {self.name}=1,2,3.")
        if len(set(self.values)) < len(self.values):
            raise ConfigError(f"The values {self.values} of {self.name} repeat; give each once.")


def parse_axis(text: str) -> Axis:
    """`width=16,32,64`, as on the command line.

    Raises
    ------
    ConfigError
        If the text is of another form, or a value does not fit the setting.
    """
    name, equals, values = text.partition("=")
    name = name.strip().removeprefix("--").replace("-", "_")
    if not equals:
        raise ConfigError(f"`{text}` says nothing to vary; write a setting and its values, such as seed=0,1,2.")
    if name not in get_type_hints(Config):
        return Axis(name, ())  # which raises
    return Axis(name, tuple(_value(name, value.strip()) for value in values.split(",") if value.strip()))


def grid(config: Config, axes: Sequence[Axis]) -> Iterator[tuple[Mapping[str, Any], Config]]:
    """Every combination of values, the last axis running fastest, and its settings."""
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        raise ConfigError(f"A setting is varied twice: {', '.join(names)}; give all its values at once.")
    for values in itertools.product(*(axis.values for axis in axes)):
        point = dict(zip(names, values, strict=True))
        yield point, replace(config, **point)


def _value(name: str, text: str) -> Any:
    """Read a value as the first of the setting's types that it fits, the narrowest first."""
    kinds = list(_kinds(get_type_hints(Config)[name]))
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    if text in kinds:
        return text
    if bool in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    for wrapper in (Path, str):
        if wrapper in kinds:
            return wrapper(text)
    choices = [kind if isinstance(kind, str) else kind.__name__ for kind in kinds]
    raise ConfigError(f"{name} cannot be `{text}`; give {' or '.join(choices)}.")


def _kinds(hint: Any) -> Iterator[Any]:
    """int, float, bool, str, Path and the strings of a Literal, out of whatever union they stand in."""
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    elif get_args(hint):
        for part in get_args(hint):
            yield from _kinds(part)
    elif hint is not NoneType:
        yield hint
