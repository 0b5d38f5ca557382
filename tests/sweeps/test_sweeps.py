"""A grid of settings: how it is written, that it runs each point once, and that its table says what the runs say."""

import csv
import os
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import numpy as np
import pytest
from pictures import assert_shows_something

from dynamics.cli.main import main
from dynamics.errors import CapacityError, ConfigError, DataError, StabilityError
from dynamics.experiment import compare_run, forecast_trajectories, prepare, train
from dynamics.experiment.config import Config
from dynamics.recipe.config import Recipe, recipe_preset
from dynamics.runs.settings import RunSettings
from dynamics.runs.store import Run
from dynamics.sweeps import Axis, grid, parse_axis, read_sweep, sweep_figure, tidy_rows, write_csv, write_parquet
from dynamics.sweeps import run as running
from dynamics.trajectories.comparison import Comparison, measured_alone
from dynamics.trajectories.trajectory import Trajectory

SMALL = {"network": "mlp", "width": 32, "depth": 1, "num_pairs": 12, "dim": 2, "init_scale": 1e-2, "steps": 200}
SMALL["multiplier"] = "auto"
FLAGS = [text for name, value in SMALL.items() for text in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("width=16,32", "width", (16, 32)),
        ("lr-fraction=0.05,0.1", "lr_fraction", (0.05, 0.1)),
        ("multiplier=1,auto", "multiplier", (1.0, "auto")),
        ("init=readout,centred", "init", ("readout", "centred")),
        ("center=true,false", "center", (True, False)),
        ("--seed=0, 1,2", "seed", (0, 1, 2)),
    ],
)
def test_axes_are_read_as_the_settings_they_vary(text, name, values):
    axis = parse_axis(text)
    assert (axis.name, axis.values) == (name, values)
    assert [type(value) for value in axis.values] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("widht=1,2", "no setting `widht`"),
        ("width", "write a setting and its values"),
        ("width=", "has no value"),
        ("width=big", "width cannot be `big`"),
        ("init=tiny", "give readout or centred or all"),
        ("seed=1,1", "repeat"),
    ],
)
def test_mistakes_are_named(text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        parse_axis(text)


def test_the_grid_is_the_product():
    points = list(grid(Config(), [Axis("width", (1, 2)), Axis("seed", (3, 4))]))
    assert [(config.width, config.seed) for _, config in points] == [(1, 3), (1, 4), (2, 3), (2, 4)]
    with pytest.raises(ConfigError, match="twice"):
        list(grid(Config(), [Axis("width", (1,)), Axis("width", (2,))]))


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Two widths, two seeds, and a learning rate that is out of the question at one of them."""
    out = tmp_path_factory.mktemp("sweep")
    assert main(["sweep", "width=16,32", "seed=0,1", *FLAGS, "--jobs", "2", "--out", str(out)]) == 0
    return out


def test_the_table_says_what_each_run_says(swept):
    """Against the experiment run here, in one process."""
    with (swept / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 4 * 2  # widths, seeds, rungs (three forecasts and the network), modes
    experiment = prepare(Config(**SMALL | {"width": 16, "seed": 1}))
    comparison = compare_run(experiment, train(experiment), forecast_trajectories(experiment))
    for row in rows:
        if (row["width"], row["seed"]) == ("16", "1"):
            mode = int(row["mode"]) - 1
            expected = comparison.step_times[row["rung"]][mode]
            np.testing.assert_allclose(float(row["step_time"] or "nan"), expected, rtol=1e-4)
            assert float(row["gamma"]) == pytest.approx(comparison.eigenvalues_gamma[mode])
    assert_shows_something(swept / "sweep.png")


def test_every_run_has_the_tables_of_its_own(swept):
    with (swept / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    for folder in (swept / "runs").iterdir():
        setting = dict(pair.split("=") for pair in folder.name.split(","))
        expected = [row for row in rows if setting == {name: row[name] for name in setting}]
        with (folder / "step_times.csv").open() as file:
            own = {(row["rung"], row["mode"]): row for row in csv.DictReader(file)}
        assert len(own) == len(expected) == 4 * 2
        for row in expected:
            assert own[row["rung"], row["mode"]]["time"] == row["step_time"]
        assert (folder / "eigenvalues.csv").is_file()


def test_finished_runs_are_not_run_again(swept):
    runs = {path: os.stat(path).st_mtime_ns for path in (swept / "runs").rglob("comparison.json")}
    assert len(runs) == 4
    next(iter(runs)).unlink()  # as if the sweep had been stopped before this one
    assert main(["sweep", "width=16,32", "seed=0,1", *FLAGS, "--jobs", "1", "--out", str(swept)]) == 0
    again = {path: os.stat(path).st_mtime_ns for path in (swept / "runs").rglob("comparison.json")}
    assert [again[path] == runs[path] for path in runs] == [False, True, True, True]


def test_a_folder_keeps_one_sweep(swept, capsys):
    assert main(["sweep", "width=16,32", *FLAGS, "--out", str(swept)]) == 2
    assert "holds another sweep" in capsys.readouterr().err


def test_figures_of_widths_and_of_seeds_show_all_runs(swept):
    whole = read_sweep(swept)
    ax = sweep_figure(whole).axes[0]
    assert ax.get_xlabel() == "width"
    comparison = {point["width"]: [] for point, _ in whole.points}
    for point, run in whole.points:
        comparison[point["width"]].append(run.comparison.median_error("ode"))
    drawn = [line for line in ax.lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose(drawn[1].get_ydata(), [np.median(comparison[16]), np.median(comparison[32])])
    seeds = running.Sweep(swept, (Axis("seed", (0, 1)),), whole.points[:2], {})
    assert "2 runs" in sweep_figure(seeds).axes[0].get_title()


def test_points_that_cannot_be_run_are_left_out_with_their_reason(tmp_path, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    def point(config, folder):
        if config.lr_fraction > 1:
            raise StabilityError("too fast")
        running_point(config, folder)

    running_point = running.run_point
    monkeypatch.setattr(running, "run_point", point)
    monkeypatch.setattr(running, "ProcessPoolExecutor", lambda jobs, mp_context, initializer: ThreadPoolExecutor(jobs))
    swept = running.sweep(Config(**SMALL), [Axis("lr_fraction", (0.05, 2.0))], tmp_path, jobs=1)
    assert len(swept.points) == 1 and swept.failed == {"lr_fraction=2.0": "too fast"}
    with pytest.raises(Exception, match="No run could be made; the first says: too fast"):
        running.sweep(Config(**SMALL), [Axis("lr_fraction", (2.0, 3.0))], tmp_path / "none", jobs=1)


def test_a_sweep_in_which_no_step_is_reached_is_drawn_and_says_so(tmp_path):
    def run(width):
        never, predicted = np.full(2, np.nan), np.array([1.0, 2.0])
        steps = {"network": never, "ode": predicted}
        comparison = Comparison(np.array([0.5, 0.2]), steps, {"ode": never}, {}, np.arange(3.0), [])
        times = np.arange(3.0)
        trajectories = {"ode": Trajectory(times, np.ones((3, 2)), np.ones(3), rung="ode")}
        return Run(
            tmp_path, RunSettings(kind="experiment", command="compare", config={}), None, trajectories, comparison
        )

    widths = (16, 128)
    swept = running.Sweep(tmp_path, (Axis("width", widths),), [({"width": width}, run(width)) for width in widths], {})
    figure = sweep_figure(swept)
    figure.savefig(tmp_path / "sweep.png")
    assert figure.axes[0].get_yscale() == "linear"
    assert any("no step was predicted and reached" in text.get_text() for text in figure.axes[0].texts)


def test_every_error_of_a_sweep_has_a_label_of_its_own(tmp_path):
    def run(error):
        tau = np.array([1.0, 2.0])
        steps = {"network": tau, "ode": (1 + error) * tau}
        comparison = Comparison(np.array([0.5, 0.2]), steps, {"ode": np.full(2, 1 + error)}, {}, np.arange(3.0), [])
        trajectories = {"ode": Trajectory(np.arange(3.0), np.ones((3, 2)), np.ones(3), rung="ode")}
        settings = RunSettings(kind="experiment", command="compare", config={})
        return Run(tmp_path, settings, None, trajectories, comparison)

    points = [({"width": 16}, run(0.02)), ({"width": 64}, run(0.0006))]
    figure = sweep_figure(running.Sweep(tmp_path, (Axis("width", (16, 64)),), points, {}))
    figure.canvas.draw()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) > 2 and len(set(labels)) == len(labels)


def test_a_script_without_the_main_guard_is_told_so(tmp_path, monkeypatch):
    """Its processes die when they run it again: the pool is broken, and its futures say so."""

    class Pool:
        def __init__(self, jobs, mp_context, initializer): ...

        def submit(self, *work):
            future = Future()
            future.set_exception(BrokenProcessPool("a process ended abruptly"))
            return future

        def __enter__(self):
            return self

        def __exit__(self, *error): ...

    monkeypatch.setattr(running, "ProcessPoolExecutor", Pool)
    with pytest.raises(CapacityError, match="__main__"):
        running.sweep(Config(**SMALL), [Axis("seed", (0, 1))], tmp_path, jobs=1)


def test_a_table_that_is_not_a_number_is_empty(tmp_path):
    write_csv(
        [{"a": 1.5, "b": float("nan"), "c": None, "d": "auto"}, {"a": 2.0, "b": 3, "c": 1, "d": 1.0}],
        tmp_path / "t.csv",
    )
    assert (tmp_path / "t.csv").read_text() == "a,b,c,d\n1.5,,,auto\n2,3,1,1\n"


def test_parquet(swept, tmp_path):
    rows = list(tidy_rows(read_sweep(swept)))
    try:
        from pyarrow import parquet
    except ImportError:
        with pytest.raises(ConfigError, match="pyarrow"):
            write_parquet(rows, tmp_path / "t.parquet")
        return
    write_parquet(rows, tmp_path / "t.parquet")
    assert parquet.read_table(tmp_path / "t.parquet").num_rows == len(rows)


def test_no_sweep_is_said(tmp_path):
    with pytest.raises(DataError, match="holds no sweep"):
        read_sweep(tmp_path)


def test_an_axis_belongs_to_the_kind_of_settings_that_vary():
    assert parse_axis("batch=16,32", Recipe) == Axis("batch", (16, 32))
    with pytest.raises(ConfigError, match="no setting `batch`"):
        parse_axis("batch=16,32", Config)
    with pytest.raises(ConfigError, match="no setting `multiplier`"):
        list(grid(Recipe(), [Axis("multiplier", (1.0,))]))


def test_an_objective_that_varies_brings_the_settings_of_its_preset():
    mine = replace(recipe_preset("cpu", "barlow-twins"), dim=5)
    points = dict(grid_by_objective(mine, ("barlow-twins", "vicreg", "simclr")))
    assert points["barlow-twins"] == mine
    for name in ("vicreg", "simclr"):
        assert points[name] == replace(recipe_preset("cpu", name), dim=5)


def grid_by_objective(config, objectives):
    for point, settings in grid(config, [Axis("objective", objectives)]):
        yield point["objective"], settings


def test_practical_runs_are_swept_like_the_others(tmp_path, monkeypatch):
    """With a training that is made up: what is tested is what the sweep does with a recipe's runs."""
    from concurrent.futures import ThreadPoolExecutor

    class Made:
        title, resolved, modes = "made up", {"learning_rate": 0.1}, None

        def __init__(self, recipe):
            self.recipe = recipe

        def describe(self):
            return "made up"

        def forecast(self):
            return {}

        def train(self, checkpoints, **reports):
            t = np.linspace(0, 10, 50)
            u = 1 / (1 + np.exp(-(t[:, None] - [2 + self.recipe.seed, 5])))
            return Trajectory(t, u, 1 - u.mean(axis=1), rung="recipe", objective=self.recipe.objective)

        def compare(self, measured, forecasts, checkpoints):
            return {}, measured_alone(measured)

    monkeypatch.setattr("dynamics.sweeps.point.prepare_run", Made)
    monkeypatch.setattr(running, "ProcessPoolExecutor", lambda jobs, mp_context, initializer: ThreadPoolExecutor(jobs))
    axes = [Axis("batch", (8, 16)), Axis("seed", (0, 1))]
    swept = running.sweep(Recipe(), axes, tmp_path, jobs=1)
    assert len(swept.points) == 4 and read_sweep(tmp_path).axes == tuple(axes)
    rows = list(tidy_rows(swept))
    assert len(rows) == 4 * 2 and {row["rung"] for row in rows} == {"recipe"}
    first = {row["seed"]: row["step_time"] for row in rows if row["mode"] == 1}
    # logistic curves that end below 1: half of their end is where they were put, up to the spacing of the records
    assert first[0] == pytest.approx(2, abs=0.3) and first[1] == pytest.approx(3, abs=0.3)
    assert sweep_figure(swept).axes[0].get_ylabel() == "half learned at effective time"
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report.html")]) == 0
    assert (tmp_path / "report.html").read_text().count("<section") == 4
    assert main(["plot", str(tmp_path)]) == 0 and (tmp_path / "sweep.png").is_file()
