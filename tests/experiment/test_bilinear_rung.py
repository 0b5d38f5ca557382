"""The bilinear rung of an experiment against the network that it is of."""

import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.experiment import Config, compare_run, forecast_trajectories, prepare, train
from dynamics.experiment.bilinear import (
    bilinear_reduction,
    bilinear_trajectory,
    readout_network,
    relinearised_trajectory,
)

SETTINGS = {"num_pairs": 16, "dim": 3, "network": "mlp", "width": 24, "depth": 1, "init_scale": 1e-3}


@pytest.fixture(scope="module")
def experiment():
    return prepare(Config(multiplier=1.0, **SETTINGS))


def test_features_and_readout_are_the_network(experiment):
    network = readout_network(experiment)
    F = network.initial_embeddings
    # the network is in float32
    np.testing.assert_allclose(F - F.mean(axis=0), experiment.initial_embeddings, atol=1e-5 * np.abs(F).max())
    assert network.num_weights == experiment.random.params["params"]["body"]["layer1"]["kernel"].size
    more = readout_network(experiment, test_views=experiment.pairs.x[:2])
    np.testing.assert_allclose(more.initial_embeddings[-2:], F[:2], atol=1e-5 * np.abs(F).max())


def test_the_bilinear_model_misses_less_than_a_frozen_kernel(experiment):
    reduction = bilinear_reduction(experiment)
    forecasts = forecast_trajectories(experiment) | {
        "bilinear": bilinear_trajectory(experiment, reduction),
        "relinearised": relinearised_trajectory(experiment, reduction, segments=3),
    }
    comparison = compare_run(experiment, train(experiment), forecasts)
    frozen = comparison.median_error("linearised")
    # a network this narrow moves its kernel by a large share; both then have a share of that error at most
    assert comparison.median_error("bilinear") < frozen / 4
    assert comparison.median_error("relinearised") < frozen / 4


def test_other_starts_are_refused():
    with pytest.raises(ConfigError, match="small readout"):
        readout_network(prepare(Config(init="centred", **SETTINGS)))
