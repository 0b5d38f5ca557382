"""A solvable model on the pairs, the kernel and the start of an experiment: its trajectory, its table, its figure.

>>> from dynamics.experiment.config import Config
>>> from dynamics.experiment.prepare import prepare
>>> trajectory = solve("isoloss", prepare(Config(num_pairs=16, dim=3, network="mlp", width=32)))
>>> trajectory.rung, trajectory.dim
('isoloss', 3)
"""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from dynamics.drawing.trajectories import label_of, mode_colors
from dynamics.experiment.prepare import Experiment
from dynamics.solvable import Task, solvable_model
from dynamics.trajectories.trajectory import Trajectory

THEORY = "#c2410c"
DASHED = (0, (3, 1.5))  # as everywhere: theory is dashed or hollow


def solve(name: str, experiment: Experiment) -> Trajectory:
    """The model called `name` on the modes and the initial function of an experiment, until all modes are learned.

    Raises
    ------
    ConfigError
        If there is no such model, or a mode starts beyond its end value.
    """
    model = solvable_model(name)
    task = Task.of(experiment.modes, experiment.initial_embeddings)
    solved = model(task)
    meta = {
        **solved.meta,
        "gamma": task.strength.tolist(),
        "correlation": task.correlation.tolist(),
        "off_diagonal": task.off_diagonal,
    }
    return Trajectory(solved.times, solved.eigenvalues, solved.loss, covariance=solved.covariance, meta=meta)


def solution_table(trajectory: Trajectory) -> Table:
    """Mode, γ, ρ, end value and step time of every dimension."""
    meta = trajectory.meta
    table = Table(
        title=f"{label_of(trajectory.rung)}, {meta['source']}", title_justify="left", box=None, pad_edge=False
    )
    for column in ("mode", "γ", "ρ", "end value", "half learned at t"):
        table.add_column(column, justify="right")
    columns = zip(meta["gamma"], meta["correlation"], meta["targets"], meta["mode_step_times"], strict=True)
    for j, (gamma, rho, target, tau) in enumerate(columns):
        reached = f"{tau:.4g}" if np.isfinite(tau) else "never"
        table.add_row(str(j + 1), f"{gamma:.4g}", f"{rho:.3f}", f"{target:.4g}", reached)
    return table


def solution_figure(trajectory: Trajectory, title: str = "") -> Figure:
    """Loss, and what is learned of each mode, against time; a ring at half the end value."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 3.0))
    left.plot(trajectory.times, trajectory.loss, color=THEORY, ls=DASHED)
    left.set(
        xlabel="gradient-flow time  $t$",
        ylabel=trajectory.meta.get("loss_name", r"loss  $\Vert C - I\Vert_F^2$"),
        ylim=(min(0.0, 1.05 * trajectory.loss.min()), None),
    )
    _draw_modes(right, trajectory)
    for letter, ax in zip("ab", (left, right), strict=True):
        ax.set_title(letter, loc="left", fontweight="bold", fontsize=9)
        ax.ticklabel_format(axis="x", scilimits=(-3, 4), useMathText=True)
    if title:
        figure.suptitle(f"{label_of(trajectory.rung)}, {trajectory.meta['source']}\n{title}", fontsize=8, color="0.35")
    return figure


def _draw_modes(ax: Axes, trajectory: Trajectory) -> Axes:
    columns = zip(
        trajectory.eigenvalues.T,
        trajectory.meta["targets"],
        trajectory.meta["mode_step_times"],
        mode_colors(trajectory.dim),
        strict=True,
    )
    for j, (course, target, tau, color) in enumerate(columns, start=1):
        ax.plot(trajectory.times, course, color=color, ls=DASHED, label=f"{j}")
        if np.isfinite(tau):
            ax.plot(tau, target / 2, marker="o", ms=4, mfc="none", mec=color)
    ax.set(
        xlabel="gradient-flow time  $t$",
        ylabel=trajectory.meta.get("quantity", "eigenvalues of $C$"),
        xlim=(0, trajectory.times[-1]),
        ylim=(0, None),
    )
    ax.legend(title="mode", title_fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.2)
    return ax
