"""Forecast how a self-supervised network will learn, train the real one, and see where theory and reality part.

>>> import dynamics
>>> pairs = dynamics.load_pairs("digits", num_pairs=32)
>>> modes = dynamics.contrastive_modes(dynamics.gram(dynamics.linear(), pairs.stacked))
>>> modes.num_positive
32

Importing this package starts no device and changes no setting of JAX; names are loaded when they are first used, from
where `__init__.pyi` says.
"""

from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # takes longer than all the rest of this file

        return version("ssl-dynamics")  # the name of the distribution
    return _load(name)
