"""Where theory and reality part: step times, eigenvalues and subspaces of forecasts against a measured run."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import Float

from dynamics.modes.contrastive import ContrastiveModes
from dynamics.support import files
from dynamics.support.one_line import one_line
from dynamics.support.schema import load_record, not_ours
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
    value is more than a tenth of the largest final value, and more than a hundredth of 1/d: that of d cosines that
    spread evenly. Eigenvalues that were there from the start have the time of the first record.
    """
    u = trajectory.eigenvalues
    end = final_values(u)
    learned = (end > 0.1 * end.max(initial=0.0)) & (end > least_eigenvalue(trajectory))
    return np.where(learned, trajectory.times[np.argmax(u >= end / 2, axis=0)], np.nan)


def learning_times(trajectory: Trajectory) -> Float[np.ndarray, " dim"]:
    """Effective time at which each dimension is learned, by the criterion that fits the trajectory; NaN if it never is.

    A solved model says it itself (`mode_step_times`). Under the theory's objective an eigenvalue ends at 1, so half of
    that counts (`step_times`); under other objectives half of its own end (`half_times`).
    """
    if trajectory.solution is not None and trajectory.mode_step_times is not None:
        return np.where(np.isfinite(trajectory.mode_step_times), trajectory.mode_step_times, np.nan)
    return step_times(trajectory) if trajectory.objective is None else half_times(trajectory)


def still_since(trajectory: Trajectory) -> int:
    """Index of the first record from which on no eigenvalue moves by more than what counts as learned (`half_times`).

    It is the last record if the eigenvalues move until the end, or if one of them is not finite.
    """
    moved = ~(np.abs(trajectory.eigenvalues - trajectory.eigenvalues[-1]) <= least_eigenvalue(trajectory)).all(axis=1)
    last = np.flatnonzero(moved)
    return min(int(last[-1]) + 1, len(moved) - 1) if last.size else 0


def least_eigenvalue(trajectory: Trajectory) -> float:
    """The smallest eigenvalue that counts, a hundredth of what d cosines have that spread evenly."""
    return 0.01 / max(trajectory.dim, 1)


def distinct_steps(trajectory: Trajectory, apart: float = 0.1) -> Float[np.ndarray, " steps"]:
    """Times of the steps that can be told apart, a subset of `half_times`.

    A step is distinct if the next eigenvalue, until then, has stayed below the share `apart` of its own final value.
    Where several steps blur into one, only the last of them is returned. What was there at the first record is no step.
    """
    u, times = trajectory.eigenvalues, half_times(trajectory)
    end = final_values(u)
    learned = int(np.isfinite(times).sum())
    following = [u[trajectory.times == times[j], j + 1].max() / end[j + 1] for j in range(learned - 1)]
    distinct = np.array([*(share < apart for share in following), *[True] * (learned > 0)], bool)
    return times[:learned][distinct & (times[:learned] > trajectory.times[:1])]


def final_values(eigenvalues: Float[np.ndarray, "times dim"]) -> Float[np.ndarray, " dim"]:
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
        Number r of dimensions that are at least half learned on this plateau.
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
class KernelOverlaps:
    """How much of what an embedding has learned lies among the strongest modes of several kernels.

    Parameters
    ----------
    times : array (S,)
        Effective times of the embeddings.
    overlaps : mapping
        Kernel, such as `conjugate kernel, start`, -> array (S,), the overlap ‖QᵀQ_φ‖²/d of the top-d subspace of the
        embeddings with the span of its d strongest modes; 1 if they are equal.
    chance : float
        Overlap of random subspaces.
    eigenvalues : mapping
        Kernel -> array (d,), its strongest contrastive eigenvalues.
    """

    times: Float[np.ndarray, " snapshots"]
    overlaps: Mapping[str, Float[np.ndarray, " snapshots"]]
    chance: float
    eigenvalues: Mapping[str, Float[np.ndarray, " dim"]]

    __repr__ = one_line


