"""Figures of trajectories: functions that draw on an Axes and return it, and figures put together from them.

The same convention holds everywhere: what was measured is a solid line, theory is dashed, and mode j has the same
colour in every panel. How a model looks is said by its `Rung`. Nothing here writes a file.

>>> import numpy as np
>>> from dynamics.flow import closed_form
>>> from dynamics.modes import contrastive_modes
>>> views = np.random.default_rng(0).normal(size=(12, 20))
>>> modes = contrastive_modes(views @ views.T)
>>> forecast = closed_form(modes, 1e-3 * np.ones((12, 2)), np.linspace(0, 9, 50))
>>> with style():
...     figure = trajectory_figure(None, {"closed_form": forecast})
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from dynamics.drawing.axes import (
    epochs_below,
    label_log_axis,
    legend_above,
    legend_beside,
    logarithmic_time,
    panel_letters,
)
from dynamics.drawing.words import as_written
from dynamics.trajectories.comparison import Comparison, KernelOverlaps, learning_times, step_times
from dynamics.trajectories.ladder import main_forecast, rung
from dynamics.trajectories.trajectory import Trajectory

TIME_AXIS = "effective time  $t$ = learning rate × step"


@contextmanager
def style() -> Iterator[None]:
    """Apply the Matplotlib settings of all figures for the duration of a block."""
    with matplotlib.style.context(Path(__file__).with_name("dynamics.mplstyle")):
        try:
            yield
        finally:
            interactive = mpl.is_interactive()
    # a notebook becomes interactive when the first figure is made; switched off again, it would show no other figure
    mpl.interactive(interactive)


def mode_colors(dim: int) -> list[tuple[float, ...]]:
    """Colours of `dim` modes, from the first learned (dark) to the last (bright)."""
    palette: Colormap = mpl.colormaps["viridis"]
    return [palette(0.92 * j / max(dim - 1, 1)) for j in range(dim)]


def draw_loss(ax: Axes, measured: Trajectory | None, forecasts: Mapping[str, Trajectory]) -> Axes:
    """Loss against effective time: measured solid, forecasts dashed."""
    drawn = [] if measured is None else [(measured.rung, measured, 2.4)]
    drawn += [(name, forecast, 1.0) for name, forecast in forecasts.items()]
    for name, trajectory, width in drawn:
        model = rung(name)
        color, dashes = model.line
        ax.plot(trajectory.times, trajectory.loss, color=color, ls=dashes, lw=width, label=as_written(model.label))
    objective = drawn[0][1].objective if drawn else None
    if objective in (None, "barlow-twins"):
        ax.set(xlabel=TIME_AXIS, ylabel=r"loss  $\Vert C - I\Vert_F^2$", ylim=(0, None))
    else:  # other losses may be negative
        ax.set(xlabel=TIME_AXIS, ylabel=f"loss  ({as_written(objective)})")
    legend_above(ax, columns=2 if len(drawn) < 5 else 3, fontsize=7 if len(drawn) < 5 else 6)
    return ax


def draw_eigenvalues(ax: Axes, measured: Trajectory | None, forecast: Trajectory | None) -> Axes:
    """Eigenvalues of the cross-correlation against effective time: measured solid, forecast dashed."""
    for trajectory, line in ((measured, "-"), (forecast, (0, (3, 1.5)))):
        if trajectory is None:
            continue
        for u, color in zip(trajectory.eigenvalues.T, mode_colors(trajectory.dim), strict=True):
            ax.plot(trajectory.times, u, color=color, ls=line, lw=1.3 if line == "-" else 1.0)
        ax.plot([], [], color="0.4", ls=line, label=as_written(rung(trajectory.rung).label))
    ax.set(xlabel=TIME_AXIS, ylabel="eigenvalues of $C$")
    legend_above(ax)
    return ax


def draw_step_marks(ax: Axes, times: np.ndarray) -> Axes:
    """Thin dashed vertical lines at the forecast step times, in the colours of the modes."""
    for time, color in zip(times, mode_colors(len(times)), strict=True):
        if np.isfinite(time):
            ax.axvline(time, color=color, ls=(0, (2, 2)), lw=0.7, zorder=0)
    return ax


def draw_step_times(ax: Axes, comparison: Comparison) -> Axes:
    """Predicted against measured step times, one mark a mode and forecast, on logarithmic axes."""
    measured = comparison.step_times[comparison.measured]
    colors = mode_colors(len(measured))
    finite = []
    for name in comparison.step_time_ratio:
        predicted = comparison.step_times[name]
        both = np.isfinite(predicted) & np.isfinite(measured) & (predicted > 0) & (measured > 0)
        finite += [*predicted[both], *measured[both]]
        model = rung(name)
        chosen = [color for color, drawn in zip(colors, both, strict=True) if drawn]
        # a cross has no face to leave empty
        has_face = model.filled or model.marker == "x"
        look: dict[str, Any] = {"c": chosen} if has_face else {"facecolors": "none", "edgecolors": chosen}
        ax.scatter(measured[both], predicted[both], s=model.marker_area, marker=model.marker, lw=0.9, **look)
        error = comparison.median_error(name)
        text = as_written(model.label) + ("" if np.isnan(error) else f"  ({100 * error:.1f} %)")
        ax.plot([], [], ls="", marker=model.marker, mfc="0.4" if model.filled else "none", mec="0.4", label=text)
    if finite:
        ends = np.array([min(finite) / 1.15, max(finite) * 1.15])
        ax.plot(ends, ends, color="0.6", lw=0.8, zorder=0)
        ax.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
        for axis in (ax.xaxis, ax.yaxis):
            label_log_axis(axis, *ends)
    else:
        ax.text(0.5, 0.5, "no step was reached", transform=ax.transAxes, ha="center", color="0.4")
    ax.set(xlabel="measured step time", ylabel="predicted step time", aspect="equal")
    legend_beside(ax, title="median error", title_fontsize=7, handletextpad=0.3)
    return ax


def comparison_figure(
    comparison: Comparison, measured: Trajectory, forecasts: Mapping[str, Trajectory], title: str = ""
) -> Figure:
    """Loss, eigenvalue trajectories and step times of one experiment, side by side."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.2, 3.0), width_ratios=(1.1, 1.1, 1))
    main = main_forecast(forecasts)
    draw_loss(left, measured, forecasts)
    if main is not None and main in comparison.step_times:
        draw_step_marks(left, comparison.step_times[main])
    draw_eigenvalues(middle, measured, forecasts[main] if main else None)
    draw_step_times(right, comparison)
    logarithmic_time((left, middle), comparison.step_times[main or comparison.measured])
    panel_letters(left, middle, right)
    if title:
        figure.suptitle(as_written(title), fontsize=8, color="0.35")
    return figure


