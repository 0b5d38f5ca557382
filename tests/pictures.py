"""Whether a file that should hold a figure does: its content is read, since its size says nothing about it."""

import numpy as np
from matplotlib import pyplot as plt


def assert_shows_something(path):
    """The image has paper and ink, or the PDF is whole.

    A figure without axes is white all over, and one that was cut off while it was written has no end.
    """
    if path.suffix == ".pdf":
        content = path.read_bytes()
        assert content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF"), path
        return
    brightness = plt.imread(path)[..., :3].mean(axis=-1)
    assert np.median(brightness) > 0.9 and brightness.min() < 0.5, path


def legends_over_panels(figure):
    """Of every legend of a figure, whether it covers a part of a panel."""
    figure.canvas.draw()
    panels = [ax.patch.get_window_extent() for ax in figure.axes]
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend() is not None)]
    for box in (legend.get_window_extent() for legend in legends):
        yield any(
            min(box.x1, panel.x1) - max(box.x0, panel.x0) > 1 and min(box.y1, panel.y1) - max(box.y0, panel.y0) > 1
            for panel in panels
        )
