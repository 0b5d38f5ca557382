"""Figures in the width that they are printed in: a column or a page of a paper, or so many inches."""

import math
import textwrap
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynamics.drawing.axes import legend_above

Width = float | Literal["column", "page"]

WIDTHS = {"column": 3.4, "page": 7.0}
"""Inches of one column, and of both, in a paper with two."""

_PANEL = 3.2  # inches that a panel needs at least
_CHARACTERS = 16  # of a title, an inch


def fit_width(figure: Figure, width: Width) -> Figure:
    """Give a figure its width in inches; text stays as large as it is, and panels move below each other.

    Parameters
    ----------
    figure : Figure
        A figure whose panels stand in one row.
    width : float, "column" or "page"
        Width in inches, or that of a column (3.4) or of a page (7).
    """
    inches = WIDTHS[width] if isinstance(width, str) else float(width)
    places = list(dict.fromkeys(ax.get_subplotspec() for ax in figure.axes))
    columns = max(1, min(len(places), int(inches / _PANEL)))
    rows = math.ceil(len(places) / columns)
    grid = figure.add_gridspec(rows, columns)
    for ax in figure.axes:
        row, column = divmod(places.index(ax.get_subplotspec()), columns)
        ax.set_subplotspec(grid[row, column])
        _legend_in_reach(ax)
    height = min(3.0, 0.7 * inches / columns + 0.7)
    title = figure.get_suptitle().splitlines()
    lines = [line for text in title for line in textwrap.wrap(text, int(_CHARACTERS * inches))]
    figure.set_size_inches(inches, rows * height + 0.15 * len(lines))
    if lines:
        figure.suptitle("\n".join(lines), fontsize=8, color="0.35")
    return figure


def _legend_in_reach(ax: Axes) -> None:
    """Put the legend above its panel, where it takes no width from it."""
    legend = ax.get_legend()
    if legend is not None:
        labels = [text.get_text() for text in legend.get_texts()]
        title = legend.get_title().get_text() or None
        columns = 2 if max(map(len, labels)) < 22 else 1
        legend_above(
            ax, columns, handles=legend.legend_handles, labels=labels, title=title, fontsize=6, title_fontsize=6
        )
