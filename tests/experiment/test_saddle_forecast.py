"""A start with all weights small, from the forecast to the comparison with the trained network."""

from dataclasses import replace

import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.experiment import Config, compare_run, forecast_trajectories, prepare, train
from dynamics.experiment.forecasting import forecast_of
from dynamics.trajectories import step_times

SETTINGS = Config(num_pairs=8, dim=2, network="mlp", width=12, depth=1, init="all", init_scale=0.1)


@pytest.fixture(scope="module")
def experiment():
    return prepare(SETTINGS)


def test_the_forecast_is_that_of_the_trained_network(experiment):
    measured = train(experiment)
    assert np.isfinite(step_times(measured)).all()
    # the run ends a fifth after the last foreseen step
    assert measured.times[-1] == pytest.approx(1.2 * step_times(measured)[-1], rel=0.05)
    comparison = compare_run(experiment, measured, forecast_trajectories(experiment))
    assert comparison.step_time_ratio["saddle_to_saddle"] == pytest.approx([1, 1], abs=0.03)
    assert comparison.closest_forecast == "saddle_to_saddle"


def test_the_step_times_are_those_of_the_path(experiment):
    ahead = forecast_of(experiment)
    assert ahead.predicts and ahead.algebraic and ahead.model == "saddle to saddle" and not ahead.blurred
    np.testing.assert_allclose(ahead.step_times, step_times(experiment.saddles.trajectory))
    # what a run has made replaces what was foreseen, and a rate of growth says nothing
    so_far = replace(
        experiment.saddles.trajectory,
        **{name: getattr(experiment.saddles.trajectory, name)[:3] for name in ("times", "eigenvalues", "loss")},
        covariance=None,
    )
    np.testing.assert_allclose(ahead.updated(so_far).step_times, ahead.step_times)


def test_a_run_of_too_many_steps_is_forecast_and_not_made(experiment):
    slow = replace(experiment, frozen_schedule=replace(experiment.frozen_schedule, learning_rate=1e-9))
    assert slow.schedule.steps > 10**9 and np.isfinite(forecast_of(slow).steps).all()
    with pytest.raises(ConfigError, match="init_scale"):
        train(slow)
