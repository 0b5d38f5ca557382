"""What Python and notebooks show of the objects: one line, and a small drawing."""

from base64 import b64decode
from dataclasses import fields
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from dynamics.errors import ConfigError
from dynamics.experiment import prepare
from dynamics.experiment.config import Config
from dynamics.experiment.forecasting import Forecast
from dynamics.modes import contrastive_modes
from dynamics.training import small_network
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import Pairs

T = np.linspace(0, 5, 300)
TRAJECTORY = Trajectory(
    T,
    np.stack([np.tanh(T), np.tanh(T / 2)], axis=1),
    np.exp(-T),
    steps=np.arange(300),
    metrics={"rankme": np.linspace(1, 2, 300)},
    rung="network",
)


def test_one_line_says_what_it_is(rng):
    views = rng.normal(size=(40, 30))
    pairs, modes = Pairs(views[:20], views[20:], source="noise"), contrastive_modes(views @ views.T)
    partners = np.concatenate([views[20:], views[:20]])
    positive = int((np.linalg.eigvalsh(views.T @ partners) > 0).sum())
    shown = {
        repr(pairs): ("20", "(30,)", "noise"),
        repr(modes): ("30 modes of 20 pairs", f"{positive} positive", "γ = "),
    }
    shown[repr(TRAJECTORY)] = ("network", "300 records", "step 299", "d = 2", "finished")
    for line, words in shown.items():
        assert "\n" not in line and len(line) < 160
        assert all(word in line for word in words), line


def test_notebooks_show_a_curve_a_mode():
    drawing = ElementTree.fromstring(TRAJECTORY._repr_html_().replace("<br>", "<br/>"))
    lines = list(drawing.iter("polyline"))
    assert len(lines) == 2
    heights = [float(point.split(",")[1]) for point in lines[0].get("points").split()]
    assert heights == sorted(heights, reverse=True)  # the curve rises: y of an image points down
    broken = Trajectory(T[:3], np.full((3, 1), np.nan), np.ones(3))
    assert "nan" not in broken._repr_html_().lower().replace("nan=", "")
    assert Trajectory(np.empty(0), np.empty((0, 2)), np.empty(0))._repr_html_()


def test_notebooks_show_pairs_modes_and_forecasts(rng):
    x = rng.normal(size=(12, 6, 5, 1))
    pairs = Pairs(x, -x, source="<noise>")
    picture = pairs._repr_html_()
    assert "&lt;noise&gt;" in picture
    image = Image.open(BytesIO(b64decode(picture.partition("base64,")[2].partition('"')[0])))
    # two rows of ten images with a gap of a pixel after each, grey from the smallest value to the largest
    assert image.size == (10 * 6, 2 * 7)
    pixels = np.asarray(image)[:, :, 0].astype(float)
    low, high = min(x[:10].min(), -x[:10].max()), max(x[:10].max(), -x[:10].min())
    np.testing.assert_allclose(pixels[:6, 6:11], 255 * (x[1, :, :, 0] - low) / (high - low), atol=0.51)
    np.testing.assert_allclose(pixels[7:13, 6:11], 255 * (-x[1, :, :, 0] - low) / (high - low), atol=0.51)
    assert "<img" not in Pairs(x[:, :, 0, 0], x[:, :, 1, 0])._repr_html_()
    modes = contrastive_modes(pairs.stacked.reshape(24, -1) @ pairs.stacked.reshape(24, -1).T)
    forecast = Forecast(np.array([0.5, 0.1]), np.array([2.0, np.inf]), 0.01, 0.5)
    assert "half learned at steps 200, never" in repr(forecast)
    for shown in (modes, forecast):
        assert len(list(ElementTree.fromstring(shown._repr_html_().replace("<br>", "<br/>")).iter("polyline"))) >= 1


def test_everything_that_holds_arrays_is_shown_in_a_line_or_two():
    experiment = prepare(Config(num_pairs=12, dim=2, network="mlp", width=32, depth=1))
    held = [getattr(experiment, each.name) for each in fields(experiment)]
    held += [experiment, experiment.moving, experiment.moving.reduction, experiment.moving.network]
    for each in (each for each in held if not isinstance(each, np.ndarray)):
        assert len(repr(each)) < 450 and repr(each).count("\n") <= 1, repr(each)
        assert "array(" not in repr(each)
    assert "<svg" in experiment._repr_html_()


def test_a_tidy_table_has_every_record_and_mode():
    table = TRAJECTORY.to_pandas()
    assert list(table.columns) == ["time", "step", "mode", "eigenvalue", "loss", "rankme"]
    assert len(table) == 600
    second = table[table["mode"] == 2]
    np.testing.assert_array_equal(second["eigenvalue"], TRAJECTORY.eigenvalues[:, 1])
    np.testing.assert_array_equal(second["step"], TRAJECTORY.steps)


def test_a_missing_last_layer_is_answered_with_the_paths_that_there_are():
    params = {"first": {"kernel": np.ones((2, 2))}, "head": np.ones(2)}
    with pytest.raises(ConfigError, match=r"\['first'\]\['kernel'\], \['head'\]"):
        small_network(lambda p, x: x, params, "readout")
