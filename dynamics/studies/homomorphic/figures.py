"""Figures of the study of homomorphic SSL: the filter, the table, the sweep, the ladders."""

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter, LogLocator, NullLocator

from dynamics.drawing.axes import legend_below
from dynamics.drawing.trajectories import mode_colors, style
from dynamics.studies.homomorphic.identity import Filter
from dynamics.studies.homomorphic.steps import Ladder
from dynamics.studies.homomorphic.training import SchemeScores
from dynamics.trajectories.ladder import MEASURED

_DASHED = (0, (3, 1.5))


def filter_figure(filtered: Filter, errors: np.ndarray, gaps: np.ndarray, name: str) -> Figure:
    """μ_m of fixed distances and of windows, predicted (dashed) and measured; gap of losses against inexactness."""
    with style():
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.2, 2.7))
        for ax, kind in ((left, "distance"), (middle, "window")):
            laws = [law for law in filtered.predicted if law.startswith(kind) or (kind == "window" and law == "Haar")]
            for law, color in zip(laws, mode_colors(len(laws)), strict=True):
                m = np.arange(filtered.predicted[law].size)
                ax.plot(m, filtered.predicted[law], color=color, ls=_DASHED, lw=1)
                ax.plot(m, filtered.measured[law], "o", color=color, ms=4, label=law.removeprefix(kind).strip())
            ax.axhline(0, color="0.8", lw=0.7, zorder=0)
            ax.set(xlabel=f"frequency $m$ of the fibers, {name}", ylabel="correlation of partners $\\mu_m$")
            ax.set(ylim=(-1.12, 1.12), xticks=m)
            ax.set_title(f"fibers {'at a fixed distance' if kind == 'distance' else 'in a window'}")
            ax.legend(title=kind, title_fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.2)
        left.plot([], [], color="0.4", ls=_DASHED, lw=1, label="formula")
        right.plot(errors, gaps, "o", color=MEASURED, ms=4)
        right.plot(errors, gaps[0] * errors / errors[0], color="0.5", ls=_DASHED, lw=1, label="proportional")
        right.set(
            xscale="log", yscale="log", xlabel="equivariance error of the network", ylabel="loss, A-SSL against H-SSL"
        )
        right.set_title("filters that are turned only nearly")
        legend_below(right)
        _letters(left, middle, right)
    return figure


def table_figure(rows: Sequence[SchemeScores], chance: float) -> Figure:
    """Accuracy upright and rotated, inv-ratio and time of every setting; one mark a seed, a bar at the mean."""
    with style():
        figure, axes = plt.subplots(1, 3, figsize=(9.2, 2.5), sharey=True, width_ratios=(1.5, 1, 1))
        places = np.arange(len(rows))[::-1]
        for y, row in zip(places, rows, strict=True):
            for quantity, face in (("upright", MEASURED), ("rotated", "white")):
                values = getattr(row, quantity)
                axes[0].plot(values, np.full(values.size, y), "o", ms=4.5, mec=MEASURED, mfc=face)
                axes[0].plot([values.mean()] * 2, [y - 0.28, y + 0.28], color=MEASURED, lw=1)
            for ax, values in ((axes[1], row.inv_ratio), (axes[2], row.seconds)):
                if (values > 0).all():
                    ax.plot(values, np.full(values.size, y), "o", ms=4.5, color=MEASURED)
                    ax.plot([values.mean()] * 2, [y - 0.28, y + 0.28], color=MEASURED, lw=1)
        for label, face in (("upright", MEASURED), ("rotated", "white")):
            axes[0].plot([], [], "o", ms=4.5, mec=MEASURED, mfc=face, label=label)
        axes[0].axvline(chance, color="0.6", ls=_DASHED, lw=0.9, label="chance")
        axes[0].legend(loc="upper right", bbox_to_anchor=(1.0, 1.14), ncols=3, columnspacing=0.8, handletextpad=0.2)
        axes[0].set(
            xlabel="accuracy of a linear probe", yticks=places, yticklabels=[row.name for row in rows], xlim=(0, 1)
        )
        axes[1].axvline(1, color="0.6", ls=_DASHED, lw=0.9)
        axes[1].set(xlabel="inv-ratio (0: invariant, 1: unrelated)", xscale="log")
        axes[2].set(xlabel="seconds of training", xlim=(0, None))
        for ax in axes:
            ax.grid(axis="y", color="0.9", lw=0.6, zorder=0)
            ax.set_axisbelow(True)
        _letters(*axes)
    return figure


