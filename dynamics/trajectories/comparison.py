"""Where theory and reality part: step times, eigenvalues and subspaces of forecasts against a measured run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dynamics.modes.contrastive import ContrastiveModes
from dynamics.support import files
from dynamics.trajectories.metrics import subspace_overlap
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Spectrum


def step_times(trajectory: Trajectory, level: float = 0.5) -> Float[np.ndarray, " dim"]:
    """Effective time at which each eigenvalue of C first reaches `level`; NaN where it never does.

    The time is interpolated between the two records around it on the log-odds of the eigenvalue, on which a logistic
    step is a straight line.
    """
    return np.array([_crossing(trajectory.times, u, level) for u in trajectory.eigenvalues.T])


def _crossing(times: np.ndarray, u: np.ndarray, level: float) -> float:
    reached = np.flatnonzero(u >= level)
    if reached.size == 0:
        return np.nan
    after = reached[0]
    if after == 0:
        return float(times[0])
    pair = slice(after - 1, after + 1)
    clipped = np.clip(u[pair], 1e-15, 1 - 1e-15)
    log_odds = np.log(clipped / (1 - clipped))
    return float(np.interp(np.log(level / (1 - level)), log_odds, times[pair]))


def half_times(trajectory: Trajectory) -> Float[np.ndarray, " dim"]:
    """Effective time at which each eigenvalue of C first reaches half of its final value; NaN if it is not learned.

    The final value is the median over the last twentieth of the records. An eigenvalue counts as learned if its final
    value is more than a tenth of the largest final value.
    """
    u = trajectory.eigenvalues
    end = _final_values(u)
    learned = end > 0.1 * end.max(initial=0.0)
    return np.where(learned, trajectory.times[np.argmax(u >= end / 2, axis=0)], np.nan)


def distinct_steps(trajectory: Trajectory, apart: float = 0.1) -> Float[np.ndarray, " steps"]:
    """Times of the steps that can be told apart, a subset of `half_times`.

    A step is distinct if the next eigenvalue, until then, has stayed below the share `apart` of its own final value.
    Where several steps blur into one, only the last of them is returned.
    """
    u, times = trajectory.eigenvalues, half_times(trajectory)
    end = _final_values(u)
    learned = int(np.isfinite(times).sum())
    following = [u[trajectory.times == times[j], j + 1].max() / end[j + 1] for j in range(learned - 1)]
    return times[:learned][np.array([*(share < apart for share in following), *[True] * (learned > 0)], bool)]


def _final_values(eigenvalues: Float[np.ndarray, "times dim"]) -> Float[np.ndarray, " dim"]:
    """Median over the last twentieth of the records, which a single noisy record does not move."""
    return np.median(eigenvalues[-max(1, len(eigenvalues) // 20) :], axis=0)


def eigenvalue_error(measured: Trajectory, predicted: Trajectory) -> Float[np.ndarray, " times"]:
    """Mean of |measured − predicted| over the d eigenvalues of C, at the T times of the measured run.

    The prediction is interpolated linearly between its own times.
    """
    at_measured = np.stack([np.interp(measured.times, predicted.times, u) for u in predicted.eigenvalues.T], axis=1)
    return np.abs(measured.eigenvalues - at_measured).mean(axis=1)


@dataclass(frozen=True)
class PlateauOverlap:
    """Overlap of what a network has learned with what was predicted, on one plateau between two steps.

    Parameters
    ----------
    learned : int
        r, number of dimensions that are at least half learned on this plateau.
    time : float
        Effective time of the embeddings that were compared, the snapshot nearest to the middle of the plateau.
    overlap : float
        `subspace_overlap` of the r strongest directions with the r strongest modes, from 0 to 1.
    chance : float
        Overlap of random subspaces, r/2n.
    """

    learned: int
    time: float
    overlap: float
    chance: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """One measured run beside one or more forecasts.

    Parameters
    ----------
    eigenvalues_gamma : array (d,)
        γ_j of the strongest modes, fewer than d where the kernel has fewer.
    step_times : mapping
        Name of a forecast, or `measured` -> array (d,), effective times at which each eigenvalue of C reaches ½; NaN
        where it never does.
    step_time_ratio : mapping
        Name of a forecast -> array (d,), predicted / measured step times; NaN where one of them is missing.
    eigenvalue_error : mapping
        Name of a forecast -> array (T,), mean absolute error over the eigenvalues of C, at `times`.
    times : array (T,)
        Effective times of the measured run.
    subspace_overlap : list of PlateauOverlap
        One entry for each plateau of the measured run; empty for runs without embeddings.
    measured : str
        Rung of the measured run.
    """

    eigenvalues_gamma: Spectrum
    step_times: Mapping[str, Float[np.ndarray, " dim"]]
    step_time_ratio: Mapping[str, Float[np.ndarray, " dim"]]
    eigenvalue_error: Mapping[str, Float[np.ndarray, " times"]]
    times: Float[np.ndarray, " times"]
    subspace_overlap: list[PlateauOverlap]
    measured: str = "network"

    def median_error(self, forecast: str) -> float:
        """Median of |predicted / measured step time − 1| over the modes that have both; NaN if none has."""
        errors = np.abs(self.step_time_ratio[forecast] - 1)
        return float(np.nanmedian(errors)) if np.isfinite(errors).any() else float("nan")

    def save(self, path: str | Path, **context: object) -> None:
        """Write the comparison as JSON; `context` adds entries by name, such as the kernel of the forecasts."""
        files.save_json(
            path,
            {
                **context,
                "measured": self.measured,
                "eigenvalues_gamma": self.eigenvalues_gamma,
                "step_times": self.step_times,
                "step_time_ratio": self.step_time_ratio,
                "median_step_time_error": {name: self.median_error(name) for name in self.step_time_ratio},
                "times": self.times,
                "eigenvalue_error": self.eigenvalue_error,
                "subspace_overlap": [asdict(plateau) for plateau in self.subspace_overlap],
            },
        )


def compare(
    measured: Trajectory, forecasts: Mapping[str, Trajectory], modes: ContrastiveModes, *, center: bool = False
) -> Comparison:
    """Compare a measured run with forecasts of it.

    Parameters
    ----------
    measured : Trajectory
        The run, with embeddings of the training views if subspaces are to be compared.
    forecasts : mapping
        Name of a forecast, such as `closed_form` or `ode` -> its trajectory, of as many dimensions as the run.
    modes : ContrastiveModes
        Modes of the kernel behind the forecasts, on the training views.
    center : bool
        Whether the embeddings were centred in training.

    Returns
    -------
    Comparison
    """
    times = {name: step_times(forecast) for name, forecast in forecasts.items()}
    reached = step_times(measured)
    with np.errstate(divide="ignore", invalid="ignore"):  # a step at t = 0 was not a step
        ratios = {name: np.where(reached > 0, tau / reached, np.nan) for name, tau in times.items()}
    return Comparison(
        eigenvalues_gamma=modes.eigenvalues[: measured.dim],
        step_times={**times, measured.rung: reached},
        step_time_ratio=ratios,
        eigenvalue_error={name: eigenvalue_error(measured, forecast) for name, forecast in forecasts.items()},
        times=measured.times,
        subspace_overlap=_plateau_overlaps(measured, reached, modes, center),
        measured=measured.rung,
    )


def _plateau_overlaps(
    measured: Trajectory, reached: np.ndarray, modes: ContrastiveModes, center: bool
) -> list[PlateauOverlap]:
    """Overlap in the middle between each step and the next; after the last step, between it and the end of the run."""
    if measured.embeddings is None or measured.embedding_times is None:
        return []
    overlaps = []
    for r in range(1, min(int(np.isfinite(reached).sum()), modes.num_positive) + 1):
        following = reached[r] if r < reached.size and np.isfinite(reached[r]) else measured.times[-1]
        nearest = np.abs(measured.embedding_times - (reached[r - 1] + following) / 2).argmin()
        overlaps.append(
            PlateauOverlap(
                learned=r,
                time=float(measured.embedding_times[nearest]),
                overlap=subspace_overlap(measured.embeddings[nearest], modes, r, center=center),
                chance=r / (2 * modes.num_pairs),
            )
        )
    return overlaps
