"""Which figure belongs to a run, from what the run has."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from dynamics.drawing.solvable import solution_figure
from dynamics.drawing.trajectories import comparison_figure, recipe_figure, trajectory_figure
from dynamics.trajectories.comparison import Comparison
from dynamics.trajectories.trajectory import Trajectory

KernelOverlaps = tuple[np.ndarray, Mapping[str, np.ndarray], float]
"""Times (S,), overlap (S,) with the modes of each kernel, and the overlap of random subspaces."""


def run_figure(
    measured: Trajectory | None,
    forecasts: Mapping[str, Trajectory],
    comparison: Comparison | None = None,
    overlaps: KernelOverlaps | None = None,
    title: str = "",
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
    overlaps : tuple, optional
        Overlaps of a practical network with the modes of its kernels.
    title : str
        One line above the panels.

    Returns
    -------
    str, Figure
        The name of its file, `comparison` or `trajectories`, and the figure.
    """
    solved = next((forecast for forecast in forecasts.values() if forecast.solution is not None), None)
    if solved is not None:
        return "trajectories", solution_figure(solved, title)
    if measured is not None and overlaps is not None:
        return "comparison", recipe_figure(measured, forecasts, *overlaps, title)
    if measured is not None and comparison is not None:
        return "comparison", comparison_figure(comparison, measured, forecasts, title)
    return "trajectories", trajectory_figure(measured, forecasts, title)
