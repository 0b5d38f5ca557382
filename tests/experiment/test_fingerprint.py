"""A recorded run updates the forecast of its own settings alone."""

from dataclasses import replace

import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.experiment import Config, prepare, train
from dynamics.experiment.fingerprint import require_same_run
from dynamics.experiment.forecasting import forecast_of
from dynamics.trajectories.trajectory import Trajectory

SMALL = Config(num_pairs=12, dim=2, network="mlp", width=16, depth=1, steps=20)


@pytest.fixture(scope="module")
def recorded():
    return train(prepare(SMALL))


def test_the_same_settings_are_the_same_run(recorded, tmp_path):
    recorded.save(tmp_path / "run.npz")
    for changed in ({}, {"lr_fraction": 0.01}, {"steps": 7}):
        require_same_run(prepare(replace(SMALL, **changed)), Trajectory.load(tmp_path / "run.npz"))


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"seed": 1}, "other pairs and another network"),
        ({"width": 32}, "another network"),
        ({"init_scale": 1e-2}, "another network"),
        ({"augmentation": "none"}, "other pairs"),
        ({"center": False}, "another objective"),
        ({"dim": 3}, "the same `dim`"),
    ],
)
def test_another_run_is_refused_by_name(recorded, changed, word):
    other = prepare(replace(SMALL, **changed))
    with pytest.raises(ConfigError, match=word):
        require_same_run(other, recorded)
    if "dim" not in changed:  # a recorder that kept no hashes: the start tells
        with pytest.raises(ConfigError, match="another network or other pairs"):
            require_same_run(other, replace(recorded, fingerprint={}))


def test_the_start_tells_where_hashes_differ_in_the_last_digits(recorded):
    require_same_run(prepare(SMALL), replace(recorded, fingerprint={"network": "of another device"}))
    late = slice(5, None)
    nameless = Trajectory(recorded.times[late], recorded.eigenvalues[late], recorded.loss[late])
    require_same_run(prepare(replace(SMALL, seed=1)), nameless)  # nothing is known against it


def test_a_start_that_no_kernel_predicts_is_no_forecast():
    assert forecast_of(prepare(SMALL)).predicts
    convolutional = replace(SMALL, init="all", network="convnet", width=2)
    assert not forecast_of(prepare(convolutional)).predicts


def test_a_forecast_says_whether_its_modes_generalise(rng):
    import dynamics

    x = rng.normal(size=(40, 6))
    alike = dynamics.Pairs(x, x + 0.1 * rng.normal(size=x.shape))
    noise = dynamics.Pairs(x, rng.normal(size=x.shape))
    for pairs, expected in ((alike, True), (noise, False)):
        for network in (dynamics.MLP(depth=1, width=64), dynamics.linear()):
            ahead = dynamics.forecast(pairs, network, dim=2)
            assert ahead.generalises is expected and np.shape(ahead.agreement) == (2,)
