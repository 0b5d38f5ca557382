"""Shape annotations are checked at run time while the tests run; theory is float64, nothing global is flipped."""

import os
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from jaxtyping import install_import_hook
from matplotlib import pyplot as plt

# several workers share one accelerator
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# most programs of the tests are small and run a few times, so that compiling them well takes longer than it saves
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
matplotlib.use("Agg")

install_import_hook("dynamics", "beartype.beartype")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    plt.close("all")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def data_dir() -> Path:
    """Folder with the official binary files of MNIST and CIFAR-10; the test is skipped where there is none."""
    folder = Path(os.environ.get("DYNAMICS_DATA_DIR", SHARED_DATA))
    if not folder.is_dir():
        pytest.skip("real MNIST and CIFAR-10 files are not on this machine (set DYNAMICS_DATA_DIR)")
    return folder
