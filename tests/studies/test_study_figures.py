"""Legends of the figures of studies lie beside their panels, whatever the numbers."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from pictures import legends_over_panels

from dynamics.studies.homomorphic.figures import filter_figure
from dynamics.studies.homomorphic.identity import Filter
from dynamics.studies.simve.figures import noise_figure, thresholds_figure


def thresholds():
    times = np.geomspace(0.01, 100, 30)
    variances = np.stack([times / (1 + times), times / (5 + times)], axis=1)
    return thresholds_figure({0.01: 1.1, 0.1: 1.2}, times, variances, "style, variance 1.4")


def noise():
    scores = {value: {"class linear": np.array([value, 0.5])} for value in (0.01, 0.1, 1.0)}
    measures = {value: found | {"style position": np.ones(2)} for value, found in scores.items()}
    return noise_figure({"simvae": measures, "vae": measures}, ["class linear", "style position"], {})


def fibers():
    laws = {name: np.cos(np.arange(4)) for name in ("distance 1", "distance 2", "window 1", "Haar")}
    ends = np.geomspace(0.01, 1, 5)
    return filter_figure(Filter(laws, laws, dict.fromkeys(laws, 0.0)), ends, ends, "cycle of 6")


@pytest.mark.parametrize("draw", [thresholds, noise, fibers], ids=lambda draw: draw.__name__)
def test_no_legend_lies_over_a_panel(draw):
    figure = draw()
    found = list(legends_over_panels(figure))
    plt.close(figure)
    assert found and not any(found)


def test_a_legend_over_a_panel_is_seen():
    figure, ax = plt.subplots()
    ax.plot([0, 1], [0, 1], label="a line")
    ax.legend(loc="center")
    assert list(legends_over_panels(figure)) == [True]
    plt.close(figure)
