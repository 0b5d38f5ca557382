"""The report says what the runs say, in a page that needs nothing from outside."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from dynamics.cli.main import main
from dynamics.errors import ConfigError, DataError
from dynamics.recipe.config import Recipe
from dynamics.report import report
from dynamics.runs.settings import RunSettings, write_settings
from dynamics.runs.store import read_run, write_comparison, write_trajectories
from dynamics.support.files import save_json
from dynamics.trajectories.comparison import measured_alone, step_times
from dynamics.trajectories.ladder import main_forecast, rung
from dynamics.trajectories.trajectory import Trajectory

SMALL = ["--network", "mlp", "--width", "32", "--depth", "1", "--num-pairs", "12", "--dim", "2", "--init-scale", "1e-2"]
SMALL += ["--multiplier", "auto"]
VOID = {"meta", "path", "use", "rect", "br", "stop", "image"}


class Reader(HTMLParser):
    """Tables as lists of rows of text; complains about tags that do not nest, and keeps all links."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.tables, self.cell = [], [], [], None

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("href", "src", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    def table(self, word):
        return next(table for table in self.tables if word in table[0])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    assert main(["compare", *SMALL, "--out", str(folder / "compared")]) == 0
    assert main(["simulate", *SMALL, "--out", str(folder / "<simulated>")]) == 0
    assert main(["simulate", "--dynamics", "mae", *SMALL, "--out", str(folder / "solved")]) == 0
    return folder / "compared", folder / "<simulated>", folder / "solved"


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    assert main(["report", *map(str, runs), "--out", str(path)]) == 0
    return path.read_text()


@pytest.fixture(scope="module")
def reader(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_nothing_comes_from_outside(page, reader):
    assert all(link.startswith("#") for link in reader.links)
    assert "@import" not in page and "url(" not in page.replace("url(#", "")
    assert "&lt;simulated&gt;" in page and "<simulated>" not in page


def test_tables_hold_the_numbers_of_the_run(runs, reader):
    run = read_run(runs[0])
    tau = step_times(run.measured)
    steps = reader.table("network")
    shown = [float(row[steps[0].index("network")]) for row in steps[1:]]
    np.testing.assert_allclose(shown, tau, rtol=1e-3)
    ladder = reader.table("subspace overlap")
    ratio = [float(row[ladder[0].index("kernel flow")]) for row in ladder[1:3]]
    np.testing.assert_allclose(ratio, run.comparison.step_time_ratio["ode"], atol=6e-4)
    settings = dict(reader.table("setting")[1:])
    assert settings["init_scale"] == "0.01" and settings["num_pairs"] == "12"
    assert "jax" in dict(reader.table("package")[1:])


def test_curves_of_the_figure_are_those_of_the_run(runs, page):
    blocks = re.findall(r'<script type="application/json" class="data">(.*?)</script>', page)
    assert len(blocks) == 3
    curves = {curve["name"]: curve for curve in json.loads(blocks[0])["curves"]}
    run = read_run(runs[0])
    assert curves["network"]["measured"] and not curves["closed form"]["measured"]
    # what is seen at first is the run, and the forecast that the static figure shows mode by mode
    at_first = {name for name, curve in curves.items() if curve["shown"]}
    assert at_first == {"network", rung(main_forecast(run.forecasts)).label}
    network, kept = run.measured, curves["network"]
    for j in range(2):
        drawn = np.interp(network.times, kept["times"], kept["eigenvalues"][j])
        np.testing.assert_allclose(drawn, network.eigenvalues[:, j], atol=5e-3)


def test_a_forecast_alone_is_called_one(page):
    assert "A forecast; nothing has been trained." in page


def test_a_solvable_model_is_shown_with_its_own_quantity(page, reader):
    assert reader.table("MAE") is not None
    block = re.findall(r'class="data">(.*?)</script>', page)[2]
    assert [curve["name"] for curve in json.loads(block)["curves"]] == ["MAE"]


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigError, match="No run was named"):
        report([], tmp_path / "report.html")
    with pytest.raises(DataError, match="holds no run"):
        report([tmp_path], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_training_steps_and_the_command_are_there_to_copy(runs, reader, page):
    run = read_run(runs[0])
    table = reader.table("training step (network)")
    shown = [float(row[-1].replace(",", "")) for row in table[1:]]
    np.testing.assert_allclose(shown, step_times(run.measured) / run.settings.learning_rate, atol=1)
    assert "<pre><code>dynamics compare --network mlp --width 32" in page and "dynamics simulate --dynamics mae" in page
    assert run.settings.command_line.endswith(f"--out {runs[0]}")


# ---------------------------------------------------------------- made-up runs, for which nothing is compiled


def make_up(folder, rates):
    """A practical run of 14 steps an epoch, whose dimensions grow at these rates."""
    folder.mkdir()
    times = np.concatenate([[0], np.geomspace(0.01, 400, 150)])
    u = 1 / (1 + 1e4 * np.exp(-np.minimum(times[:, None] * np.array(rates), 700)))
    settings = RunSettings(
        kind="recipe", command="train", config=Recipe(dim=len(rates)).to_dict(), resolved={"steps_per_epoch": 14}
    )
    write_settings(folder, settings)
    course = Trajectory(times, u, 1 - u[:, 0], rung="recipe", steps=np.arange(151) ** 2, objective="vicreg")
    write_trajectories(folder, {"recipe": course})
    return course


def data_of(path):
    return json.loads(re.search(r'class="data">(.*?)</script>', path.read_text())[1])


def test_steps_and_epochs_of_a_practical_run_are_those_of_the_run(tmp_path):
    course = make_up(tmp_path / "run", [1.0, 0.1])
    reader = Reader()
    reader.feed(report([tmp_path / "run"], tmp_path / "page.html").read_text())
    table = reader.table("epoch")
    steps = [np.interp(np.log(1e4) / rate, course.times, course.steps) for rate in (1.0, 0.1)]
    np.testing.assert_allclose([float(row[-2].replace(",", "")) for row in table[1:]], steps, rtol=0.05)
    np.testing.assert_allclose([float(row[-1].replace(",", "")) for row in table[1:]], np.array(steps) / 14, rtol=0.05)
    data = data_of(tmp_path / "page.html")
    assert data["epoch"] == 14 and data["curves"][0]["steps"] == course.steps.tolist()


@pytest.mark.parametrize(("rates", "logarithmic"), [([1.0, 0.1], False), ([20.0, 0.1], True)])
def test_time_of_the_chart_is_logarithmic_where_steps_lie_far_apart(rates, logarithmic, tmp_path):
    make_up(tmp_path / "run", rates)
    start = data_of(report([tmp_path / "run"], tmp_path / "page.html"))["logFrom"]
    assert (start is not None) == logarithmic and (start is None or 0 < start < np.log(1e4) / max(rates))


def test_a_sweep_is_shown_with_its_figure(tmp_path):
    make_up(tmp_path / "one", [1.0, 0.1])
    swept = tmp_path / "swept"
    (swept / "runs").mkdir(parents=True)
    save_json(swept / "sweep.json", {"kind": "recipe", "config": {}, "axes": [{"name": "seed", "values": [0, 1]}]})
    for seed in (0, 1):
        shutil.copytree(tmp_path / "one", swept / "runs" / f"seed={seed}")
        write_comparison(swept / "runs" / f"seed={seed}", measured_alone(read_run(tmp_path / "one").measured))
    text = report([tmp_path / "one", swept], tmp_path / "page.html").read_text()
    assert "The sweep swept" in text and text.count("<svg") == 4  # one of each run, and that of the sweep
    assert text.count("<section") == 3
