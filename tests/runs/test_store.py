"""A run folder: one form of its settings for all rungs, refused with one sentence where it is not what it should be."""

import json

import numpy as np
import pytest

from dynamics.errors import ConfigError, DataError
from dynamics.experiment.config import Config
from dynamics.recipe.config import Recipe
from dynamics.runs.interface import settings_of
from dynamics.runs.resume import claim, found, numbered_folder
from dynamics.runs.settings import RunSettings, read_settings
from dynamics.runs.store import read_run, write_comparison, write_trajectories
from dynamics.trajectories.comparison import Comparison, KernelOverlaps, PlateauOverlap
from dynamics.trajectories.outcome import Outcome
from dynamics.trajectories.trajectory import Trajectory

CONFIGS = {"experiment": Config(seed=3), "recipe": Recipe(seed=3)}


def begin(folder, settings, **how):
    """What a command does: look, prepare, claim."""
    state = found(folder, settings, **how)
    claim(folder, settings, force=how.get("force", False))
    return state


def trajectory(rung, **fields):
    t = np.linspace(0, 1, 4)
    return Trajectory(t, np.stack([t, t / 2], axis=1), 1 - t, rung=rung, **fields)


@pytest.mark.parametrize("kind", CONFIGS)
def test_settings_of_every_kind_come_back(kind, tmp_path):
    settings = settings_of(kind, "train", CONFIGS[kind])
    assert begin(tmp_path / "run", settings) == "new"
    saved = read_settings(tmp_path / "run")
    assert (saved.kind, saved.command) == (kind, "train")
    assert saved.config == json.loads(json.dumps(CONFIGS[kind].to_dict()))
    assert begin(tmp_path / "run", settings) == "new"  # nothing was trained yet


@pytest.mark.parametrize(
    ("mine", "theirs", "complaint"),
    [
        (("experiment", Config(seed=1)), ("experiment", Config(seed=2)), "seed = 2, not 1"),
        (("recipe", Recipe(steps=10)), ("recipe", Recipe(steps=20)), "steps = 20, not 10"),
        (("experiment", Config()), ("recipe", Recipe()), "another kind"),
    ],
)
def test_another_run_is_not_overwritten(mine, theirs, complaint, tmp_path):
    begin(tmp_path, settings_of(theirs[0], "train", theirs[1]))
    write_trajectories(tmp_path, {"network": trajectory("network")})
    wanted = settings_of(mine[0], "train", mine[1])
    with pytest.raises(ConfigError, match=complaint):
        begin(tmp_path, wanted)
    assert read_settings(tmp_path).kind == theirs[0] and (tmp_path / "trajectories" / "network.npz").is_file()
    assert begin(tmp_path, wanted, force=True) == "new"
    assert not list((tmp_path / "trajectories").glob("*.npz"))


