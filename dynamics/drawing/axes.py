"""What all figures do with their axes: legends outside of the panel, scales of time, and labels of logarithmic axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.ticker import FormatStrFormatter, Formatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from dynamics.trajectories.trajectory import Trajectory

_WIDE = 30.0
"""Where step times span more than this factor, time is logarithmic: the first steps would lie on the axis."""

_LABEL_POINTS = 32.0
"""Height of the ticks and the label of a horizontal axis."""


def legend_above(ax: Axes, columns: int = 2, **settings: Any) -> Legend:
    """Legend above the panel, at its right, since curves may lie anywhere in the panel."""
    look = {"columnspacing": 1.2, "handlelength": 1.8, "frameon": False, **settings}
    return ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, borderaxespad=0.2, **look)


def legend_beside(ax: Axes, **settings: Any) -> Legend:
    """Legend at the right of the panel."""
    return ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), **settings)


def legend_below(ax: Axes, columns: int = 2, **settings: Any) -> Legend:
    """Legend below the label of the time axis, where another panel stands at the right."""
    look = {"columnspacing": 1.0, "frameon": False, **settings}
    below = ax.transAxes + ScaledTranslation(0, -_LABEL_POINTS / 72, ax.figure.dpi_scale_trans)
    anchor = {"bbox_to_anchor": (0.5, 0.0), "bbox_transform": below}
    return ax.legend(loc="upper center", ncols=columns, borderaxespad=0, **anchor, **look)


def logarithmic_time(axes: Sequence[Axes], step_times: np.ndarray) -> None:
    """Make time logarithmic where the steps span more than a factor of thirty, from before the first step on."""
    start = start_of_logarithmic_time(step_times)
    if start is None:
        return
    for ax in axes:
        end = max(float(x[-1]) for x in (np.asarray(line.get_xdata()) for line in ax.lines) if len(x) > 1)
        ax.set(xscale="log", xlim=(start, max(end, step_times[np.isfinite(step_times)].max())))


def start_of_logarithmic_time(step_times: np.ndarray) -> float | None:
    """Where a logarithmic axis of time begins for these steps; None where they suit a linear one."""
    finite = step_times[np.isfinite(step_times) & (step_times > 0)]
    if not finite.size or finite.max() / finite.min() <= _WIDE:
        return None
    return float(finite.min() / 5)


def label_log_axis(axis: Axis, low: float, high: float, formatter: Formatter | None = None) -> None:
    """Label a logarithmic axis at 1, 2, 5, 10, …, or evenly where it spans less than that has three labels for."""
    labels = [m * 10.0**k for k in range(-20, 21) for m in (1, 2, 5)]
    enough = sum(low <= label <= high for label in labels) >= 3
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if enough else MaxNLocator(4, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(formatter or FormatStrFormatter("%g"))
    axis.set_minor_locator(NullLocator())


def epochs_below(ax: Axes, trajectory: Trajectory, steps_per_epoch: int | None) -> None:
    """Add a second axis below the first: how many times all images have been seen, where a run has epochs."""
    if steps_per_epoch is None or trajectory.steps is None or len(trajectory.times) < 2:
        return
    epochs, (start, _), scale = trajectory.steps / steps_per_epoch, ax.get_xlim(), ax.get_xscale()
    first = float(np.interp(start, trajectory.times, epochs)) if scale == "log" else 0.0
    locator = LogLocator() if scale == "log" else MaxNLocator(6, steps=[1, 2, 5, 10])
    shown = np.asarray(locator.tick_values(first, epochs[-1]))
    shown = shown[(shown >= first) & (shown <= epochs[-1])]
    below = ax.twiny()
    below.set(xscale=scale, xlim=ax.get_xlim(), xlabel="epoch")
    below.set_xticks(np.interp(shown, epochs, trajectory.times), [f"{epoch:g}" for epoch in shown])
    below.xaxis.set_minor_locator(NullLocator())
    below.xaxis.set_ticks_position("bottom")
    below.xaxis.set_label_position("bottom")
    below.spines["bottom"].set_position(("axes", -0.26))
    below.spines["bottom"].set_visible(True)
    engine = ax.figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(h_pad=0.1)  # the label of an axis that stands off is not counted in full


def panel_letters(*axes: Axes) -> None:
    """Name the panels a, b, c at their upper left."""
    for letter, ax in zip("abc", axes, strict=False):
        ax.set_title(letter, loc="left", x=-0.12, fontweight="bold", fontsize=9)
