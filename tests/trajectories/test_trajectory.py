"""Trajectory: validation, properties, and the way to disk and back."""

import inspect
import sys

import numpy as np
import pytest

from dynamics.errors import ConfigError, DataError
from dynamics.trajectories.trajectory import Trajectory

FIELDS = ("times", "eigenvalues", "loss", "covariance", "embeddings", "embedding_times", "steps")


@pytest.fixture
def trajectory(rng):
    return Trajectory(
        times=np.linspace(0, 2, 5),
        eigenvalues=rng.uniform(size=(5, 3)),
        loss=rng.uniform(size=5),
        covariance=rng.uniform(size=(5, 3)),
        embeddings=rng.normal(size=(2, 8, 3)),
        embedding_times=np.array([0.0, 2.0]),
        rung="network",
        meta={"seed": 3, "learning_rate": 0.1, "versions": {"jax": "0.10"}, "partial": None},
        steps=np.arange(0, 25, 5),
        hidden={"stage/1.out": rng.uniform(size=(5, 4)), "readout": rng.uniform(size=(5, 2))},
        metrics={"rankme": np.array([1.0, np.nan, 2.0, 2.5, 3.0])},
    )


def test_everything_comes_back(trajectory, tmp_path):
    trajectory.save(tmp_path / "t.npz")
    loaded = Trajectory.load(tmp_path / "t.npz")
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(trajectory, name), err_msg=name)
        assert getattr(loaded, name).dtype == getattr(trajectory, name).dtype
    for kind in ("hidden", "metrics"):
        assert getattr(loaded, kind).keys() == getattr(trajectory, kind).keys()
        for name, array in getattr(trajectory, kind).items():
            np.testing.assert_array_equal(getattr(loaded, kind)[name], array, err_msg=name)
    assert loaded.meta == trajectory.meta
    assert (loaded.rung, loaded.dim, loaded.partial) == ("network", 3, False)


def test_optional_fields_stay_absent(trajectory, tmp_path):
    Trajectory(trajectory.times, trajectory.eigenvalues, trajectory.loss).save(tmp_path / "t.npz")
    loaded = Trajectory.load(str(tmp_path / "t.npz"))
    assert loaded.covariance is loaded.embeddings is loaded.embedding_times is loaded.steps is None
    assert loaded.meta == loaded.hidden == loaded.metrics == {} and loaded.rung == "trajectory"


def test_a_partial_run_says_so_and_is_valid(trajectory, tmp_path):
    partial = Trajectory(trajectory.times, trajectory.eigenvalues, trajectory.loss, meta={"partial": "interrupted"})
    assert partial.partial
    partial.save(tmp_path / "t.npz")
    assert Trajectory.load(tmp_path / "t.npz").partial
    assert Trajectory.load(tmp_path / "t.npz").meta["partial"] == "interrupted"


def test_a_diverged_run_keeps_its_infinities(tmp_path):
    Trajectory(np.arange(2.0), np.array([[1.0], [np.nan]]), np.array([1.0, np.inf])).save(tmp_path / "t.npz")
    assert np.isinf(Trajectory.load(tmp_path / "t.npz").loss[1])


def test_missing_damaged_and_foreign_files(trajectory, tmp_path):
    path = tmp_path / "t.npz"
    with pytest.raises(DataError, match="no such file"):
        Trajectory.load(path)
    trajectory.save(path)
    truncated = path.read_bytes()[:-40]
    path.write_bytes(truncated)
    with pytest.raises(DataError, match="cannot be read"):
        Trajectory.load(path)
    assert path.read_bytes() == truncated
    np.savez(path, x=np.ones(3), x_prime=np.ones(3))
    with pytest.raises(DataError, match="lacks"):
        Trajectory.load(path)


def test_arrays_that_make_no_trajectory_are_refused_as_data(tmp_path):
    """A file with the right names and the wrong shapes is a foreign file, not a programming error."""
    np.savez(tmp_path / "t.npz", times=np.zeros(3), eigenvalues=np.zeros((2, 1)), loss=np.zeros(2))
    with pytest.raises(DataError, match=r"t\.npz"):
        Trajectory.load(tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("times", "eigenvalues", "loss"),
    [((3,), (2, 1), (2,)), ((2,), (2, 1), (3,)), ((2,), (3, 2), (2,))],
    ids=["times", "loss", "eigenvalues"],
)
def test_lengths_must_agree(times, eigenvalues, loss):
    make = inspect.unwrap(Trajectory.__init__)  # in the tests the shape annotations would speak first
    with pytest.raises(ValueError, match="first axis"):
        make(object.__new__(Trajectory), np.arange(times[0], dtype=float), np.zeros(eigenvalues), np.zeros(loss))


def test_named_records_have_the_length_of_the_others(trajectory):
    make = inspect.unwrap(Trajectory.__init__)
    with pytest.raises(ValueError, match="rankme"):
        make(
            object.__new__(Trajectory),
            trajectory.times,
            trajectory.eigenvalues,
            trajectory.loss,
            metrics={"rankme": np.zeros(4)},
        )


@pytest.mark.parametrize("times", [[0.0, 2.0, 1.0], [0.0, 1.0, 1.0]])
def test_times_must_ascend(times):
    with pytest.raises(ValueError, match="ascend"):
        Trajectory(np.array(times), np.zeros((3, 1)), np.zeros(3))


def test_to_xarray_labels_what_is_there(rng):
    times = np.array([0.0, 0.5, 2.0])
    trajectory = Trajectory(
        times=times,
        eigenvalues=rng.normal(size=(3, 2)),
        loss=rng.normal(size=3),
        covariance=rng.normal(size=(3, 2)),
        embeddings=rng.normal(size=(2, 8, 4)),
        embedding_times=times[[0, 2]],
        steps=np.array([0, 10, 40]),
        hidden={"layer1": rng.normal(size=(3, 5))},
        metrics={"rankme": rng.normal(size=3)},
        rung="network",
        meta={"seed": 3},
    )
    pytest.importorskip("xarray")
    data = trajectory.to_xarray()
    assert float(data.eigenvalues.sel(time=0.5, mode=2)) == trajectory.eigenvalues[1, 1]
    assert float(data.covariance.sel(mode=1).isel(time=2)) == trajectory.covariance[2, 0]
    assert data.swap_dims(time="step").loss.sel(step=40) == trajectory.loss[2]
    assert (data.embeddings.sel(snapshot=2.0) == trajectory.embeddings[1]).all()
    assert data.hidden_layer1.dims == ("time", "layer1_direction")
    assert (data.metric_rankme == trajectory.metrics["rankme"]).all() and data.attrs["seed"] == 3


def test_to_xarray_without_xarray(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    trajectory = Trajectory(np.zeros(1), np.zeros((1, 1)), np.zeros(1))
    with pytest.raises(ConfigError, match="needs xarray"):
        trajectory.to_xarray()