@dataclass(frozen=True, eq=False)
class Comparison:
    """One measured run beside one or more forecasts.

    Parameters
    ----------
    eigenvalues_gamma : array (d,)
        γ_j of the strongest modes, fewer than d where the kernel has fewer.
    step_times : mapping
        Rung -> (d,) effective times at which each dimension is learned; NaN where it never was.
    step_time_ratio : mapping
        Name of a forecast -> array (d,), predicted / measured step times; NaN where one of them is missing.
    eigenvalue_error : mapping
        Name of a forecast -> array (T,), mean absolute error over the eigenvalues of C, at `times`.
    times : array (T,)
        The measured times.
    subspace_overlap : list
        One entry for each plateau of the measured run, where it was compared.
    measured : str
        Name of the measured rung.
    kernel_overlaps : KernelOverlaps, optional
        How much the kernels before and after training explain, for a practical run.
    """

    eigenvalues_gamma: Spectrum
    step_times: Mapping[str, Float[np.ndarray, " dim"]]
    step_time_ratio: Mapping[str, Float[np.ndarray, " dim"]]
    eigenvalue_error: Mapping[str, Float[np.ndarray, " times"]]
    times: Float[np.ndarray, " times"]
    subspace_overlap: list[PlateauOverlap]
    measured: str = "network"
    kernel_overlaps: KernelOverlaps | None = None

    def __repr__(self) -> str:
        """What was measured, and the median error of every forecast's step times, in one line."""
        errors = ", ".join(f"{name} {100 * self.median_error(name):.3g} %" for name in self.step_time_ratio)
        dims = len(self.step_times[self.measured])
        return f"<Comparison of {dims} steps of {self.measured}; median errors: {errors or 'no forecast'}>"

    def step_time_error(self, forecast: str) -> Float[np.ndarray, " dim"]:
        """|predicted / measured step time − 1| of each dimension, infinite where only one of the two has a step.

        NaN stands for what says nothing about the forecast: neither has a step, the measured one was there at t = 0, or
        the step is predicted after the measured run ended.
        """
        measured, predicted = self.step_times[self.measured], self.step_times[forecast]
        ended = self.times[-1] if len(self.times) else np.inf
        happened = np.isfinite(measured) & (measured > 0)
        missing = (happened & ~np.isfinite(predicted)) | (np.isnan(measured) & (predicted <= ended))
        return np.where(missing, np.inf, np.abs(self.step_time_ratio[forecast] - 1))

    def median_error(self, forecast: str) -> float:
        """Median of `step_time_error` over the steps that were predicted or measured; NaN if there is none.

        A missing step counts as infinitely wrong, so that the median is infinite where half of the steps are missing.
        """
        errors = self.step_time_error(forecast)
        errors = errors[~np.isnan(errors)]
        return float(np.median(errors)) if errors.size else float("nan")

    def missing_steps(self, forecast: str) -> int:
        """Number of steps that were measured and not predicted, or predicted and not measured."""
        return int(np.isinf(self.step_time_error(forecast)).sum())

    @property
    def closest_forecast(self) -> str | None:
        """Name of the forecast with the smallest median error; None if no forecast can be judged."""
        errors = {name: self.median_error(name) for name in self.step_time_ratio}
        judged = [name for name, error in errors.items() if not np.isnan(error)]
        return min(judged, key=errors.__getitem__, default=None)

    @property
    def lowest_overlap(self) -> float:
        """Lowest subspace overlap over the plateaus that should be there, one for each dimension.

        It is 0 if a dimension was never learned, or has no mode to be compared with; NaN if all were learned but no
        embeddings were kept, so that nothing was compared.
        """
        measured = self.step_times[self.measured]
        overlaps = [plateau.overlap for plateau in self.subspace_overlap]
        if not np.isfinite(measured).all() or 0 < len(overlaps) < len(measured):
            return 0.0
        return min(overlaps, default=float("nan"))

    def save(self, path: str | Path) -> None:
        """Write the comparison as JSON, with the median error of every forecast and its missing steps for a reader."""
        content = asdict(self)
        content["median_step_time_error"] = {name: self.median_error(name) for name in self.step_time_ratio}
        content["missing_steps"] = {name: self.missing_steps(name) for name in self.step_time_ratio}
        files.save_json(path, content)

    @staticmethod
    def load(path: str | Path) -> "Comparison":
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is missing, damaged, or holds something else.
        """
        stored = load_record(path, _Stored)
        _require_consistent(path, stored)
        overlaps = stored.kernel_overlaps
        return Comparison(
            eigenvalues_gamma=_array(stored.eigenvalues_gamma),
            step_times=_arrays(stored.step_times),
            step_time_ratio=_arrays(stored.step_time_ratio),
            eigenvalue_error=_arrays(stored.eigenvalue_error),
            times=_array(stored.times),
            subspace_overlap=stored.subspace_overlap,
            measured=stored.measured,
            kernel_overlaps=None
            if overlaps is None
            else KernelOverlaps(
                _array(overlaps.times), _arrays(overlaps.overlaps), overlaps.chance, _arrays(overlaps.eigenvalues)
            ),
        )


Numbers = list[float | None]
"""JSON has no NaN: null stands for it."""


class _StoredOverlaps(msgspec.Struct):
    times: Numbers
    overlaps: dict[str, Numbers]
    chance: float
    eigenvalues: dict[str, Numbers]


class _Stored(msgspec.Struct):
    """The form of a comparison on disk."""

    eigenvalues_gamma: Numbers
    step_times: dict[str, Numbers]
    step_time_ratio: dict[str, Numbers]
    eigenvalue_error: dict[str, Numbers]
    times: Numbers
    subspace_overlap: list[PlateauOverlap]
    measured: str
    kernel_overlaps: _StoredOverlaps | None = None


def _require_consistent(path: str | Path, stored: _Stored) -> None:
    """Raise `DataError` if the parts of a comparison do not belong together."""
    if stored.measured not in stored.step_times:
        raise not_ours(path, f"`measured` is {stored.measured}, and `step_times` has no such run")
    reached = stored.step_times[stored.measured]
    expected = {"step_times": len(reached), "step_time_ratio": len(reached), "eigenvalue_error": len(stored.times)}
    for field, length in expected.items():
        for name, values in getattr(stored, field).items():
            if name not in stored.step_times:
                raise not_ours(path, f"`{field}` speaks of {name}, and `step_times` has no such run")
            if len(values) != length:
                raise not_ours(path, f"`{field}` of {name} has {len(values)} numbers, where {length} belong")
    if None in stored.times or None in stored.eigenvalues_gamma:
        raise not_ours(path, "`times` and `eigenvalues_gamma` must be numbers")
    learned = [plateau.learned for plateau in stored.subspace_overlap]
    if not all(1 <= count <= len(reached) for count in learned):
        raise not_ours(path, f"`subspace_overlap` counts {max(learned)} dimensions of {len(reached)}")
    overlaps = stored.kernel_overlaps
    if overlaps is not None:
        for name, values in overlaps.overlaps.items():
            if len(values) != len(overlaps.times):
                raise not_ours(
                    path, f"`kernel_overlaps` of {name} has {len(values)} numbers for {len(overlaps.times)} times"
                )


def _array(numbers: Numbers) -> np.ndarray:
    return np.array(numbers, np.float64)  # None becomes NaN


def _arrays(named: Mapping[str, Numbers]) -> dict[str, np.ndarray]:
    return {name: _array(numbers) for name, numbers in named.items()}


def compare(
    measured: Trajectory,
    forecasts: Mapping[str, Trajectory],
    modes: ContrastiveModes,
    *,
    center: bool = False,
    criterion: Callable[[Trajectory], Float[np.ndarray, " dim"]] = step_times,
) -> Comparison:
    """Compare a measured run with forecasts of it.

    Parameters
    ----------
    measured : Trajectory
        The run, with embeddings of the training views if subspaces are to be compared.
    forecasts : mapping
        Name of a forecast, such as `closed_form` or `ode` -> its trajectory, of as many dimensions as the run.
    modes : ContrastiveModes
        Modes of the kernel behind the forecasts. Subspaces are compared if they are of the views that were embedded.
    center : bool
        Whether the embeddings were centred in training.
    criterion : callable
        When a dimension counts as learned: `step_times`, at half of the eigenvalue 1 that the theory's objective ends
        at, or `half_times`, at half of its own end, for objectives with other end points.
    """
    times = {name: criterion(forecast) for name, forecast in forecasts.items()}
    reached = criterion(measured)
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


def measured_alone(measured: Trajectory) -> Comparison:
    """The steps of a measured run of any objective (`half_times`), with nothing to compare them to."""
    steps = {measured.rung: half_times(measured)}
    return Comparison(np.empty(0), steps, {}, {}, measured.times, [], measured=measured.rung)


def _plateau_overlaps(
    measured: Trajectory, reached: np.ndarray, modes: ContrastiveModes, center: bool
) -> list[PlateauOverlap]:
    """Overlap in the middle between each step and the next; after the last step, between it and the end of the run."""
    if measured.embeddings is None or measured.embedding_times is None:
        return []
    if measured.embeddings.shape[1] != 2 * modes.num_pairs:
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
