"""Packages that need not be there, imported when they are used.

>>> optional("json", "This example").dumps([1])
'[1]'
"""

import importlib
from typing import Any

from dynamics.errors import ConfigError


def optional(module: str, purpose: str) -> Any:
    """Import a module of a package that is no dependency.

    Parameters
    ----------
    module : str
        Dotted name of the module.
    purpose : str
        What needs it, as the subject of the sentence of the error.

    Raises
    ------
    ConfigError
        If the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigError(
            f"{purpose} needs {package}, which is not installed; add it, for example with pip install {package}."
        ) from error
