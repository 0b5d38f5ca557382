"""Labels read from forecasts and from the network: kernel regression by hand, and the trained network itself."""

from dataclasses import replace

import numpy as np
import pytest

from dynamics.errors import ConfigError, DataError
from dynamics.experiment import Config, forecast_trajectories, prepare, train
from dynamics.experiment.labels import LabelReader
from dynamics.trajectories.label_scores import ACCURACY, at_plateaus
from dynamics.views import Pairs

SETTINGS = {"num_pairs": 24, "dim": 2, "network": "mlp", "width": 32, "depth": 1, "lr_fraction": 0.3}
SETTINGS["multiplier"] = "auto"


@pytest.fixture(scope="module")
def experiment():
    """Digits with few held-out pairs, and real targets beside their classes."""
    prepared = prepare(Config(**SETTINGS, labels=True))
    return replace(prepared, held_out=prepared.held_out.rows(slice(40)))


def test_held_out_functions_are_those_of_kernel_regression(experiment):
    """What the training views learned, carried to others by k(x, X̃) K̃⁺, with features computed by hand."""
    reader = LabelReader(experiment)
    h, h_test = (experiment.random.features(x) for x in (experiment.pairs.stacked, reader.test_views))
    h, h_test = h - h.mean(0), h_test - h.mean(0)
    forecast = forecast_trajectories(experiment)["ode"]
    functions = experiment.kernel.functions(reader.test_views)
    F = experiment.kernel.modes.on_views[:, :2]
    np.testing.assert_allclose(functions[:, :2], h_test @ np.linalg.pinv(h) @ F, rtol=1e-5, atol=1e-6)
    assert set(ACCURACY) <= set(forecast.metrics)


def test_the_lazy_network_reads_labels_as_forecast(experiment):
    """Both probe 80 views: one view more or less is 1.25 points, and a lazy network is allowed two of them."""
    forecast, measured = forecast_trajectories(experiment)["ode"], train(experiment)
    for name in ACCURACY:
        np.testing.assert_allclose(at_plateaus(measured, name), at_plateaus(forecast, name), atol=0.03)
    evaluated = np.isfinite(measured.metrics["knn_accuracy"])
    assert measured.steps[evaluated].tolist() == experiment.schedule.record_at[LabelReader(experiment).records].tolist()


@pytest.mark.slow
def test_a_kernel_that_moves_is_read_in_the_bilinear_model():
    """At multiplier 1 the features move, and what the reduced model says of held-out views is what the network does."""
    experiment = prepare(Config(**SETTINGS | {"multiplier": 1.0}, labels=True))
    experiment = replace(experiment, held_out=experiment.held_out.rows(slice(40)))
    assert experiment.kernel_moves
    forecast, measured = forecast_trajectories(experiment)["bilinear"], train(experiment)
    for name in ACCURACY[:2]:  # of 80 views, two may be on the other side of a boundary
        np.testing.assert_allclose(at_plateaus(forecast, name), at_plateaus(measured, name), atol=0.03)


def test_labels_in_memory_need_held_out_pairs_with_labels(rng):
    x = rng.normal(size=(12, 5)).astype("float32")
    labels = np.arange(12) % 3
    pairs, rest = Pairs(x, x + 0.1, labels=labels), Pairs(x + 1, x + 1.1, labels=labels)
    config = Config(dim=2, network="mlp", width=16, depth=1, labels=True)
    with pytest.raises(ConfigError, match="held_out"):
        prepare(config, pairs=pairs)
    with pytest.raises(DataError, match="no labels"):
        prepare(config, pairs=Pairs(x, x + 0.1), held_out=rest)
    with pytest.raises(DataError, match="shape"):
        prepare(config, pairs=pairs, held_out=Pairs(x[:, :4], x[:, :4] + 0.1, labels=labels))
    assert prepare(config, pairs=pairs, held_out=rest).held_out is rest


def test_settings_that_have_no_labels_are_refused(experiment):
    with pytest.raises(ConfigError, match="without labels"):
        Config(network="group-convnet", pairs="group", labels=True)
    with pytest.raises(DataError, match="synthetic"):
        prepare(Config(dataset="synthetic", dim=2, network="mlp", labels=True))
    with pytest.raises(ConfigError, match="held-out"):
        LabelReader(replace(experiment, held_out=None))