def test_force_removes_the_run_and_nothing_else(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    begin(tmp_path, settings_of("experiment", "train", Config(seed=1)))
    begin(tmp_path, settings_of("experiment", "train", Config(seed=2)), force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine" and read_settings(tmp_path).config["seed"] == 2


def test_settings_without_effect_may_differ(tmp_path):
    begin(tmp_path, settings_of("experiment", "train", Config(kernel_memory=1.0)))
    other = settings_of("experiment", "train", Config(kernel_memory=2.0))
    assert begin(tmp_path, other, without_effect=Config.WITHOUT_EFFECT) == "new"
    third = settings_of("experiment", "train", Config(kernel_memory=3.0))
    with pytest.raises(ConfigError, match="kernel_memory"):
        begin(tmp_path, third)


@pytest.mark.parametrize(
    ("outcome", "begun"), [(Outcome(), "finished"), (Outcome.interrupted(2), "new"), (Outcome.diverged(2), "new")]
)
def test_a_run_is_finished_when_its_network_is(outcome, begun, tmp_path):
    settings = settings_of("experiment", "train", Config())
    begin(tmp_path, settings)
    write_trajectories(tmp_path, {"ode": trajectory("ode")})
    assert begin(tmp_path, settings) == "new"
    write_trajectories(tmp_path, {"network": trajectory("network", outcome=outcome)})
    assert begin(tmp_path, settings) == begun


def test_default_folders_are_numbered(tmp_path):
    folders = []
    for seed in (1, 2, 1, 3):
        settings = settings_of("experiment", "compare", Config(seed=seed))
        folders.append(numbered_folder(tmp_path / "compare", settings))
        begin(folders[-1], settings)
    assert [folder.name for folder in folders] == ["compare", "compare-2", "compare", "compare-3"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c.pop("format"), "another version"),
        (lambda c: c.update(format=1), "another version"),
        (lambda c: c.update(kind="dream"), "kind"),
        (lambda c: c.pop("config"), "config"),
        (lambda c: c.update(resolved=3), "resolved"),
        (lambda c: c.update(title=None), "title"),
    ],
)
def test_settings_of_another_form_are_refused_by_file_and_field(change, complaint, tmp_path):
    begin(tmp_path, settings_of("experiment", "train", Config()))
    content = json.loads((tmp_path / "config.json").read_text())
    change(content)
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"config\.json.*{complaint}"):
        read_settings(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", "\x00\x01"])
def test_settings_that_are_no_json_are_refused(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DataError, match=r"config\.json"):
        read_settings(tmp_path)


def test_folders_without_a_run_or_a_trajectory(tmp_path):
    with pytest.raises(DataError, match="holds no run"):
        read_run(tmp_path)
    begin(tmp_path, settings_of("experiment", "train", Config()))
    with pytest.raises(DataError, match="no trajectory"):
        read_run(tmp_path)


def test_a_comparison_comes_back(tmp_path):
    comparison = Comparison(
        eigenvalues_gamma=np.array([0.5, 0.25]),
        step_times={"ode": np.array([1.0, np.nan]), "network": np.array([2.0, 4.0])},
        step_time_ratio={"ode": np.array([0.5, np.nan])},
        eigenvalue_error={"ode": np.array([0.0, 0.1, 0.2, 0.1])},
        times=np.linspace(0, 1, 4),
        subspace_overlap=[PlateauOverlap(1, 1.5, 0.9, 0.1)],
        kernel_overlaps=KernelOverlaps(np.array([0.0]), {"tangent": np.array([0.3])}, 0.03, {"tangent": np.ones(2)}),
    )
    begin(tmp_path, settings_of("experiment", "train", Config(dim=2)))
    write_trajectories(tmp_path, {name: trajectory(name) for name in ("ode", "network")})
    write_comparison(tmp_path, comparison)
    run = read_run(tmp_path)
    for name in ("step_times", "step_time_ratio", "eigenvalue_error"):
        for rung, expected in getattr(comparison, name).items():
            np.testing.assert_array_equal(getattr(run.comparison, name)[rung], expected)
    assert run.comparison.subspace_overlap == comparison.subspace_overlap
    # one of two steps was never forecast, which counts as infinitely wrong
    assert run.comparison.median_error("ode") == comparison.median_error("ode") == np.inf
    np.testing.assert_array_equal(run.comparison.kernel_overlaps.overlaps["tangent"], [0.3])
    assert (run.measured.rung, list(run.forecasts)) == ("network", ["ode"])


@pytest.mark.parametrize("change", [{"step_times": 3}, {"times": ["a"]}, {"measured": 1.5}, {"subspace_overlap": [{}]}])
def test_a_comparison_of_another_form_is_refused(change, tmp_path):
    comparison = Comparison(np.ones(1), {"network": np.ones(1)}, {}, {}, np.ones(1), [])
    comparison.save(tmp_path / "comparison.json")
    content = json.loads((tmp_path / "comparison.json").read_text()) | change
    (tmp_path / "comparison.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=next(iter(change))):
        Comparison.load(tmp_path / "comparison.json")


def test_the_command_line_of_a_run_can_be_copied():
    typed = RunSettings(kind="experiment", command="compare", config={}, arguments=["compare", "--out", "my runs"])
    assert typed.command_line == "dynamics compare --out 'my runs'"
    assert RunSettings(kind="experiment", command="simulate --dynamics mae", config={}).command_line.endswith("cs mae")
