"""A run folder whose files are whole but not of one run is refused, by file and field."""

import json

import numpy as np
import pytest

from dynamics.errors import DataError
from dynamics.experiment.config import Config
from dynamics.modes import ContrastiveModes, contrastive_modes
from dynamics.runs.consistency import fingerprint
from dynamics.runs.settings import RunSettings, write_settings
from dynamics.runs.store import read_run, write_comparison, write_modes, write_trajectories
from dynamics.trajectories.comparison import compare
from dynamics.trajectories.outcome import Outcome
from dynamics.trajectories.trajectory import Trajectory


def some_modes(seed, pairs=5):
    views = np.random.default_rng(seed).normal(size=(2 * pairs, 30))
    return contrastive_modes(views @ views.T)


def course(rung, dim=2, end=4.0, **more):
    t = np.linspace(0, end, 9)
    u = 1 / (1 + np.exp(2 - 3 * t))
    return Trajectory(t, np.stack([u / (j + 1) for j in range(dim)], axis=1), 1 - u, rung=rung, **more)


@pytest.fixture
def folder(tmp_path):
    modes = some_modes(0)
    settings = RunSettings(
        kind="experiment",
        command="compare",
        config=Config(dim=2).to_dict(),
        resolved={"num_pairs": 5},
        modes=fingerprint(modes),
    )
    write_settings(tmp_path, settings)
    write_modes(tmp_path, modes)
    write_trajectories(tmp_path, {name: course(name) for name in ("ode", "network")})
    write_comparison(tmp_path, compare(course("network"), {"ode": course("ode")}, modes))
    return tmp_path


def test_the_files_of_one_run_are_read(folder):
    run = read_run(folder)
    assert run.comparison.measured == run.measured.rung == "network" and run.modes.num_pairs == 5


CHANGES = {
    "modes of another run": (lambda f: write_modes(f, some_modes(1)), "modes.npz"),
    "modes of other pairs": (lambda f: write_modes(f, some_modes(0, pairs=6)), "modes.npz.*num_pairs"),
    "a trajectory of other dimensions": (lambda f: write_trajectories(f, {"ode": course("ode", 3)}), "ode.npz.*dim"),
    "a run of other length": (lambda f: write_trajectories(f, {"network": course("network", end=5.0)}), "times"),
    "a trajectory of NaN": (
        lambda f: write_trajectories(f, {"ode": Trajectory(np.arange(2.0), np.full((2, 2), np.nan), np.ones(2))}),
        r"ode\.npz.*`eigenvalues` are NaN",
    ),
    "no measured run": (lambda f: (f / "trajectories" / "network.npz").unlink(), "step_times.*network"),
    "an odd name": (lambda f: write_trajectories(f, {"$\\frac{$": course("ode")}), "no name of one"),
    "another setting": (lambda f: edit(f / "config.json", lambda c: c["config"].update(dim=7)), "`dim` in config.json"),
    "another comparison": (
        lambda f: edit(f / "comparison.json", lambda c: c.update(eigenvalues_gamma=[0.5, 0.25])),
        "comparison.json.*eigenvalues_gamma",
    ),
    "a comparison of other dimensions": (
        lambda f: edit(f / "comparison.json", lambda c: c["step_times"].update(ode=[1.0])),
        "comparison.json.*`step_times` of ode",
    ),
}


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("kind", CHANGES)
def test_a_file_of_another_run_is_refused(kind, folder):
    change, says = CHANGES[kind]
    change(folder)
    with pytest.raises(DataError, match=says) as refused:
        read_run(folder)
    assert "\n" not in str(refused.value)


def test_a_run_that_diverged_is_read_with_its_infinities(folder):
    u = course("network").eigenvalues.copy()
    u[-1] = np.inf
    (folder / "comparison.json").unlink()
    diverged = Trajectory(np.arange(9.0), u, np.ones(9), rung="network", outcome=Outcome.diverged(8))
    write_trajectories(folder, {"network": diverged})
    assert np.isinf(read_run(folder).measured.eigenvalues[-1]).all()


DAMAGE = {
    "NaN": lambda a: a * np.nan,
    "text": lambda a: a.astype(str),
    "deeper": lambda a: a[..., None],
    "shorter": lambda a: a[:-1],
}


@pytest.mark.parametrize("field", ["eigenvalues", "duals", "on_views", "offset"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_modes_that_are_none_are_refused_by_name(field, damage, tmp_path):
    modes = some_modes(0)
    arrays = {name: getattr(modes, name) for name in ("eigenvalues", "duals", "on_views", "offset")}
    np.savez(tmp_path / "modes.npz", **arrays | {field: DAMAGE[damage](arrays[field])})
    with pytest.raises(DataError, match=r"modes\.npz: `"):
        ContrastiveModes.load(tmp_path / "modes.npz")
