"""Logs from embeddings that were saved during training, one array a file."""

import re
from pathlib import Path

import numpy as np

from dynamics.diagnosis.log import Log
from dynamics.errors import DataError
from dynamics.support.npy import load_npy
from dynamics.trajectories.metrics import covariance_spectrum

_STEP = re.compile(r"(\d+)(?!.*\d)")  # the last number of a name


def read_dumps(folder: Path, objective: str | None = None) -> Log:
    """Spectra of all arrays (N, d) of a folder; the last number in the name of a file is its step.

    Raises
    ------
    DataError
        If there are no `.npy` files, a name has no number, or an array is not (N, d).
    """
    files = sorted(folder.glob("*.npy"))
    if not files:
        raise DataError(f"{folder}: holds neither a run, nor embeddings (*.npy), nor TensorBoard events.")
    by_step = {}
    for file in files:
        number = _STEP.search(file.stem)
        if number is None:
            raise DataError(f"{file}: its name has no number, so that its training step is not known.")
        by_step[int(number[1])] = covariance_spectrum(_embeddings(file))
    if len({len(spectrum) for spectrum in by_step.values()}) > 1:
        raise DataError(f"{folder}: its arrays have different numbers of embedding dimensions.")
    steps = sorted(by_step)
    return Log(np.array(steps, np.int64), np.stack([by_step[step] for step in steps]), objective=objective)


def _embeddings(file: Path) -> np.ndarray:
    array = load_npy(file)
    if array.ndim != 2 or array.shape[0] < 2 or array.dtype.kind not in "fiu":
        raise DataError(f"{file}: is an array {array.shape} of {array.dtype}; embeddings are real numbers (N, d).")
    return array
