"""Figures of the study of inductive bias: error against k for each class, bounds, φ_m of real networks."""

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from dynamics.drawing.axes import legend_below
from dynamics.drawing.trajectories import style
from dynamics.drawing.words import as_written
from dynamics.function_classes import linear_head_error
from dynamics.function_classes.explicit import misled_cube_minimiser
from dynamics.studies.inductive_bias.exact import CIRCLES, CUBE, RING, Law, law
from dynamics.studies.inductive_bias.implementable import PAPER_SIZES, PAPER_TABLE, Implementable
from dynamics.studies.inductive_bias.training import Runs, universal_average
from dynamics.studies.statistics import half_width
from dynamics.views import PairDistribution, SignedCube

COLOURS = {
    "linear": "#1d4ed8",
    "linear with bias": "#0891b2",
    "universal": "0.45",
    "ReLU units": "#c2410c",
    "ReLU units, ring": "#c2410c",
    "Lipschitz": "#15803d",
    "convolution": "#7c3aed",
}
_DASHED = (0, (3, 1.5))


def errors_figure(
    flow: Mapping[str, Law], descent: Mapping[str, Law], cube: SignedCube, runs: Mapping[str, Mapping[int, Runs]]
) -> Figure:
    """Error of a linear head against the number of outputs: one panel an example, theory dashed or hollow."""
    with style():
        figure, axes = plt.subplots(1, 4, figsize=(10.4, 3.5), sharey=True)
        _law_panel(axes[0], flow, descent, cube)
        _trained_panel(axes[1], CUBE, {"ReLU units": runs["ReLU units"]}, suffices=4, misled=_misled_cube, until=8)
        _trained_panel(axes[2], CIRCLES, {"Lipschitz": runs["Lipschitz"]}, suffices=4, misled=_share(CIRCLES), until=8)
        ring = {name: runs[name] for name in ("convolution", "ReLU units, ring")}
        _trained_panel(axes[3], RING, ring, suffices=4, misled=_share(RING), until=8)
        titles = (
            f"Ex. 5.1: cube, d = {cube.dim}, s = {cube.signal}",
            f"Ex. 5.4: cube, d = {CUBE.dim}, s = {CUBE.signal}",
            f"Ex. 5.7: {CIRCLES.num_manifolds} circles of {CIRCLES.pieces} arcs",
            f"Ex. 5.10: patch of {RING.size} on a ring of {RING.dim}",
        )
        for ax, title in zip(axes, titles, strict=True):
            ax.set_title(title)
            ax.set(xlabel="outputs $k$", ylim=(-0.03, 1.12))
        axes[0].set_ylabel("error of a linear head")
    return figure


def _share(distribution: PairDistribution) -> Callable[[int], float]:
    return lambda k: universal_average(distribution, k)


def _misled_cube(k: int) -> float:
    table = misled_cube_minimiser(CUBE, k, hidden=CUBE.signal)
    return linear_head_error(table, np.eye(CUBE.num_classes)[CUBE.classes(np.arange(CUBE.num_clusters))])


def _law_panel(ax: Axes, flow: Mapping[str, Law], descent: Mapping[str, Law], cube: SignedCube) -> Axes:
    """Laws dashed, exact flow hollow, plain descent filled; bars are two standard errors."""
    for name, errors in flow.items():
        ks = np.array(sorted(errors))
        grid = np.arange(1, ks[-1] + 1)
        color = COLOURS[name]
        ax.plot(grid, [law(name, int(k), cube) for k in grid], color=color, ls=_DASHED, lw=1)
        ax.plot(ks, [errors[k][0] for k in ks], "o", mfc="none", mec=color, ms=6)
        trained = descent.get(name, {})
        if trained:
            mean, error = np.array([trained[k] for k in sorted(trained)]).T
            ax.errorbar(sorted(trained), mean, 2 * error, fmt="o", color=color, ms=3.2, lw=0.9)
        ax.plot([], [], color=color, label=name)
    ax.plot([], [], "o", mfc="none", mec="0.3", ms=6, label="exact flow")
    ax.plot([], [], "o", color="0.3", ms=3.2, label="descent")
    ax.plot([], [], color="0.3", ls=_DASHED, lw=1, label="law")
    ax.set(xscale="log", xticks=[1, 2, 4, 16, 64], xticklabels=["1", "2", "4", "16", "64"])
    ax.minorticks_off()
    legend_below(ax)
    return ax


