"""A run that goes on hands on what it has recorded, and a forecast can be made from it."""

import errno
import os

import numpy as np
import pytest

from dynamics.cli.main import main
from dynamics.experiment import Config, prepare, train
from dynamics.experiment.fingerprint import require_same_run
from dynamics.experiment.forecasting import forecast_of
from dynamics.training.in_progress import InProgress
from dynamics.trajectories.trajectory import Trajectory


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr("dynamics.training.in_progress.EVERY_SECONDS", 0.0)
    monkeypatch.setattr("dynamics.training.in_progress.MOST_OF_THE_TIME", np.inf)


def test_what_is_handed_on_is_the_beginning_of_the_run(at_once):
    experiment, parts = prepare(Config(num_pairs=12, dim=2, network="mlp", width=16, depth=1, steps=12)), []
    whole = train(experiment, report_records=parts.append)
    assert [len(part.times) for part in parts] == list(range(1, len(whole.times) + 1))
    for part in parts:
        np.testing.assert_array_equal(part.eigenvalues, whole.eigenvalues[: len(part.times)])
        assert part.outcome.kind == "interrupted" and part.outcome.step == part.steps[-1]
        require_same_run(experiment, part)
    assert forecast_of(experiment).updated(parts[5]).known_until == parts[5].times[-1]
    assert not whole.partial


def test_a_command_writes_its_trajectory_as_it_goes_and_says_where_it_is(at_once, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("dynamics.cli.running.SAY_SECONDS", 0.0)
    found, write = [], Trajectory.save

    def save(self, path):
        write(self, path)
        found.append(Trajectory.load(path))

    monkeypatch.setattr(Trajectory, "save", save)
    small = ["--network", "mlp", "--width", "16", "--depth", "1", "--num-pairs", "12", "--dim", "2", "--steps", "12"]
    assert main(["train", *small, "--out", str(tmp_path)]) == 0
    assert len(found) > 3 and [part.partial for part in found] == [True] * (len(found) - 1) + [False]
    shown = capsys.readouterr().err
    assert "of 12, loss" in shown and "of 2 dimensions learned" in shown and "left" in shown


def test_a_disk_that_is_full_for_a_while_does_not_end_a_training(at_once, tmp_path, capsys, monkeypatch):
    failures, replace = iter([True, True]), os.replace

    def full(source, target):
        if str(target).endswith("network.npz") and next(failures, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    small = ["--network", "mlp", "--width", "16", "--depth", "1", "--num-pairs", "12", "--dim", "2", "--steps", "12"]
    assert main(["train", *small, "--out", str(tmp_path)]) == 0
    assert "could not be written" in capsys.readouterr().err
    assert not Trajectory.load(tmp_path / "trajectories" / "network.npz").partial


def test_nothing_is_handed_on_before_it_is_due():
    def never():
        raise AssertionError

    InProgress(None, every=0.0)(never)
    InProgress(never, every=1e6)(never)
