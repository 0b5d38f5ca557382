"""Which figure belongs to a run, from what the run has."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from dynamics.drawing.solvable import solution_figure
from dynamics.drawing.trajectories import comparison_figure, recipe_figure, trajectory_figure
from dynamics.trajectories.comparison import Comparison
from dynamics.trajectories.trajectory import Trajectory


def run_figure(
    measured: Trajectory | None,
    forecasts: Mapping[str, Trajectory],
    comparison: Comparison | None = None,
    title: str = "",
    steps_per_epoch: int | None = None,
) -> tuple[str, Figure]:
    """Draw the figure of a run.

    Parameters
    ----------
    measured : Trajectory, optional
        The network that was trained.
    forecasts : mapping
        Name of a rung -> its trajectory.
    comparison : Comparison, optional
        The measured run against its forecasts.
    title : str
        Lines above the panels; none if it is empty.
    steps_per_epoch : int, optional
        Steps in which a practical run sees all its images, which adds an axis of epochs.

    Returns
    -------
    str, Figure
        The name of its file, `comparison` or `trajectories`, and the figure.
    """
    solved = next((forecast for forecast in forecasts.values() if forecast.solution is not None), None)
    if solved is not None:
        return "trajectories", solution_figure(solved, title)
    if measured is not None and comparison is not None and comparison.kernel_overlaps is not None:
        return "comparison", recipe_figure(measured, forecasts, comparison.kernel_overlaps, title, steps_per_epoch)
    if measured is not None and comparison is not None and comparison.step_time_ratio:
        return "comparison", comparison_figure(comparison, measured, forecasts, title)
    return "trajectories", trajectory_figure(measured, forecasts, title, steps_per_epoch)
