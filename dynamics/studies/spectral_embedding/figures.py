"""Figures of the study of spectral embedding: twins side by side, flows to the closed forms, ranks."""

from collections.abc import Mapping

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dynamics.drawing.axes import legend_below
from dynamics.drawing.trajectories import mode_colors, style
from dynamics.trajectories.trajectory import Trajectory

_ENTRIES = {
    "VICReg": "eigenvalues of the covariance",
    "SimCLR": "eigenvalues of $F^\\top F/N$",
    "Barlow Twins": "eigenvalues of $C$",
}


def twins_figure(pictures: Mapping[str, tuple[np.ndarray, np.ndarray]], labels: np.ndarray) -> Figure:
    """Optimum above, classical method below, one column for each pair "method|twin"; colours are digits.

    The classical embedding is turned and stretched to fit, as nothing but its span is claimed.
    """
    with style():
        figure, axes = plt.subplots(2, len(pictures), figsize=(7.0, 4.6))
        palette = mpl.colormaps["tab10"]
        for column, (name, (Z, twin)) in zip(axes.T, pictures.items(), strict=True):
            Z, twin = Z - Z.mean(axis=0), twin - twin.mean(axis=0)
            fitted = twin @ np.linalg.lstsq(twin, Z, rcond=None)[0]
            for ax, points, title in zip(column, (Z, fitted), name.split("|"), strict=True):
                ax.scatter(*points.T, c=labels, cmap=palette, vmin=-0.5, vmax=9.5, s=9, lw=0)
                ax.set(title=title, xticks=[], yticks=[])
        axes[0, 0].set_ylabel("optimum, closed form")
        axes[1, 0].set_ylabel("classical method")
        marks = [
            plt.Line2D([], [], color=palette(digit), marker="o", ms=4, lw=0, label=str(digit)) for digit in range(10)
        ]
        figure.legend(handles=marks, loc="outside lower center", ncols=10, handletextpad=0, columnspacing=1)
    return figure


def flows_figure(flows: Mapping[str, tuple[Trajectory, np.ndarray]], sweep: Mapping[str, np.ndarray]) -> Figure:
    """Eigenvalues along each flow, closed forms dashed; rank of VICReg against its weight.

    The eigenvalues are those of C for Barlow Twins, of the second moments for SimCLR, of the covariance for VICReg.
    """
    with style():
        figure, axes = plt.subplots(1, len(flows) + 1, figsize=(9.6, 2.6))
        for ax, (name, (flow, ends)) in zip(axes, flows.items(), strict=False):
            drawn = flow.eigenvalues if name == "Barlow Twins" else flow.covariance
            if name == "VICReg":
                F = flow.embeddings - flow.embeddings.mean(axis=1, keepdims=True)
                drawn = np.linalg.eigvalsh(np.swapaxes(F, 1, 2) @ F / F.shape[1])[:, ::-1]
            for u, end, color in zip(drawn.T, ends, mode_colors(flow.dim), strict=True):
                ax.plot(flow.times, u, color=color)
                ax.axhline(end, color=color, ls=(0, (3, 1.5)), lw=0.9, zorder=0)
            settled = np.abs(drawn - drawn[-1]).max(axis=1) < 1e-3 * drawn[-1].max()
            ax.set(
                title=name,
                xlabel="effective time $t$",
                xlim=(0, 1.3 * flow.times[settled.argmax()]),
                ylabel=_ENTRIES[name],
                ylim=(0, None),
            )
        ax = axes[-1]
        dense = np.geomspace(sweep["weights"][0], sweep["weights"][-1], 400)
        ax.plot(dense, [(sweep["eigenvalues"] < 1 / w).sum() for w in dense], color="0.4", ls=(0, (3, 1.5)), lw=1)
        ax.plot(sweep["weights"], sweep["found"], "o", color="#1b1b1b", ms=4)
        ax.plot([], [], color="0.4", ls=(0, (3, 1.5)), lw=1, label="#{λ < 1/weight}")
        ax.plot([], [], "o", color="#1b1b1b", ms=4, label="L-BFGS")
        ax.set(title="rank of VICReg", xscale="log", xlabel="weight of invariance", ylabel="dimensions", ylim=(0, None))
        legend_below(ax)
    return figure
