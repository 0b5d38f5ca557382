"""A saved run made again: the settings that its folder keeps, as the record that they were made from.

>>> from dynamics.recipe.config import Recipe
>>> saved = RunSettings(kind="recipe", command="train", config=Recipe(dim=4).to_dict())
>>> config_of(saved) == Recipe(dim=4)
True
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

from dynamics.errors import ConfigError
from dynamics.experiment.config import Config
from dynamics.recipe.config import Recipe
from dynamics.runs.settings import Kind, RunSettings

CONFIGS: Mapping[Kind, type] = {"experiment": Config, "recipe": Recipe}

DYNAMICS = "dynamics"
"""What the settings of a solvable model hold besides those of its experiment: its name."""


def config_of(settings: RunSettings, name: str = "the settings") -> Config | Recipe:
    """The record of a run's settings, checked as if they had been given now.

    Parameters
    ----------
    settings : RunSettings
        What `config.json` holds.
    name : str
        What the settings are called in messages, such as the path of their file.

    Raises
    ------
    ConfigError
        If a setting does not exist, has another type, or is out of its range.
    """
    record = CONFIGS[settings.kind]
    values = {key: value for key, value in settings.config.items() if key != DYNAMICS}
    unknown = sorted(values.keys() - {field.name for field in fields(record)})
    if unknown:
        raise ConfigError(f"{name}: there is no setting {unknown[0]!r}; remove it, or make the run with this version.")
    try:
        return msgspec.convert(values, record, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: a setting cannot be used ({error}).") from error
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"expected a path, got {value!r}")
