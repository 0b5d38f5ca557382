"""A ranking as a picture: accuracy, contrastive eigenvalues and step times of every augmentation, the best on top."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from dynamics.drawing.axes import label_log_axis, legend_above
from dynamics.drawing.trajectories import mode_colors
from dynamics.ranking.ranking import Ranking

_LINEAR, _KNN = "#1d4ed8", "#c2410c"
_LONGEST = 34  # letters of a name beside the panels


def ranking_figure(ranking: Ranking) -> Figure:
    """Draw one line for each augmentation: accuracy of both probes, γ and the training step of every dimension."""
    rows = ranking.rows
    figure, axes = plt.subplots(
        1, 3, figsize=(9.6, 1.2 + 0.24 * len(rows)), sharey=True, layout="constrained", width_ratios=(1.3, 1, 1)
    )
    y = np.arange(len(rows))
    _draw_accuracy(axes[0], ranking, y)
    _draw_numbers(axes[1], [row["eigenvalues"] for row in rows], y, "contrastive eigenvalue γ")
    _draw_numbers(axes[2], [row["steps"] for row in rows], y, "half learned at training step")
    names = [row["augmentation"] for row in rows]
    axes[0].set_yticks(y, [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in names])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    for ax in axes:
        ax.yaxis.set_minor_locator(NullLocator())
        ax.grid(axis="y", color="0.92", lw=0.6)
    return figure


def _draw_accuracy(ax: Axes, ranking: Ranking, y: np.ndarray) -> None:
    for name, color, label in (("linear", _LINEAR, "linear probe"), ("knn", _KNN, "k-NN probe")):
        ax.plot([row[f"{name}_accuracy"] for row in ranking.rows], y, "o", color=color, ms=4, label=label)
    for row, place in zip(ranking.rows, y, strict=True):
        values = [
            forecast.linear[-1]
            for forecast in ranking.forecasts
            if forecast.augmentation == row["augmentation"] and forecast.linear and forecast.linear[-1] is not None
        ]
        if len(values) > 1:
            ax.plot([min(values), max(values)], [place, place], color=_LINEAR, lw=1, alpha=0.5)
    ax.axvline(ranking.chance, color="0.6", lw=0.8, ls="--", label="chance")
    ax.set(xlabel="accuracy on held-out images, forecast")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_above(ax, columns=3)


def _draw_numbers(ax: Axes, rows: list[list[float]], y: np.ndarray, label: str) -> None:
    """One mark a dimension on a logarithmic axis; what is not positive or finite has no place on it."""
    values = np.array(rows)
    shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    for column, color in zip(shown.T, mode_colors(shown.shape[1]), strict=True):
        ax.plot(column, y, "|", color=color, ms=9, mew=1.6)
    if np.isfinite(shown).any():
        ax.set_xscale("log")
        label_log_axis(ax.xaxis, np.nanmin(shown), np.nanmax(shown))
    ax.set(xlabel=label)
