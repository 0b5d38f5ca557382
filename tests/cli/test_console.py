"""What a terminal, a file and a figure make of the text of a user."""

import io
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from rich.table import Table

from dynamics.cli.console import show
from dynamics.cli.main import main
from dynamics.drawing.run import run_figure
from dynamics.support.progress import note
from dynamics.sweeps.figure import draw_errors
from dynamics.trajectories.trajectory import Trajectory

TEXTS = ["runs/[x]", "[/x]", "[bold]y", "a:warning:b", "$x^", r"$\frac{$", "100 % #_{", "/" + "long/" * 40 + "end"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_shown_as_it_is(text, capsys):
    show(f"Results in {text}")
    table = Table("name", box=None)
    table.add_row(text)
    show(table)
    note(f"reads {text}")
    written = capsys.readouterr()
    assert f"Results in {text}\n" in written.out and written.err == f"reads {text}\n"
    assert text in written.out.splitlines()[-1]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16", "utf-8"])
def test_any_encoding_of_the_output_will_do(encoding, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    with pytest.raises(SystemExit) as ended:
        main(["compare", "--help"])
    show("γ of 見 — \udc80")
    sys.stdout.flush()
    text = written.getvalue().decode(encoding)
    assert ended.value.code in (0, None) and "--num-pairs" in text
    assert ("γ" if encoding.startswith("utf") else r"\u03b3") in text and r"\udc80" in text


def test_a_reader_who_has_enough_is_no_error():
    command = f"{sys.executable} -m dynamics study --help | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert not done.stderr


@pytest.mark.parametrize("text", [*TEXTS[:6], "\udc80", "a$b$c"])
def test_figures_show_names_as_they_are(text):
    times = np.linspace(0, 1, 5)
    run = Trajectory(times, times[:, None], 1 - times, rung="network", objective=text)
    _, figure = run_figure(run, {text: run}, title=f"{text}; MLP\n{text}")
    figure.canvas.draw()
    plt.close(figure)
    figure, ax = plt.subplots()
    ax.plot([0], [1.0], label="-")
    draw_errors(ax, "dataset", [text, "digits"], [])
    figure.canvas.draw()
    plt.close(figure)
