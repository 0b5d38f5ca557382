"""Figures of the study of Bizeul et al. 2024."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynamics.drawing.axes import legend_below
from dynamics.drawing.trajectories import style
from dynamics.drawing.words import as_written
from dynamics.generative import TiedPLDA
from dynamics.studies.simve.exact import CORRELATIONS, VARIANCES, ModeCourse
from dynamics.studies.simve.methods import JOINT, RANDOM, VAES, Results, Scores
from dynamics.trajectories.ladder import MEASURED

_DASHED = (0, (3, 1.5))
_COLOURS = {"vae": "#1d4ed8", "simvae": "#c2410c", "joint": "#15803d", "random": "0.55"}


def courses_figure(courses: Mapping[str, ModeCourse]) -> Figure:
    """Above: variance of every mode in the embedding; below: the modes, numbered by arrival, over growth rates."""
    with style():
        figure, axes = plt.subplots(2, len(courses), figsize=(8.4, 5.0), height_ratios=(1.15, 1))
        colours = mpl.colormaps["viridis"](0.95 * CORRELATIONS)
        grid_v, grid_mu = np.meshgrid(np.geomspace(0.45, 5.4, 200), np.linspace(0.01, 1.08, 200))
        for (name, course), above, below in zip(courses.items(), *axes, strict=True):
            times, tops = course.trajectory.times, course.measured.max(axis=0)
            last = course.arrivals[np.isfinite(course.arrivals)].max()
            for k, colour in enumerate(colours):
                above.plot(times, course.measured[:, k] / tops[k], color=colour)
                above.plot(times, course.forecast[:, k] / tops[k], color=colour, ls=_DASHED, lw=0.9)
            above.set(title=name, xscale="log", xlim=(0.4 * course.arrivals.min(), 2 * last), ylim=(0, 1.3))
            above.set(xlabel="effective time $t$")
            above.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
            above.xaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
            above.xaxis.set_minor_locator(mpl.ticker.NullLocator())
            rates = np.log(np.maximum(course.rate(grid_v.ravel(), grid_mu.ravel()), 1e-9)).reshape(grid_v.shape)
            levels = np.log(np.geomspace(np.exp(rates.max()) / 30, np.exp(rates.max()), 9))
            below.contour(grid_v, grid_mu, rates, levels=levels, colors="0.75", linewidths=0.8, linestyles=[_DASHED])
            below.scatter(VARIANCES, CORRELATIONS, c=colours, s=150, lw=0)
            for rank, k in enumerate(np.argsort(course.arrivals), start=1):
                light = CORRELATIONS[k] > 0.6
                below.text(
                    VARIANCES[k],
                    CORRELATIONS[k],
                    str(rank),
                    ha="center",
                    va="center",
                    color="k" if light else "w",
                    size=8,
                )
            below.set(xscale="log", xlim=(0.45, 5.4), ylim=(0, 1.1), xlabel="variance $v$ of a view along the mode")
            below.set_xticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
            below.xaxis.set_minor_locator(mpl.ticker.NullLocator())
        axes[0, 0].set_ylabel("variance of each mode in the\nembedding, relative to its peak")
        axes[1, 0].set_ylabel(r"correlation $\mu$ of partners")
        axes[0, 0].plot([], [], color="0.4", label="gradient flow")
        axes[0, 0].plot([], [], color="0.4", ls=_DASHED, lw=0.9, label="forecast")
        axes[1, 0].plot([], [], color="0.6", ls=_DASHED, lw=0.8, label="equal growth (theory)")
        lines = [line for ax in (axes[0, 0], axes[1, 0]) for line in ax.get_legend_handles_labels()[0]]
        figure.legend(handles=lines, loc="outside lower center", ncols=len(lines))
        scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1 / 0.95), "viridis")
        bar = figure.colorbar(scale, ax=axes, shrink=0.6, pad=0.01, boundaries=np.linspace(0, 1, 200))
        bar.set_label(r"correlation $\mu$ of partners")
        bar.set_ticks([0, 0.5, 1])
    return figure


def thresholds_figure(measured: Mapping[float, float], times: np.ndarray, variances: np.ndarray, titles: str) -> Figure:
    """Which of content and style a single dimension holds, and content that is learned and given up."""
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 2.9))
        noises = np.geomspace(0.005, 0.95, 60)
        optimum = [TiedPLDA(noise=noise).style_threshold() for noise in noises]
        growth = TiedPLDA().growth_threshold()
        left.fill_between(noises, 0.9, optimum, color="#1d4ed8", alpha=0.10, lw=0)
        left.fill_between(noises, optimum, growth, color="#7c3aed", alpha=0.10, lw=0)
        left.fill_between(noises, growth, 2.3, color="#c2410c", alpha=0.10, lw=0)
        left.plot(noises, optimum, color="0.2", ls=_DASHED, label="optimum, theory")
        left.axhline(growth, color="0.5", ls=(0, (1, 1)), label=r"growth, $1 + \rho$")
        left.plot(list(measured), list(measured.values()), "o", color=MEASURED, ms=4, label="likelihood, maximised")
        for x, y, text in (
            (0.2, 1.04, "content"),
            (0.0062, 1.55, "content first,\nthen style"),
            (0.0062, 2.08, "style"),
        ):
            left.text(x, y, text, color="0.25", va="center")
        left.set(xscale="log", xlim=(noises[0], noises[-1]), ylim=(0.9, 2.3), xlabel=r"decoder noise $\tau^2$")
        left.set_ylabel("variance of style against\ncontent of variance 1")
        legend_below(left)
        for k, (name, colour) in enumerate((("content, variance 1", "#1d4ed8"), (titles, "#c2410c"))):
            right.plot(times, variances[:, k], color=colour, label=name)
        right.set(xlabel="effective time $t$", ylabel="variance in the embedding", ylim=(0, None))
        right.set(xscale="log", xlim=(times[1], times[-1]))
        right.set_title("one dimension, exact posterior", fontsize=8)
        legend_below(right)
    return figure


def methods_figure(
    results: Results, content: str, styles: Sequence[str], title: str, chance: Mapping[str, float]
) -> Figure:
    """Content against every style, one mark a method; bars are standard deviations over the seeds."""
    with style():
        figure, axes = plt.subplots(1, len(styles), figsize=(3.5 * len(styles), 3.1), sharex=True, squeeze=False)
        for ax, measure in zip(axes[0], styles, strict=True):
            for number, (method, scores) in enumerate(results.scores.items()):
                x, y = scores[content], scores[measure]
                ax.errorbar(
                    x.mean(), y.mean(), xerr=x.std(), yerr=y.std(), fmt=_marker(number), color=_colour(method), ms=5.5,
                    elinewidth=0.8, label=method if ax is axes[0, 0] else None,
                )  # fmt: skip
            if measure in chance:
                ax.axhline(chance[measure], color="0.7", lw=0.8, ls=_DASHED, zorder=0)
            ax.set(xlabel=_axis(content), ylabel=_axis(measure))
        figure.legend(loc="outside right center")
        figure.suptitle(as_written(title), fontsize=8, color="0.35")
    return figure


def budget_figure(curves: Mapping[str, Mapping[int, np.ndarray]], measure: str) -> Figure:
    """One measure against the number of updates, one line a method; bars are standard deviations over the seeds."""
    with style():
        figure, ax = plt.subplots(figsize=(5.6, 3.4))
        known = sorted({steps for curve in curves.values() for steps in curve})
        zero = known[1] / 5  # where an untrained encoder stands on a logarithmic axis
        for number, (method, curve) in enumerate(curves.items(), start=1):  # untrained encoders have the first mark
            values = np.array([curve[steps] for steps in sorted(curve)])
            steps = np.maximum(sorted(curve), zero)
            ax.errorbar(
                steps, values.mean(axis=1), yerr=values.std(axis=1), fmt=_marker(number) + "-", ms=4, lw=1,
                elinewidth=0.8, color=_colour(method), label=method,
            )  # fmt: skip
        ax.set(xscale="log", xlabel="updates of a training", ylabel=_axis(measure))
        ax.set_xticks(np.maximum(known, zero), [f"{steps:,}" for steps in known])
        ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
        figure.legend(loc="outside right center")
    return figure


def noise_figure(
    sweep: Mapping[str, Mapping[float, Scores]], measures: Sequence[str], chance: Mapping[str, float]
) -> Figure:
    """Every measure against the decoder noise; bands are standard deviations over the seeds."""
    with style():
        figure, axes = plt.subplots(1, len(measures), figsize=(2.5 * len(measures), 2.6), sharex=True)
        for ax, measure in zip(axes, measures, strict=True):
            for name, by_noise in sweep.items():
                noises = list(by_noise)
                values = np.array([by_noise[noise][measure] for noise in noises])
                mean, std = values.mean(axis=1), values.std(axis=1)
                ax.plot(noises, mean, "o-", ms=3.5, color=_colour(name), label=name)
                ax.fill_between(noises, mean - std, mean + std, color=_colour(name), alpha=0.2, lw=0)
            if measure in chance:
                ax.axhline(chance[measure], color="0.7", lw=0.8, ls=_DASHED, zorder=0)
            ax.set(xscale="log", xlabel=r"decoder noise $\tau^2$", ylabel=_axis(measure), ylim=(0, 1))
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(sweep))
    return figure


def images_figure(rows: Mapping[str, np.ndarray]) -> Figure:
    """Grid of images, one row for each name, images (count, h, w, c)."""
    with style():
        count = len(next(iter(rows.values())))
        figure, axes = plt.subplots(len(rows), count, figsize=(0.62 * count + 1.5, 0.66 * len(rows)), squeeze=False)
        for row, (name, images) in zip(axes, rows.items(), strict=True):
            for ax, image in zip(row, images, strict=True):
                _show(ax, image)
            row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def _show(ax: Axes, image: np.ndarray) -> None:
    image = np.clip(image, 0, 1)
    ax.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _axis(measure: str) -> str:
    kind, what, *where = measure.split()
    if kind == "style":
        return f"style: {what}, linear probe"
    read = f"{what} probe" if what in ("linear", "knn", "mlp") else f"clusters, {what}"
    return f"class: {read}, views" if where else f"class: {read}, clean images"


def _colour(method: str) -> str:
    if method == RANDOM:
        return _COLOURS["random"]
    kind = "vae" if method in VAES else "joint" if method in JOINT else "simvae"
    return _COLOURS[kind]


def _marker(number: int) -> str:
    return "Xos^DvPdp*h<>"[number]
