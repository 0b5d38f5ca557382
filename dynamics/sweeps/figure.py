"""A sweep as a picture: error of every forecast against what varied, and the eigenvalues with their band over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from dynamics.drawing.axes import label_log_axis, legend_above
from dynamics.drawing.trajectories import TIME_AXIS, mode_colors
from dynamics.drawing.words import as_written
from dynamics.runs.store import Run
from dynamics.sweeps.run import Sweep
from dynamics.trajectories.ladder import in_order, rung
from dynamics.trajectories.trajectory import Trajectory


def sweep_figure(swept: Sweep) -> Figure:
    """Draw the error of the forecasts against the first setting that varies besides the seed.

    The line is the median, the band the range over all other settings. Runs without forecasts show their step times
    instead. If only seeds vary, the figure has the eigenvalues of the runs with their range, on one time axis.
    """
    axis = next((axis for axis in swept.axes if axis.name != "seed" and len(axis.values) > 1), None)
    if axis is None:
        figure, ax = plt.subplots(figsize=(4.6, 3.0))
        draw_band(ax, [run.measured for _, run in swept.points if run.measured is not None])
        return figure
    figure, ax = plt.subplots(figsize=(4.6, 3.0))
    forecast = any(run.forecasts for _, run in swept.points)
    draw = draw_errors if forecast else draw_step_times_against
    draw(ax, axis.name, axis.values, swept.points)
    return figure


def draw_errors(ax: Axes, name: str, values: Sequence[Any], points: Sequence[tuple[Mapping[str, Any], Run]]) -> Axes:
    """Median error of the step times of each forecast against one setting; band: range over the other settings."""
    errors: dict[str, dict[Any, list[float]]] = {}
    for point, run in points:
        comparison = run.comparison
        for forecast in comparison.step_time_ratio if comparison else ():
            errors.setdefault(forecast, {}).setdefault(point[name], []).append(comparison.median_error(forecast))
    positive = False
    for forecast in in_order(errors):
        by_value = {value: np.array(found) for value, found in errors[forecast].items()}
        judged = {value: found[np.isfinite(found)] for value, found in by_value.items()}  # others have no place here
        shown = [value for value in values if value in judged and judged[value].size]
        x = [_position(value, values) for value in shown]
        model = rung(forecast)
        color, dashes = model.line
        look = {"marker": model.marker, "ms": 4, "mfc": color if model.filled else "none"}
        middle = [np.median(judged[v]) for v in shown]
        ax.plot(x, middle, color=color, ls=dashes, label=as_written(model.label), **look)
        ends = [judged[v].min() for v in shown], [judged[v].max() for v in shown]
        ax.fill_between(x, *ends, color=color, alpha=0.15, lw=0)
        positive = positive or any(end > 0 for end in ends[1])
    _setting_axis(ax, name, values)
    ax.set(ylabel="median error of the step times")
    percent = FuncFormatter(lambda share, _: f"{100 * share:.3g} %")  # 0.05 % as well as 20 %
    if positive:
        ax.set_yscale("log")
        label_log_axis(ax.yaxis, *ax.get_ylim(), percent)
    else:
        ax.yaxis.set_major_formatter(percent)
    if not any(np.isfinite(found).any() for by_value in errors.values() for found in by_value.values()):
        ax.text(0.5, 0.5, "no step was predicted and reached", transform=ax.transAxes, ha="center", color="0.4")
    legend_above(ax)
    return ax


def draw_step_times_against(
    ax: Axes, name: str, values: Sequence[Any], points: Sequence[tuple[Mapping[str, Any], Run]]
) -> Axes:
    """Measured step time of every dimension against one setting; line: median, band: range over the other settings."""
    times: dict[Any, list[np.ndarray]] = {}
    for point, run in points:
        if run.comparison is not None:
            times.setdefault(point[name], []).append(run.comparison.step_times[run.comparison.measured])
    shown = [value for value in values if value in times]
    x = [_position(value, values) for value in shown]
    dim = min(len(tau) for runs in times.values() for tau in runs)
    for j, color in enumerate(mode_colors(dim)):
        tau = [np.array([run[j] for run in times[value]]) for value in shown]
        learned = [values[np.isfinite(values)] for values in tau]
        middle = [np.median(values) if values.size else np.nan for values in learned]
        ends = [(values.min(), values.max()) if values.size else (np.nan, np.nan) for values in learned]
        ax.plot(x, middle, color=color, marker="o", ms=3)
        ax.fill_between(x, [low for low, _ in ends], [high for _, high in ends], color=color, alpha=0.15, lw=0)
    _setting_axis(ax, name, values)
    ax.set(ylabel="half learned at effective time")
    return ax


def draw_band(ax: Axes, runs: Sequence[Trajectory]) -> Axes:
    """Eigenvalues of C of several runs of one experiment: median and range at every time that all of them reached."""
    end = min(run.times[-1] for run in runs)
    times = np.linspace(0, end, 400)
    dim = min(run.dim for run in runs)
    for j, color in enumerate(mode_colors(dim)):
        u = np.array([np.interp(times, run.times, run.eigenvalues[:, j]) for run in runs])
        ax.fill_between(times, u.min(axis=0), u.max(axis=0), color=color, alpha=0.2, lw=0)
        ax.plot(times, np.median(u, axis=0), color=color, lw=1.2)
    ax.set(
        xlabel=TIME_AXIS,
        ylabel="eigenvalues of $C$",
        title=f"median and range of {len(runs)} runs",
    )
    return ax


def _is_numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _position(value: Any, values: Sequence[Any]) -> float:
    """Where a value stands on the axis: at itself, or at its rank where values are names."""
    return float(value if _is_numeric(values) else list(values).index(value))


def _setting_axis(ax: Axes, name: str, values: Sequence[Any]) -> None:
    """Label the x axis with a setting and its values, logarithmically where they span a factor of eight."""
    numeric = _is_numeric(values)
    if numeric and min(values) > 0 and max(values) / min(values) >= 8:
        ax.set_xscale("log")
        ax.xaxis.set_minor_locator(NullLocator())
    labels = [f"{v:g}" if numeric else as_written(v) for v in values]
    ax.set_xticks(values if numeric else range(len(values)), labels)
    ax.set(xlabel=name.replace("_", " "))
