"""A forecast as plain values, which `simulate --json` prints."""

from pathlib import Path
from typing import Any

from dynamics.cli.tables import caveats
from dynamics.experiment.forecasting import Forecast
from dynamics.experiment.objective import as_learned
from dynamics.flow.learned_first import LearnedFirst
from dynamics.objectives.escape import Escape
from dynamics.trajectories.comparison import half_times
from dynamics.trajectories.ladder import rung
from dynamics.trajectories.trajectory import Trajectory


def forecast_object(ahead: Forecast, folder: Path, by_step: int | None = None) -> dict[str, Any]:
    """What the forecast's table and sentences say, and the folder of the run.

    Step times and steps are None for dimensions that are never learned, and for all of them where no kernel predicts
    the start.
    """
    never = [None] * len(ahead.step_times)
    times, steps = (ahead.step_times, ahead.steps) if ahead.predicts else (never, never)
    agreement = never if ahead.agreement is None else ahead.agreement
    blurred = {first for first, _ in ahead.blurred}
    modes = [
        {
            "mode": j + 1,
            "gamma": ahead.eigenvalues[j],
            "time": times[j],
            "step": steps[j],
            "blurs_into_next": j + 1 in blurred,
            "held_out_agreement": agreement[j],
        }
        for j in range(len(never))
    ]
    found = {
        "model": ahead.model,
        "modes": modes,
        "learning_rate": ahead.learning_rate,
        "stability_limit": ahead.stability_limit,
        "measured_until": ahead.known_until,
        "steps_for_all": ahead.steps_for() if ahead.predicts else None,
        "caveats": caveats(ahead),
        "folder": str(folder),
    }
    if by_step is not None:
        found["learned_by_step"] = {
            "step": by_step,
            "dimensions": ahead.learned_by(by_step) if ahead.predicts else None,
        }
    return found


def solution_object(trajectory: Trajectory, folder: Path) -> dict[str, Any]:
    """What a solvable model says of each mode, and the folder of the run; `dynamics.cli.tables.solution_table`."""
    solution, times = trajectory.solution, trajectory.mode_step_times
    assert solution is not None and times is not None  # every solvable model has both
    columns = zip(solution.gamma, solution.correlation, solution.targets, times, strict=True)
    modes = [
        {"mode": j, "gamma": gamma, "rho": rho, "end_value": target, "time": time}
        for j, (gamma, rho, target, time) in enumerate(columns, start=1)
    ]
    model = {"model": rung(trajectory.rung).label, "source": solution.source}
    return {**model, "modes": modes, "folder": str(folder)}


def objective_object(trajectory: Trajectory, first: LearnedFirst | None, law: Escape, folder: Path) -> dict[str, Any]:
    """What an objective learns first and when, and the folder of the run; `dynamics.cli.tables.objective_table`."""
    known = [] if first is None else first.modes.rates[: trajectory.dim].tolist()
    rates = [*known, *[None] * (trajectory.dim - len(known))]
    learned = as_learned(trajectory)
    columns = zip(rates, learned.eigenvalues[-1], half_times(learned), strict=True)
    dimensions = [
        {"dimension": j, "rate": rate, "end_value": end, "time": time}
        for j, (rate, end, time) in enumerate(columns, start=1)
    ]
    model = {"model": rung(trajectory.rung).label, "objective": trajectory.objective}
    return {**model, "law": law.law, "order": law.order, "dimensions": dimensions, "folder": str(folder)}
