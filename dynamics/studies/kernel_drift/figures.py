"""Figure of the study of the kernel's drift."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from dynamics.drawing.trajectories import style
from dynamics.studies.kernel_drift.drifts import OBJECTIVES, exponent

_TITLES = {
    "fixed": "after a fixed time",
    "half": "after a time that grows\nas ½ ln(width)",
    "log": "after a time that grows\nas ln(width)",
    "end": "once the loss is learned",
}
_COLOURS = dict(zip(OBJECTIVES, ("#1d4ed8", "#15803d", "#7c3aed", "#c2410c"), strict=True))


def drifts_figure(widths: tuple[int, ...], found: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Relative change of the kernel over width, one panel a time: mean over seeds, every seed, and exponents."""
    with style():
        figure, axes = plt.subplots(1, len(_TITLES), figsize=(11.0, 3.2), sharey=True)
        for ax, (when, title) in zip(axes, _TITLES.items(), strict=True):
            for name, objective in OBJECTIVES.items():
                if when not in found[name]:
                    continue
                drifts = found[name][when]
                label = objective.title if when == "fixed" else None
                ax.plot(widths, np.exp(np.log(drifts).mean(axis=1)), color=_COLOURS[name], label=label)
                ax.scatter(np.repeat(widths, drifts.shape[1]), drifts.ravel(), color=_COLOURS[name], s=7, lw=0)
                text = f"{exponent(widths, drifts)[0]:.2f}"
                place = 0.03 + 0.25 * list(OBJECTIVES).index(name)
                ax.text(place, 0.93, text, color=_COLOURS[name], size=8, transform=ax.transAxes)
            ax.set(xscale="log", yscale="log", xlabel="hidden units", title=title)
            ax.set_xticks(widths, [str(width) for width in widths])
            ax.xaxis.set_minor_locator(NullLocator())
        low, high = axes[0].get_ylim()
        axes[0].set(ylabel="relative change of the kernel", ylim=(low, high**1.3))  # room for the exponents
        figure.legend(loc="outside lower center", ncols=len(OBJECTIVES))
    return figure
