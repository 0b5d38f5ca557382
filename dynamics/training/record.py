"""One record of a training: the spectra and metrics of embeddings and hidden layers, in NumPy.

>>> import numpy as np
>>> F = np.random.default_rng(0).normal(size=(8, 2))  # embeddings of n = 4 pairs, x first, then x'
>>> record = record_of(Looked(3, 0.3, 1.0, {"embeddings": F}), center=True)
>>> record.step, record.eigenvalues.shape, sorted(record.metrics)
(3, (2,), ['alpha_req', 'effective_rank', 'lidar', 'participation_ratio', 'rankme'])
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from dynamics.kernels.drift import Drift, kernel_drift
from dynamics.modes.contrastive import ContrastiveModes
from dynamics.trajectories.metrics import (
    correlation_spectrum,
    covariance_spectrum,
    lidar,
    rankme,
    spectrum_metrics,
    subspace_overlap,
)
from dynamics.typing import Array, Embedding

EMBEDDINGS = "embeddings"


class Looked(NamedTuple):
    """What was seen of a network at one step; its arrays and numbers may still be on their way from the device.

    Parameters
    ----------
    step : int
        Number of updates made so far.
    time : float
        Effective time.
    loss : scalar
        Value of the objective.
    outputs : mapping
        Name -> matrix (2n, k); the embeddings are among them, under `embeddings`.
    kernel : array (a, b), optional
        Empirical kernel of the network on a few views.
    metrics : mapping
        Name -> number to keep as it is.
    """

    step: int
    time: float
    loss: Any
    outputs: Mapping[str, Array]
    kernel: Array | None = None
    metrics: Mapping[str, Any] = {}  # it is never changed


class Record(NamedTuple):
    """What is kept of one step."""

    step: int
    time: float
    loss: float
    eigenvalues: np.ndarray
    covariance: np.ndarray
    hidden: dict[str, np.ndarray]
    metrics: dict[str, float]


def record_of(
    looked: Looked,
    *,
    center: bool,
    modes: ContrastiveModes | None = None,
    kernel_at_start: np.ndarray | None = None,
    kept: int | None = None,
) -> Record:
    """Spectra, in float64, and metrics of what was seen.

    Parameters
    ----------
    looked : Looked
        What was seen.
    center : bool
        Whether embeddings and hidden layers are taken about their mean over the views.
    modes : ContrastiveModes, optional
        Modes whose top-d subspace the embeddings are compared with.
    kernel_at_start : array (a, b), optional
        Kernel with which `looked.kernel` is compared.
    kept : int, optional
        Number of eigenvalues to keep of each spectrum; all by default.
    """
    hidden: dict[str, np.ndarray] = dict(jax.device_get(looked.outputs))
    raw = hidden.pop(EMBEDDINGS)
    F = raw.astype(np.float64)
    if center:
        with np.errstate(invalid="ignore"):  # a run that diverged is recorded as NaN
            F = F - F.mean(axis=0)
    covariance = covariance_spectrum(raw, center=center)
    metrics = {"rankme": rankme(raw), "lidar": lidar(raw), **spectrum_metrics(covariance)}
    if modes is not None:
        metrics["subspace_overlap"] = _overlap(F, modes)
    if looked.kernel is not None:
        metrics |= _drift(np.asarray(kernel_at_start, np.float64), np.asarray(looked.kernel, np.float64))
    metrics |= {name: float(value) for name, value in looked.metrics.items()}
    return Record(
        looked.step,
        looked.time,
        float(looked.loss),
        correlation_spectrum(F)[:kept],
        covariance[:kept],
        {name: covariance_spectrum(h, center=center)[:kept] for name, h in hidden.items()},
        metrics,
    )


def _overlap(F: Embedding, modes: ContrastiveModes) -> float:
    rank = min(F.shape[1], modes.num_positive)
    return subspace_overlap(F, modes, rank) if np.isfinite(F).all() else np.nan


def _drift(kernel_at_start: np.ndarray, kernel: np.ndarray) -> dict[str, float]:
    finite = np.isfinite(kernel).all()
    drift = kernel_drift(kernel_at_start, kernel) if finite else Drift(np.nan, np.nan, np.nan)
    return {f"kernel_{name}": value for name, value in drift._asdict().items()}