def sweep_figure(rows: Sequence[SchemeScores]) -> Figure:
    """Accuracy and inv-ratio against distance and window, one column for each group."""
    groups = list(dict.fromkeys(row.name.split(",")[0] for row in rows))
    titles = {"c4": "quarter turns", "cyclic": "shifts along the rows"}
    with style():
        figure, axes = plt.subplots(2, len(groups), figsize=(6.4, 3.8), sharex="col", sharey="row", squeeze=False)
        for column, group in zip(axes.T, groups, strict=True):
            for kind, line in (("distance", "-"), ("window", "--")):
                chosen = [row for row in rows if row.name.startswith(f"{group}, {kind}")]
                at = [int(row.name.split()[-1]) for row in chosen]
                for quantity, face in (("upright", MEASURED), ("rotated", "white")):
                    mean = [getattr(row, quantity).mean() for row in chosen]
                    label = f"{kind}, {'as it is' if quantity == 'upright' else 'transformed'}"
                    column[0].plot(at, mean, "o", ls=line, color=MEASURED, mfc=face, ms=4.5, lw=1, label=label)
                means = [row.inv_ratio.mean() for row in chosen]
                column[1].plot(at, means, "o", ls=line, color=MEASURED, ms=4.5, lw=1, label=kind)
            column[0].set_title(titles.get(group, group))
            column[1].axhline(1, color="0.6", ls=_DASHED, lw=0.9, zorder=0)
            column[1].set(yscale="log", xlabel="distance $d$ or radius $D$ between fibers")
            column[1].xaxis.set_major_locator(FixedLocator(at_range(rows, group)))
        axes[0, 0].set(ylabel="accuracy", ylim=(0, 1))
        axes[1, 0].set(ylabel="inv-ratio")
        axes[0, -1].legend(ncols=1, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axes[1, -1].legend(ncols=1, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        _letters(*axes.ravel())
    return figure


def at_range(rows: Sequence[SchemeScores], group: str) -> list[int]:
    """Distances that occur."""
    return sorted({int(row.name.split()[-1]) for row in rows if row.name.startswith(f"{group},")})


def ladder_figure(ladders: Sequence[Ladder]) -> Figure:
    """Forecast (hollow) and measured step times of each network; the colour is the frequency that prevails in a mode.

    Frequency 0 is invariant to the group.
    """
    with style():
        figure, axes = plt.subplots(1, len(ladders), figsize=(2.5 * len(ladders), 2.8))
        palette = mpl.colormaps["viridis"]
        top = max(ladder.frequencies.shape[1] for ladder in ladders) - 1
        for ax, ladder in zip(axes, ladders, strict=True):
            measured, predicted = (ladder.comparison.step_times[name] for name in ("network", "ode"))
            mode = np.arange(1, measured.size + 1)
            colors = [palette(m / max(top, 1) * 0.92) for m in ladder.frequencies.argmax(axis=1)]
            ax.scatter(mode, predicted, s=70, facecolors="none", edgecolors=colors, lw=1)
            ax.scatter(mode, measured, s=20, c=colors)
            error = 100 * ladder.comparison.median_error("ode")
            ax.text(0.96, 0.05, f"median error {error:.1f} %", transform=ax.transAxes, ha="right", fontsize=7)
            ax.set(yscale="log", xlabel="mode", xticks=mode, xlim=(0.5, mode[-1] + 0.5))
            ax.margins(y=0.15)
            ax.set_title(ladder.name)
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))
            ax.yaxis.set_minor_locator(NullLocator())
        axes[0].set_ylabel("step time")
        seen = sorted({int(m) for ladder in ladders for m in ladder.frequencies.argmax(axis=1)})
        shapes = [
            plt.Line2D([], [], ls="", marker="o", ms=4.5, color="0.3", label="network"),
            plt.Line2D([], [], ls="", marker="o", ms=8, mfc="none", mec="0.3", label="forecast"),
        ]
        marks = [
            plt.Line2D([], [], ls="", marker="s", ms=5, color=palette(m / max(top, 1) * 0.92), label=f"frequency {m}")
            for m in seen
        ]
        figure.legend(handles=shapes + marks, loc="outside lower center", ncols=len(shapes) + len(marks))
        _letters(*axes)
    return figure


def _letters(*axes: plt.Axes) -> None:
    for letter, ax in zip("abcdefgh", axes, strict=False):
        ax.set_title(letter, loc="left", fontweight="bold", fontsize=9)
