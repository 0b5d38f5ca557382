"""The figure of a run whose labels were read: scores of the probes against the training step."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dynamics.drawing.axes import legend_above, panel_letters
from dynamics.drawing.trajectories import draw_step_marks
from dynamics.trajectories.comparison import learning_times
from dynamics.trajectories.label_scores import ACCURACY, score_names, scored_forecast
from dynamics.trajectories.ladder import rung
from dynamics.trajectories.trajectory import Trajectory

PANELS = ("linear probe, held out", "k-NN probe, held out", "linear probe, training pairs")


def label_figure(
    measured: Trajectory | None, forecasts: Mapping[str, Trajectory], learning_rate: float, title: str = ""
) -> Figure | None:
    """Draw the scores of the probes against the training step: measured solid, forecast dashed; None without scores.

    Parameters
    ----------
    measured : Trajectory, optional
        The network that was trained.
    forecasts : mapping
        Rung -> its trajectory; the highest rung with scores is drawn.
    learning_rate : float
        η, which makes training steps of effective times.
    title : str
        Text above the panels.
    """
    forecast = scored_forecast(forecasts)
    drawn = [run for run in (measured, forecast) if run is not None and score_names(run) is not None]
    if not drawn:
        return None
    names = score_names(drawn[0]) or ACCURACY
    figure, axes = plt.subplots(1, 3, figsize=(10.2, 2.9), sharex=True)
    for ax, name, label in zip(axes, names, PANELS, strict=True):
        for run in drawn:
            _draw_score(ax, run, name, learning_rate)
        if forecast is not None:
            draw_step_marks(ax, learning_times(forecast) / learning_rate)
        kind = "accuracy" if names == ACCURACY else "$R^2$"
        ax.set(xlabel="training step", ylabel=kind, title=label)
        if names == ACCURACY:
            ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_above(axes[0])
    panel_letters(*axes)
    if title:
        figure.suptitle(title, fontsize=8, color="0.35")
    return figure


def _draw_score(ax: Axes, run: Trajectory, name: str, learning_rate: float) -> Axes:
    evaluated = np.isfinite(run.metrics[name])
    model = rung(run.rung)
    color, dashes = model.line
    steps = run.times[evaluated] / learning_rate
    ax.plot(steps, run.metrics[name][evaluated], color=color, ls=dashes, lw=1.6, label=model.label)
    return ax
