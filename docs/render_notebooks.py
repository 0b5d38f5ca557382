"""Run notebooks and store their outputs: `uv run python docs/render_notebooks.py notebooks/1_the_ladder.py …`.

What is stored depends on the source and its results alone: no times, no random names of cells.
"""

import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

SECONDS = 3600


def render(source: Path) -> Path:
    """Execute a notebook's `.py` and write the `.ipynb` beside it."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", nbformat.NotebookNode()
    resources = {"metadata": {"path": str(source.parent)}}
    client = NotebookClient(notebook, timeout=SECONDS, resources=resources, record_timing=False, coalesce_streams=True)
    client.execute()
    path = source.with_suffix(".ipynb")
    nbformat.write(notebook, path)
    return path


if __name__ == "__main__":
    for name in sys.argv[1:]:
        began = time.perf_counter()
        print(f"{render(Path(name))} ({time.perf_counter() - began:.0f} s)", flush=True)
