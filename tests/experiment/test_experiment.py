import numpy as np
import pytest

from dynamics.errors import ConfigError, StabilityError
from dynamics.experiment import compare_run, forecast_trajectories, infinite_width_trajectory, prepare, train
from dynamics.experiment.config import Config
from dynamics.experiment.multiplier import LAZINESS

SMALL = {"network": "mlp", "width": 128, "depth": 1, "num_pairs": 24, "dim": 3, "init_scale": 1e-3}
SMALL["multiplier"] = "auto"


@pytest.fixture(scope="module")
def experiment():
    return prepare(Config(**SMALL))


def test_the_modes_are_those_of_the_networks_own_kernel_with_its_multiplier(experiment):
    """K̃ from the gradient of the trained network with respect to its readout, by autodiff, not from its features."""
    import jax

    views = experiment.pairs.stacked
    params = experiment.network.params
    jacobian = jax.jacobian(lambda p: experiment.network.apply(p, views)[:, 0])(params)
    J = np.asarray(jacobian["params"]["readout"]["kernel"], np.float64)[:, :, 0]
    J -= J.mean(axis=0)
    gamma = np.linalg.eigvals(np.roll(J @ J.T, 24, axis=0) / 48).real
    np.testing.assert_allclose(experiment.kernel.modes.eigenvalues[:5], np.sort(gamma)[::-1][:5], rtol=1e-4)


def test_the_automatic_multiplier_reaches_its_laziness(experiment):
    last = experiment.kernel.modes.eigenvalues[2]  # γ_d with the multiplier in it
    assert 1 / (last * 128) == pytest.approx(LAZINESS)


def test_a_given_multiplier_and_learning_rate_are_taken_as_they_are():
    experiment = prepare(Config(**SMALL | {"multiplier": 3.0}, learning_rate=1e-3, steps=17))
    assert (experiment.multiplier, experiment.schedule.learning_rate, experiment.schedule.steps) == (3.0, 1e-3, 17)
    assert experiment.schedule.times[-1] == pytest.approx(0.017)


def test_all_rungs_share_one_time_axis(experiment):
    rungs = {**forecast_trajectories(experiment), "infinite_width": infinite_width_trajectory(experiment)}
    for trajectory in rungs.values():
        np.testing.assert_array_equal(trajectory.times, experiment.schedule.times)


def test_less_laziness_means_a_worse_forecast():
    """Feature learning shows as the multiplier goes down: 1/(c² N γ_d), which measures it, grows 1600-fold."""
    errors = []
    for multiplier in (20.0, 0.5):
        experiment = prepare(Config(**SMALL | {"width": 24, "multiplier": multiplier}))
        errors.append(compare_run(experiment, train(experiment), forecast_trajectories(experiment)).median_error("ode"))
    assert errors[0] < errors[1]


def test_gradient_descent_is_unstable_above_the_limit_that_is_reported():
    just_below = prepare(Config(**SMALL, lr_fraction=0.9, steps=300))
    assert train(just_below).loss[-1] < 1e-3
    with pytest.raises(StabilityError, match=r"1/\(4 γ_1\)"):
        prepare(Config(**SMALL, lr_fraction=1.01))


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"num_pairs": -1}, {"multiplier": 0.0}, {"lr_fraction": float("nan")}])
def test_settings_out_of_range(wrong):
    with pytest.raises(ConfigError):
        Config(**wrong)


def test_many_views_get_their_leading_modes(monkeypatch):
    settings = SMALL | {"num_pairs": 180, "kernel": "infinite", "multiplier": 1.0, "steps": 10}
    every = prepare(Config(**settings)).kernel.modes
    monkeypatch.setattr("dynamics.experiment.driving_kernel.ALL_MODES_VIEWS", 0)
    leading = prepare(Config(**settings)).kernel.modes
    assert len(every) > len(leading) == 64
    np.testing.assert_allclose(leading.eigenvalues, every.eigenvalues[:64], rtol=1e-8)
    np.testing.assert_allclose(leading.on_views[:, :3], every.on_views[:, :3], atol=1e-5)
