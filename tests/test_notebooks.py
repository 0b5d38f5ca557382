"""Every notebook runs, is what its .py says, and was committed with small outputs and without an error."""

import base64
import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
QUICK = ("6_",)  # below half a minute of one core
PICTURE_BYTES = 100_000


def named(path):
    slow = not path.name.startswith(QUICK)
    return pytest.param(path, id=path.stem, marks=pytest.mark.slow if slow else ())


def outputs(path):
    cells = json.loads(path.read_text())["cells"]
    return [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", [named(path) for path in NOTEBOOKS])
def test_it_runs(path, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # its training takes longer than compiling it well
    nb_run = pytest.importorskip("nbmake.nb_run", reason="nbmake is not installed (uv sync --group notebooks)")
    result = nb_run.NotebookRun(path, default_timeout=900).execute()
    assert result.error is None, result.error


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_what_its_source_says(path):
    jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed (uv sync --group notebooks)")

    def cells(notebook):
        return [(cell.cell_type, cell.source) for cell in notebook.cells]

    assert cells(jupytext.read(path)) == cells(jupytext.read(path.with_suffix(".py")))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_outputs_are_small_and_without_an_error(path):
    pictures = [output["data"]["image/png"] for output in outputs(path) if "image/png" in output.get("data", {})]
    assert pictures and all(output["output_type"] != "error" for output in outputs(path))
    assert max(len(base64.b64decode(picture)) for picture in pictures) < PICTURE_BYTES
    assert not [output for output in outputs(path) if output.get("name") == "stderr"]