def _trained_panel(
    ax: Axes,
    distribution: PairDistribution,
    runs: Mapping[str, Mapping[int, Runs]],
    *,
    suffices: int,
    misled: Callable[[int], float],
    until: int,
) -> Axes:
    """Every seed a dot, their median a line, above it the share of seeds that solved the task; misled ones hollow."""
    grid = np.arange(1, until + 1)
    ax.plot(grid, [universal_average(distribution, int(k)) for k in grid], color=COLOURS["universal"], ls=_DASHED, lw=1)
    ax.plot(grid, [misled(int(k)) for k in grid], "s", mfc="none", mec=COLOURS["universal"], ms=4)
    for name, by_k in runs.items():
        color, ks = COLOURS[name], sorted(by_k)
        for k in ks:
            ax.plot(np.full(len(by_k[k].error), k), by_k[k].error, ".", color=color, ms=3, alpha=0.5)
            if name == next(iter(runs)):
                ax.text(k, 1.06, f"{by_k[k].solved:.0%}", ha="center", fontsize=5.5, color=color)
        ax.plot(ks, [np.median(by_k[k].error) for k in ks], color=color, label=name.split(",")[0])
    ax.text(0.3, 1.06, "solved", ha="right", fontsize=5.5, color="0.3")
    ax.plot([], [], ".", color="0.3", ms=3, alpha=0.5, label="one seed")
    ax.plot([suffices], [0], "*", mfc="white", mec="k", ms=9, label="explicit optimum", zorder=5)
    ax.plot([], [], "s", mfc="none", mec=COLOURS["universal"], ms=4, label="misled minimiser")
    ax.plot([], [], color=COLOURS["universal"], ls=_DASHED, lw=1, label="universal, average")
    ax.set_xticks(grid)
    legend_below(ax)
    return ax


def bounds_figure(found: Mapping[str, np.ndarray]) -> Figure:
    """Measured error against the bounds of Theorems 3.6 and 4.5; what lies below the diagonal obeys them."""
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(6.0, 2.9))
        panels = (("error", "bound", "Theorem 3.6"), ("eigen_error", "eigen_bound", "Theorem 4.5"))
        for ax, (error, bound, title) in zip(axes, panels, strict=True):
            points = ax.scatter(found[bound], found[error], c=found["cross"], norm=LogNorm(), s=12)
            ends = np.array([found[bound].min() / 2, found[bound].max() * 2])
            ax.plot(ends, ends, color="0.5", ls=_DASHED, lw=1)
            ax.set(title=title, xscale="log", yscale="log", xlabel="bound", ylabel="error of a linear head")
        bar = figure.colorbar(points, ax=axes, label=r"pairs across clusters, $\alpha$")
        ticks = [tick for tick in (0.001, 0.003, 0.01, 0.03) if found["cross"].min() <= tick <= found["cross"].max()]
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks], minor=False)
        bar.minorticks_off()
    return figure


def phi_figure(measured: Implementable) -> Figure:
    """φ_m of trained networks, and the paper's on CIFAR-10 hollow."""
    with style():
        figure, ax = plt.subplots(figsize=(4.4, 3.0))
        for (name, phi), marker, color in zip(
            measured.phi.items(), "os^D", ("0.35", "#c2410c", "#1d4ed8", "#15803d"), strict=False
        ):
            mean = phi.mean(axis=0)
            half = [half_width(column) if len(column) > 1 else 0.0 for column in phi.T]
            ax.errorbar(measured.sizes, mean, half, fmt=marker + "-", color=color, ms=4, lw=1, label=name)
        for (name, phi), marker in zip(PAPER_TABLE.items(), "^v>D", strict=True):
            ax.plot(PAPER_SIZES, phi, marker + ":", mfc="none", color="0.6", ms=4, lw=0.8, label=f"{name} (paper)")
        ax.set(xscale="log", xlabel="orthonormal functions $m$", ylabel=r"discrepancy $\varphi_m$", ylim=(0, None))
        ax.set_title(f"solid: {as_written(measured.dataset)};\nhollow: the paper, CIFAR-10", fontsize=6.5)
        legend_below(ax, fontsize=6)
    return figure


def clusters_figure(measured: Implementable) -> Figure:
    """Error of a probe against φ_m, and β against α, which should be much smaller (dashed: equal)."""
    colours = dict(zip(measured.clusters, ("0.35", "#c2410c", "#1d4ed8", "#15803d"), strict=False))
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 2.8))
        for name, probes in measured.clusters.items():
            mark = {"color": colours[name], "ms": 4, "ls": "", "marker": "o", "label": name}
            left.plot(measured.phi[name][:, -1], [probe.error for probe in probes], **mark)
            right.plot([probe.alpha for probe in probes], [probe.beta for probe in probes], **mark)
        left.set(xlabel=rf"discrepancy $\varphi_{{{measured.sizes[-1]}}}$", ylabel="error of a probe of the class")
        right.set(xlabel=r"pairs that a head puts into two classes, $\alpha$", ylabel=r"gap inside a class, $\beta$")
        right.plot([0, 1], [0, 1], color="0.5", ls=_DASHED, lw=1)
        right.set(
            xlim=(0, 1), ylim=(0, max(probe.beta for probes in measured.clusters.values() for probe in probes) * 2)
        )
        legend_below(left, columns=4, fontsize=6)
    return figure