def trajectory_figure(
    measured: Trajectory | None,
    forecasts: Mapping[str, Trajectory],
    title: str = "",
    steps_per_epoch: int | None = None,
) -> Figure:
    """Loss and eigenvalues of one experiment: a run without forecast, or forecasts without a run."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.0))
    draw_loss(left, measured, forecasts)
    main = main_forecast(forecasts)
    draw_eigenvalues(right, measured, forecasts[main] if main else None)
    if main:
        draw_step_marks(left, step_times(forecasts[main]))
    judged = forecasts[main] if main else measured
    if judged is not None:
        logarithmic_time((left, right), learning_times(judged))
    if measured is not None:
        for ax in (left, right):
            epochs_below(ax, measured, steps_per_epoch)
    panel_letters(left, right)
    if title:
        figure.suptitle(as_written(title), fontsize=8, color="0.35")
    return figure


def draw_overlaps(ax: Axes, times: np.ndarray, overlaps: Mapping[str, np.ndarray], chance: float) -> Axes:
    """Overlap of the embedding's subspace with the strongest modes of kernels against effective time.

    The colour says which kernel it is; marks are hollow for the kernel before training and filled for the one after.
    """
    colors = {"conjugate kernel": "#1d4ed8", "tangent kernel": "#c2410c"}
    for name, values in overlaps.items():
        kernel, _, when = name.rpartition(", ")
        color, filled = colors.get(kernel, "0.4"), when == "end"
        face = color if filled else "white"
        label = f"{as_written(kernel)}, {'after' if filled else 'before'} training"
        every = max(1, len(times) // 12)
        ax.plot(times, values, "-o", color=color, mfc=face, ms=3.5, lw=1.1, markevery=every, label=label)
    ax.axhline(chance, color="0.5", ls=(0, (1, 1.5)), lw=1.0, label=f"chance, d / 2m = {chance:.2g}")
    ax.set(xlabel=TIME_AXIS, ylabel="subspace overlap", ylim=(0, 1))
    legend_beside(ax, fontsize=6, handlelength=1.5)
    return ax


def recipe_figure(
    measured: Trajectory,
    forecasts: Mapping[str, Trajectory],
    overlaps: KernelOverlaps,
    title: str = "",
    steps_per_epoch: int | None = None,
) -> Figure:
    """A practical network against forecasts from its kernel before and after training, and what the kernels explain."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11.4, 3.2))
    draw_eigenvalues(left, measured, forecasts.get("kernel_start"))
    draw_eigenvalues(middle, measured, forecasts.get("kernel_after"))
    draw_overlaps(right, overlaps.times, overlaps.overlaps, overlaps.chance)
    logarithmic_time((left, middle, right), learning_times(measured))
    for ax in (left, middle, right):
        epochs_below(ax, measured, steps_per_epoch)
    panel_letters(left, middle, right)
    if title:
        figure.suptitle(as_written(title), fontsize=8, color="0.35")
    return figure
