"""The annotations of the package agree with each other, as far as mypy can follow them."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def test_mypy_finds_nothing():
    pytest.importorskip("mypy", reason="mypy is not installed (uv sync)")
    result = subprocess.run([sys.executable, "-m", "mypy"], cwd=PROJECT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-1000:]
