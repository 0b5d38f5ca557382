"""The bilinear rung of an experiment against the network that it is of."""

from dataclasses import replace

import numpy as np
import pytest

from dynamics.errors import ConfigError, DivergenceError
from dynamics.experiment import Config, compare_run, forecast_trajectories, prepare, rungs, train
from dynamics.experiment.bilinear import (
    bilinear_reduction,
    bilinear_trajectory,
    readout_network,
    relinearised_trajectory,
)
from dynamics.experiment.forecasting import best_moving, forecast_of
from dynamics.experiment.moving_kernel import shortened
from dynamics.experiment.schedule import FEWEST_STEPS, Schedule
from dynamics.flow import exact_bilinear_descent
from dynamics.trajectories import Trajectory, step_times

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
    measured = train(experiment)
    # the run ends with what moves, and the frozen kernel goes on for as long as it needs
    for name, forecast in forecasts.items():
        plan = experiment.schedule if name in ("bilinear", "relinearised") else experiment.frozen_schedule
        assert forecast.times[-1] == plan.times[-1]
    assert measured.steps[-1] == experiment.schedule.steps < experiment.frozen_schedule.steps
    assert np.isfinite(step_times(measured)).all()
    comparison = compare_run(experiment, measured, forecasts)
    frozen = comparison.median_error("linearised")
    # a network this narrow moves its kernel by a large share; both then have a share of that error at most
    assert comparison.median_error("bilinear") < frozen / 4
    assert comparison.median_error("relinearised") < frozen / 4


def test_dear_forecasts_and_doubles_can_be_left_out(experiment, monkeypatch):
    monkeypatch.setattr(rungs, "relinearised_trajectory", None)
    forecasts = forecast_trajectories(experiment, complete=False)
    assert set(forecasts) == {"closed_form", "linearised", "bilinear"}
    ahead = forecast_of(experiment, best_moving(forecasts))
    np.testing.assert_allclose(ahead.step_times, step_times(forecasts["bilinear"]))
    assert ahead.model == "bilinear"


@pytest.mark.parametrize("name", ["bilinear", "relinearised"])
def test_a_forecast_that_diverges_leaves_the_others(name, monkeypatch, capsys):
    def diverges(*arguments):
        raise DivergenceError("it grew without bound.")

    monkeypatch.setattr(rungs, f"{name}_trajectory", diverges)
    experiment = prepare(Config(num_pairs=8, dim=2, network="mlp", width=8, depth=1, steps=12))
    forecasts = forecast_trajectories(experiment)
    assert {"bilinear", "relinearised"} - set(forecasts) == {name} and "ode" in forecasts
    assert "forecast is left out: it grew without bound." in capsys.readouterr().err


def test_steps_that_are_given_are_kept_and_nothing_is_foreseen():
    given = prepare(Config(steps=12, **SETTINGS))
    assert given.kernel_moves and given.schedule.steps == 12 and "moving" not in vars(given)


@pytest.mark.parametrize(
    ("last", "steps"),
    [
        (20.0, 240),  # 1.2 × 20 / 0.1
        (0.0, FEWEST_STEPS),  # everything was there from the start
        (45.0, 500),  # 540 would be more than the frozen kernel needs
        (None, 500),  # not reached
    ],
)
def test_a_run_ends_a_fifth_after_its_last_foreseen_step(last, steps):
    frozen = Schedule(stability_limit=1.0, learning_rate=0.1, steps=500)
    times = np.linspace(0.0, 50.0, 1001)
    ends = [min(last, 5.0) if last is not None else 5.0, 100.0 if last is None else last]
    u = np.stack([times >= end for end in ends], axis=1).astype(float)
    foreseen = Trajectory(times=times, eigenvalues=u, loss=np.zeros(len(times)), rung="bilinear")
    assert abs(shortened(frozen, foreseen).steps - steps) <= 1  # records are 0.05 apart


def test_a_start_without_features_is_refused(experiment):
    with pytest.raises(ConfigError, match="features are there before training"):
        readout_network(replace(experiment, config=replace(experiment.config, init="all")))


def test_a_centred_network_has_a_bilinear_model():
    experiment = prepare(Config(init="centred", steps=20, **SETTINGS))
    network = readout_network(experiment)
    F = network.initial_embeddings
    # α is a difference of functions of order one in float32, 1e-4 of it with this scale
    np.testing.assert_allclose(F - F.mean(axis=0), experiment.initial_embeddings, atol=2e-3 * np.abs(F).max())
    # from other weights the constant part stays what it was
    moved = network.moved(0.1 * np.ones(network.num_weights), network.readout)
    np.testing.assert_allclose(
        moved.initial_embeddings - F, network.scale * (moved.hidden - network.hidden) @ network.readout, atol=1e-12
    )
    # while the weights have hardly moved it takes the steps of the network
    plan = experiment.schedule
    descent = exact_bilinear_descent(network, plan.learning_rate, plan.record_at, center=True)
    measured = train(experiment)
    assert measured.eigenvalues[-1, 0] > 2 * measured.eigenvalues[0, 0]
    np.testing.assert_allclose(descent.eigenvalues[-1], measured.eigenvalues[-1], rtol=0.02)
