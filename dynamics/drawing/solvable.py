"""The figure of a solvable model."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

from dynamics.drawing.axes import logarithmic_time, panel_letters
from dynamics.drawing.trajectories import mode_colors
from dynamics.drawing.words import as_written
from dynamics.trajectories.ladder import rung
from dynamics.trajectories.solution import SolvedModes
from dynamics.trajectories.trajectory import Trajectory

TIME_AXIS = "gradient-flow time  $t$"

_WHY_IT_RISES = "It rises because what is predicted is an embedding,\nwhich is small at the start and grows."


def solution_figure(trajectory: Trajectory, title: str = "") -> Figure:
    """Loss, and what is learned of each mode, against time; a ring at half the end value.

    Raises
    ------
    ValueError
        If the trajectory is not that of a solvable model.
    """
    solution, model = trajectory.solution, rung(trajectory.rung)
    if solution is None:
        raise ValueError(f"The trajectory of {trajectory.rung} is not that of a solvable model.")
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 3.0))
    color, dashes = model.line
    left.plot(trajectory.times, trajectory.loss, color=color, ls=dashes)
    left.set(
        xlabel=TIME_AXIS, ylabel=_readable(solution.loss_name), ylim=(min(0.0, 1.05 * trajectory.loss.min()), None)
    )
    draw_solved_modes(right, trajectory, solution)
    for ax in (left, right):
        ax.ticklabel_format(axis="x", scilimits=(-3, 4), useMathText=True)
    if trajectory.mode_step_times is not None:
        logarithmic_time((left, right), trajectory.mode_step_times)
    if trajectory.loss[-1] > trajectory.loss[0]:
        left.set_title(_WHY_IT_RISES, loc="right", fontsize=6.5, color="0.35")
    panel_letters(left, right)
    if title:
        figure.suptitle(f"{model.label}, {solution.source}\n{as_written(title)}", fontsize=8, color="0.35")
    return figure


def _readable(label: str) -> str:
    """A label that may hold formulas, or, if they cannot be set, the text itself."""
    try:
        MathTextParser("path").parse(label)
    except ValueError:
        return label.replace("$", r"\$")
    return label


def draw_solved_modes(ax: Axes, trajectory: Trajectory, solution: SolvedModes) -> Axes:
    """Course of every mode, dashed, and a ring where it has half of its end value."""
    _, dashes = rung(trajectory.rung).line
    times = trajectory.mode_step_times
    for j, (course, color) in enumerate(zip(trajectory.eigenvalues.T, mode_colors(trajectory.dim), strict=True)):
        ax.plot(trajectory.times, course, color=color, ls=dashes, label=f"{j + 1}")
        if times is not None and np.isfinite(times[j]):
            ax.plot(times[j], solution.targets[j] / 2, marker="o", ms=4, mfc="none", mec=color)
    ax.set(xlabel=TIME_AXIS, ylabel=_readable(solution.quantity), xlim=(0, trajectory.times[-1]), ylim=(0, None))
    ax.legend(title="mode", title_fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.2)
    return ax
