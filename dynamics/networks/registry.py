"""Architectures by name, for the command line and for configuration files."""

from dataclasses import MISSING, fields
from typing import Any

from dynamics.errors import ConfigError
from dynamics.networks.base import Architecture
from dynamics.networks.convnet import ConvNet
from dynamics.networks.group_convnet import GroupConvNet
from dynamics.networks.mlp import MLP
from dynamics.networks.resnet import ResNet

ARCHITECTURES: dict[str, type[Architecture]] = {
    "mlp": MLP,
    "convnet": ConvNet,
    "resnet": ResNet,
    "group-convnet": GroupConvNet,
}
"""Name -> class; the setting `network` of an experiment is one of these names."""


def architecture(name: str, **settings: Any) -> Architecture:
    """Return the architecture called `name`, with the given settings in place of its defaults.

    >>> architecture("resnet", width=16).blocks
    1

    Raises
    ------
    ConfigError
        If the name or a setting is unknown, a setting is out of range, or one without a default is left out.
    """
    if name not in ARCHITECTURES:
        raise ConfigError(f"architecture {name!r} is unknown; choose from {', '.join(ARCHITECTURES)}.")
    kind = ARCHITECTURES[name]
    known = [field.name for field in fields(kind)]
    unknown = [setting for setting in settings if setting not in known]
    if unknown:
        raise ConfigError(f"architecture {name!r} has no setting {unknown[0]!r}; it has {', '.join(known)}.")
    needed = [field.name for field in fields(kind) if field.default is MISSING and field.name not in settings]
    if needed:
        raise ConfigError(f"architecture {name!r} needs {needed[0]!r}, which has no default.")
    return kind(**settings)
