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
