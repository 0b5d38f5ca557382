"""The report says what the runs say, in a page that needs nothing from outside."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from dynamics.cli.main import main
from dynamics.errors import ConfigError, DataError
from dynamics.report import report
from dynamics.runs.store import read_run
from dynamics.trajectories.comparison import step_times

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
