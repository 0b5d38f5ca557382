"""The forecasts of a run, and what was measured, as two tidy tables beside its figures, ready for pandas or R.

`eigenvalues.csv` has one row for each model, time and dimension; `step_times.csv` one for each model and dimension.
"""

from collections.abc import Callable, Mapping

import numpy as np

from dynamics.runs.store import Run
from dynamics.support import files
from dynamics.trajectories.comparison import learning_times
from dynamics.trajectories.ladder import in_order, rung
from dynamics.trajectories.trajectory import Trajectory

EIGENVALUES, STEP_TIMES = "eigenvalues.csv", "step_times.csv"


def write_tables(run: Run) -> None:
    """Write both tables into the folder of a run."""
    courses = [run.trajectories[name] for name in in_order(run.trajectories)]
    files.save_csv(run.folder / EIGENVALUES, _joined([_course(run, trajectory) for trajectory in courses]))
    files.save_csv(run.folder / STEP_TIMES, _joined([_learned(run, trajectory) for trajectory in courses]))


def steps_of(run: Run) -> Callable[[float], float]:
    """Effective time -> training step: over the learning rate, or along the measured run where the rate changed.

    NaN stands for times that the run did not reach, and for runs without a learning rate or a measured run.
    """
    rate, measured = run.settings.learning_rate, run.measured
    if rate is not None:
        return lambda time: time / rate
    if measured is None or measured.steps is None:
        return lambda time: float("nan")
    times, steps = measured.times, measured.steps
    return lambda time: float(np.interp(time, times, steps)) if time <= times[-1] else float("nan")


def _course(run: Run, trajectory: Trajectory) -> Mapping[str, np.ndarray]:
    """Rows of one model: `rung`, `measured`, `time`, `step`, `mode` (from 1) and `eigenvalue` of C."""
    dim, records = trajectory.dim, len(trajectory.times)
    return {
        **_model(trajectory, dim * records),
        "time": np.repeat(trajectory.times, dim),
        "step": np.repeat(_steps(run, trajectory, trajectory.times), dim),
        "mode": np.tile(np.arange(1, dim + 1), records),
        "eigenvalue": trajectory.eigenvalues.ravel(),
    }


def _learned(run: Run, trajectory: Trajectory) -> Mapping[str, np.ndarray]:
    """Rows of one model: `rung`, `measured`, `mode`, `gamma`, and `time` and `step` at which it is half learned."""
    times = learning_times(trajectory)
    gamma = np.full(len(times), np.nan)
    if run.modes is not None:
        known = run.modes.eigenvalues[: len(times)]
        gamma[: len(known)] = known
    times = np.where(np.isfinite(times), times, np.nan)
    modes = np.arange(1, len(times) + 1)
    steps = _steps(run, trajectory, times)
    return {**_model(trajectory, len(times)), "mode": modes, "gamma": gamma, "time": times, "step": steps}


def _model(trajectory: Trajectory, rows: int) -> dict[str, np.ndarray]:
    measured = rung(trajectory.rung).is_measured
    return {"rung": np.repeat(trajectory.rung, rows), "measured": np.repeat("yes" if measured else "no", rows)}


def _steps(run: Run, trajectory: Trajectory, times: np.ndarray) -> np.ndarray:
    """Training steps at these times; NaN for a solvable model, which makes none."""
    if trajectory.solution is not None:
        return np.full(len(times), np.nan)
    if trajectory.steps is not None and times is trajectory.times:
        return trajectory.steps
    step_of = steps_of(run)
    return np.array([step_of(time) for time in times])


def _joined(parts: list[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
