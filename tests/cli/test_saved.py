"""A saved run as the defaults of a command, its tables, and the forecast for machines."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pandas
import pytest

from dynamics.cli import recipe as recipe_commands
from dynamics.cli.machine import forecast_object
from dynamics.cli.main import main
from dynamics.experiment.config import Config
from dynamics.experiment.forecasting import Forecast
from dynamics.modes import contrastive_modes
from dynamics.recipe.config import Recipe, recipe_preset
from dynamics.runs.again import config_of
from dynamics.runs.settings import RunSettings, write_settings
from dynamics.runs.store import Run
from dynamics.runs.tables import write_tables
from dynamics.support.files import plain
from dynamics.trajectories.trajectory import Trajectory


def save(folder, config, kind=None, **more):
    folder.mkdir()
    kind = kind or ("recipe" if isinstance(config, Recipe) else "experiment")
    values = config if isinstance(config, dict) else config.to_dict()
    write_settings(folder, RunSettings(kind=kind, command="compare", config=values, **more))
    return str(folder)


def help_with(capsys, *arguments):
    with pytest.raises(SystemExit):
        main([*arguments, "--help-all"])
    return " ".join(re.sub("[│─]", " ", capsys.readouterr().out).split())


def test_settings_of_a_run_are_the_defaults_of_a_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    saved = save(tmp_path / "run", Config(dim=5, multiplier="auto", num_pairs=17))
    shown = help_with(capsys, "compare", "--config", f"{saved}/config.json")
    assert all(f"(default: {value})" in shown for value in ("5", "auto", "17", "0.0001"))
    assert "default: 17" not in help_with(capsys, "compare")  # and of no command after it


def test_a_saved_recipe_is_run_with_its_settings_and_what_is_changed(tmp_path, monkeypatch):
    saved = save(tmp_path / "run", replace(recipe_preset("cpu", "vicreg"), dim=5), resolved={"tangent_pairs": 16})
    called = []

    def trained(command, recipe, out, force, **how):
        called.append((command, recipe, how))
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe_commands, "_trained", trained)
    for command in ("train", "compare"):
        assert main([command, "--config", saved, "--steps", "7"]) == 130
    expected = replace(recipe_preset("cpu", "vicreg"), dim=5, steps=7)
    assert [(command, recipe) for command, recipe, _ in called] == [("train", expected), ("compare", expected)]
    assert called[1][2] == {"pairs": 2048, "tangent_pairs": 16, "fixed_pairs": True}


@pytest.mark.parametrize(
    ("config", "command", "says"),
    [
        (Recipe(), ["simulate"], "of a practical recipe, for which nothing is simulated"),
        (Recipe(), ["train", "--preset", "cpu"], "--config already says what is run; leave --preset out"),
        (Config(), ["compare", "--recipe", "practical"], "--config already says what is run; leave --recipe out"),
        ({"dim": "many"}, ["compare"], "a setting cannot be used .Expected `int`, got `str` - at `\\$.dim`"),
        ({"dim": 0}, ["compare"], "--dim is 0; give a whole number from 1"),
        ({"depht": 1}, ["train"], "there is no setting 'depht'"),
    ],
)
def test_a_run_that_cannot_be_made_again_is_refused(config, command, says, tmp_path, capsys):
    saved = save(tmp_path / "run", config, kind=None if not isinstance(config, dict) else "experiment")
    assert main([*command, "--config", saved]) == 2
    assert re.search(says, capsys.readouterr().err)


def test_every_preset_comes_back_from_its_file():
    for name in ("cpu", "gpu", "stl10"):
        values = json.loads(json.dumps(recipe_preset(name).to_dict()))
        assert config_of(RunSettings(kind="recipe", command="train", config=values)) == recipe_preset(name)


# ---------------------------------------------------------------- tables


@pytest.fixture
def run(tmp_path, rng):
    views = rng.normal(size=(10, 30))
    t = np.linspace(0, 4, 5)
    u = 1 / (1 + np.exp(2 - 3 * t))
    courses = {
        "network": Trajectory(t, np.stack([u, u / 4], axis=1), 1 - u, rung="network", steps=np.arange(5) * 10),
        "ode": Trajectory(t, np.stack([u, u / 2], axis=1), 1 - u, rung="ode"),
    }
    settings = RunSettings(kind="experiment", command="compare", config={}, resolved={"learning_rate": 0.1})
    return Run(tmp_path, settings, contrastive_modes(views @ views.T), courses)


def test_eigenvalues_have_a_row_for_each_model_time_and_dimension(run):
    write_tables(run)
    table = pandas.read_csv(run.folder / "eigenvalues.csv")
    assert list(table) == ["rung", "measured", "time", "step", "mode", "eigenvalue"] and len(table) == 2 * 5 * 2
    for name, trajectory in run.trajectories.items():
        wide = table[table.rung == name].pivot(index="time", columns="mode", values="eigenvalue")
        np.testing.assert_array_equal(wide.index, trajectory.times)
        np.testing.assert_array_equal(wide.to_numpy(), trajectory.eigenvalues)  # to the last digit
    np.testing.assert_allclose(table.step, table.time / 0.1)
    assert set(table[table.measured == "yes"].rung) == {"network"}


def test_step_times_have_a_row_for_each_model_and_dimension(run):
    write_tables(run)
    table = pandas.read_csv(run.folder / "step_times.csv")
    assert list(table) == ["rung", "measured", "mode", "gamma", "time", "step"] and len(table) == 4
    first = table[table["mode"] == 1]
    np.testing.assert_allclose(first.time, 2 / 3)  # where 2 − 3t is 0
    np.testing.assert_allclose(first.step, first.time / 0.1)
    np.testing.assert_array_equal(first.gamma, run.modes.eigenvalues[0])
    assert table.time.isna().tolist() == [False, True, False, True]  # the second dimension is never half learned
    with (run.folder / "step_times.csv").open() as file:
        assert [row["time"] for row in csv.DictReader(file)].count("") == 2


# ---------------------------------------------------------------- JSON


def test_the_object_of_a_forecast_says_what_its_table_says(tmp_path):
    gamma = np.array([0.4, 0.1, 0.0])
    ahead = Forecast(gamma, np.array([3.0, 12.0, np.inf]), learning_rate=0.01, stability_limit=0.625)
    found = json.loads(json.dumps(plain(forecast_object(ahead, tmp_path, by_step=500))))
    assert [mode["step"] for mode in found["modes"]] == [300, 1200, None]
    assert [mode["gamma"] for mode in found["modes"]] == gamma.tolist()
    assert found["learned_by_step"] == {"step": 500, "dimensions": 1} and found["steps_for_all"] is None
    unknown = forecast_object(replace(ahead, predicts=False), tmp_path, by_step=500)
    assert {mode["time"] for mode in unknown["modes"]} == {None} and "no kernel predicts" in unknown["caveats"][0]
    assert unknown["learned_by_step"]["dimensions"] is None
