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
from dynamics.recipe.config import Recipe, recipe_preset

AnyConfig = Config | Recipe


@dataclass(frozen=True)
class Axis:
    """One setting of `Config` or `Recipe` and the values it takes.

    Raises
    ------
    ConfigError
        If there is no value, or a value occurs twice.
    """

    name: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ConfigError(f"The setting {self.name} has no value; give some, such as {self.name}=1,2,3.")
        if len(set(self.values)) < len(self.values):
            raise ConfigError(f"The values {self.values} of {self.name} repeat; give each once.")


def parse_axis(text: str, kind: type[AnyConfig] = Config) -> Axis:
    """Read `width=16,32,64`, as on the command line, as a setting of `Config` or `Recipe`.

    Raises
    ------
    ConfigError
        If the text is of another form, or a value does not fit the setting.
    """
    name, equals, values = text.partition("=")
    name = name.strip().lstrip("-").replace("-", "_")
    if not equals:
        raise ConfigError(f"`{text}` does not say what to vary; write a setting and its values, such as seed=0,1,2.")
    _require_setting(name, kind)
    hint = get_type_hints(kind)[name]
    return Axis(name, tuple(_value(name, hint, value.strip()) for value in values.split(",") if value.strip()))


def grid(config: AnyConfig, axes: Sequence[Axis]) -> Iterator[tuple[Mapping[str, Any], AnyConfig]]:
    """Every combination of values, the last axis running fastest, and its settings.

    Raises
    ------
    ConfigError
        If the config has no such setting, or one is varied twice.
    """
    names = [axis.name for axis in axes]
    for name in names:
        _require_setting(name, type(config))
    if len(set(names)) < len(names):
        raise ConfigError(f"A setting is varied twice: {', '.join(names)}; give all its values at once.")
    for point in combinations(axes):
        yield point, _at(config, point)


def combinations(axes: Sequence[Axis]) -> Iterator[Mapping[str, Any]]:
    """Every combination of the values of the axes, the last axis running fastest."""
    for values in itertools.product(*(axis.values for axis in axes)):
        yield dict(zip((axis.name for axis in axes), values, strict=True))


def _at(config: AnyConfig, point: Mapping[str, Any]) -> AnyConfig:
    """Settings of one point. A recipe with another objective takes the preset's settings for that objective."""
    if isinstance(config, Recipe) and point.get("objective", config.objective) != config.objective:
        of_preset = recipe_preset(config.preset, config.objective)
        chosen = {name: value for name, value in vars(config).items() if value != getattr(of_preset, name)}
        config = replace(recipe_preset(config.preset, point["objective"]), **chosen)
    return replace(config, **point)


def _require_setting(name: str, kind: type[AnyConfig]) -> None:
    known = [field.name for field in fields(kind)]
    if name not in known:
        raise ConfigError(f"There is no setting `{name}` to vary; known are {', '.join(known)}.")


def _value(name: str, hint: Any, text: str) -> Any:
    """Read a value as the first of the setting's types that it fits, the narrowest first."""
    kinds = list(_kinds(hint))
    for kind in (int, float):
        if kind in kinds and text.isascii():  # Python reads digits of every script, and file names would differ
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
