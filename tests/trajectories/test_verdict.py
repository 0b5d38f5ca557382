"""One verdict for every objective, and the command line and the report both give it."""

import numpy as np
import pytest

from dynamics.cli.tables import steps_line
from dynamics.report.page import _summary
from dynamics.runs.settings import RunSettings
from dynamics.runs.store import Run
from dynamics.trajectories.outcome import Outcome
from dynamics.trajectories.trajectory import Trajectory
from dynamics.trajectories.verdict import verdict_of

T = np.arange(101.0)
RISE = 1 / (1 + np.exp(30 - T))
BUMP = np.exp(-(((T - 40) / 10) ** 2))
SMALL = np.full(101, 1e-6)


def course(*modes, objective=None, **fields):
    return Trajectory(T, np.stack(modes, axis=1), np.ones(101), steps=T.astype(int), objective=objective, **fields)


CASES = {
    "nothing grows": (course(SMALL, SMALL), "not started", 0, 0),
    "a third of the way under the theory's loss": (course(RISE / 3, SMALL), "not started", 0, 0),
    "cosines end at 1/d": (course(RISE / 4, RISE / 4, objective="simclr"), "learned", 2, 0),
    "one of two": (course(RISE, SMALL), "learned", 1, 0),
    "a standard start": (course(np.full(101, 0.5), SMALL, objective="vicreg"), "learned", 0, 1),
    "what it had is lost": (course(BUMP, 0.9 * BUMP, objective="byol"), "collapsed", 0, 0),
    "the theory's loss, lost": (course(BUMP, SMALL), "collapsed", 0, 0),
    "collapsed from a standard start": (course(RISE[::-1], RISE[::-1], objective="byol"), "collapsed", 0, 0),
    "one is lost, one stays": (course(RISE, BUMP, objective="byol"), "learned", 1, 0),
    "diverged": (course(np.where(T > 90, np.nan, RISE), SMALL, outcome=Outcome.diverged(91)), "learned", 1, 0),
}


@pytest.mark.parametrize("case", CASES)
def test_verdict(case):
    trajectory, kind, learned, there = CASES[case]
    verdict = verdict_of(trajectory)
    assert (verdict.kind, verdict.learned, verdict.from_the_start, verdict.dim) == (kind, learned, there, 2)


@pytest.mark.parametrize("case", CASES)
def test_the_command_line_and_the_report_say_the_same(case, tmp_path):
    trajectory = CASES[case][0]
    run = Run(tmp_path, RunSettings(kind="recipe", command="train", config={}), None, {"network": trajectory})
    words = verdict_of(trajectory).describe()
    assert steps_line(trajectory).startswith(words)
    assert _summary(run, None).startswith(words)


def test_nothing_recorded():
    assert verdict_of(Trajectory(np.empty(0), np.empty((0, 3)), np.empty(0))).kind == "not started"
