"""Trajectory: validation, properties, and the way to disk and back."""

import dataclasses
import inspect
import sys

import numpy as np
import pytest

from dynamics.errors import ConfigError, DataError
from dynamics.support import archives
from dynamics.trajectories.outcome import Outcome
from dynamics.trajectories.solution import SolvedModes
from dynamics.trajectories.trajectory import FORMAT, Trajectory


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
        meta={"seed": 3, "learning_rate": 0.1, "versions": {"jax": "0.10"}},
        steps=np.arange(0, 25, 5),
        hidden={"stage/1.out": rng.uniform(size=(5, 4)), "readout": rng.uniform(size=(5, 2))},
        metrics={"rankme": np.array([1.0, np.nan, 2.0, 2.5, 3.0])},
        outcome=Outcome.interrupted(20),
        objective="vicreg",
        mode_step_times=np.array([0.5, 1.0, np.inf]),
        solution=SolvedModes(
            targets=np.array([1.0, 0.9, 0.0]),
            gamma=np.array([2.0, 1.0, 0.0]),
            correlation=np.array([0.9, 0.8, 0.0]),
            off_diagonal=0.2,
            source="Someone (2020)",
            quantity="$s_j$",
            loss_name="a loss",
        ),
        num_modes=3,
        truncation_bound=np.inf,
        test_points=2,
    )


def assert_same(ours, theirs, name=""):
    """Equal values of equal types, through mappings and records."""
    assert type(ours) is type(theirs), name
    if isinstance(ours, np.ndarray):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
        assert ours.dtype == theirs.dtype, name
    elif isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), name
        for key in ours:
            assert_same(ours[key], theirs[key], f"{name}.{key}")
    elif dataclasses.is_dataclass(ours):
        for field in dataclasses.fields(ours):
            assert_same(getattr(ours, field.name), getattr(theirs, field.name), field.name)
    else:
        assert ours == theirs, name


def test_everything_comes_back(trajectory, tmp_path):
    trajectory.save(tmp_path / "t.npz")
    default = Trajectory(trajectory.times, trajectory.eigenvalues, trajectory.loss)
    for field in dataclasses.fields(Trajectory)[3:]:  # a field that is left at its default here is not tested
        assert getattr(trajectory, field.name) is not getattr(default, field.name), f"give the test a {field.name}"
    assert_same(Trajectory.load(tmp_path / "t.npz"), trajectory)


def test_optional_fields_stay_absent(trajectory, tmp_path):
    Trajectory(trajectory.times, trajectory.eigenvalues, trajectory.loss).save(tmp_path / "t.npz")
    loaded = Trajectory.load(str(tmp_path / "t.npz"))
    assert_same(loaded, Trajectory(trajectory.times, trajectory.eigenvalues, trajectory.loss))


def test_a_partial_run_says_so_and_is_valid(trajectory, tmp_path):
    partial = dataclasses.replace(trajectory, outcome=Outcome.diverged(20))
    assert partial.partial
    partial.save(tmp_path / "t.npz")
    loaded = Trajectory.load(tmp_path / "t.npz")
    assert loaded.partial and loaded.outcome == Outcome("diverged", 20)
    assert loaded.outcome.describe() == "the loss stopped being finite at step 20"


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


@pytest.mark.parametrize("header", [{}, {"rung": "ode", "seed": 3}, {"format": FORMAT + 1}], ids=str)
def test_files_of_another_format_are_refused_in_one_sentence(tmp_path, header):
    """Version 0.1 wrote the rung and the seed into the header, and no number of a format."""
    arrays = {"times": np.arange(2.0), "eigenvalues": np.zeros((2, 1)), "loss": np.zeros(2)}
    archives.save_npz(tmp_path / "t.npz", arrays, header=header)
    with pytest.raises(DataError, match=rf"t\.npz: .*format {FORMAT}") as error:
        Trajectory.load(tmp_path / "t.npz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "damage", [{"outcome": {"kind": "bored"}}, {"outcome": None}, {"rung": 3}, {"solution": {}}], ids=str
)
def test_a_header_that_is_damaged_is_refused_as_data(tmp_path, trajectory, damage):
    trajectory.save(tmp_path / "t.npz")
    arrays, header = archives.load_npz(tmp_path / "t.npz", required=())
    archives.save_npz(tmp_path / "t.npz", arrays, header=header | damage)
    with pytest.raises(DataError, match=rf"t\.npz: .*\$\.{next(iter(damage))}|`{next(iter(damage))}"):
        Trajectory.load(tmp_path / "t.npz")


def test_arrays_that_make_no_trajectory_are_refused_as_data(tmp_path, trajectory):
    """A file with the right names and the wrong shapes is a foreign file, not a programming error."""
    trajectory.save(tmp_path / "t.npz")
    arrays, header = archives.load_npz(tmp_path / "t.npz", required=())
    archives.save_npz(tmp_path / "t.npz", arrays | {"loss": np.zeros(2)}, header=header)
    with pytest.raises(DataError, match=r"t\.npz: `loss` is float64 of shape \(2,\)"):
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


@pytest.mark.parametrize("modes", [0, 1, 3])
def test_a_solution_and_its_step_times_have_the_same_modes(modes):
    solution = SolvedModes(np.ones(2), np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match=f"{modes} modes, the solution 2"):
        Trajectory(np.arange(3.0), np.ones((3, 2)), np.zeros(3), mode_step_times=np.ones(modes), solution=solution)


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
        mode_step_times=np.array([0.5, np.inf]),
        outcome=Outcome.interrupted(40),
        objective="vicreg",
        meta={"seed": 3},
    )
    pytest.importorskip("xarray")
    data = trajectory.to_xarray()
    assert float(data.eigenvalues.sel(time=0.5, mode=2)) == trajectory.eigenvalues[1, 1]
    assert float(data.covariance.sel(mode=1).isel(time=2)) == trajectory.covariance[2, 0]
    assert data.swap_dims(time="step").loss.sel(step=40) == trajectory.loss[2]
    assert (data.embeddings.sel(snapshot=2.0) == trajectory.embeddings[1]).all()
    assert data.hidden_layer1.dims == ("time", "layer1_direction")
    assert (data.metric_rankme == trajectory.metrics["rankme"]).all()
    assert float(data.mode_step_times.sel(mode=1)) == 0.5
    assert data.attrs == {"seed": 3, "rung": "network", "objective": "vicreg", "outcome": "interrupted after step 40"}


def test_to_xarray_without_xarray(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    trajectory = Trajectory(np.zeros(1), np.zeros((1, 1)), np.zeros(1))
    with pytest.raises(ConfigError, match="needs xarray"):
        trajectory.to_xarray()
