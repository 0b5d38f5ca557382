"""The examples in the docstrings run as printed."""

import doctest
import importlib
import pkgutil

import pytest

import dynamics

MODULES = [module.name for module in pkgutil.walk_packages(dynamics.__path__, "dynamics.")]


@pytest.mark.parametrize("name", [name for name in ("dynamics", *MODULES) if not name.endswith("__main__")])
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
