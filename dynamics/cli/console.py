"""What commands show and draw."""

import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynamics.support.progress import QUIET, stage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dynamics.drawing.size import Width

TYPED: ContextVar[tuple[str, ...]] = ContextVar("TYPED", default=())
"""Words of the command line, as `config.json` keeps them."""


_AS_LONG_AS_IT_IS = 10_000  # characters of a line that goes into a file or another program


def show(text: object = "") -> None:
    """Print text or a table on the standard output, letter by letter: nothing in it is markup.

    Lines are as long as they are, so that a path can be copied; only tables are fitted into a terminal. Nothing is
    shown if the user wants it quiet.
    """
    if QUIET.get():
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _AS_LONG_AS_IT_IS
    console.print(text, soft_wrap=isinstance(text, str))


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object on a line, however quiet the rest is; NaN and infinities are null."""
    from dynamics.support.files import plain

    print(json.dumps(plain(content)))


def accept_every_letter() -> None:
    """Write letters that the output cannot show by their numbers, in place of ending in an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def conclude(folder: Path) -> None:
    """Write the tables of a run that has ended, and draw its figure."""
    from dynamics.runs.store import read_run
    from dynamics.runs.tables import write_tables

    with stage("Drawing and writing the tables"):
        write_tables(read_run(folder))
        draw_run(folder)


def draw_run(folder: Path, target: Path | None = None, *, title: bool = True, width: "Width | None" = None) -> None:
    """Draw the figure of a run, as PNG and PDF, into its folder or another one."""
    from dynamics.drawing.labels import label_figure
    from dynamics.drawing.run import run_figure
    from dynamics.drawing.size import fit_width
    from dynamics.runs.store import read_run

    run, target = read_run(folder), target or folder
    with _figures_without_screen():
        shown = run.title if title else ""
        name, figure = run_figure(run.measured, run.forecasts, run.comparison, shown, run.settings.steps_per_epoch)
        labels = label_figure(run.measured, run.forecasts, run.settings.learning_rate or 1.0, shown)
        for file, drawn in ((name, figure), ("labels", labels)):
            if drawn is not None:
                _save(drawn if width is None else fit_width(drawn, width), target / file)
    show(f"\nResults in {folder}, figure {target / name}.png")


def save_figure(draw: Callable[[], "Figure"], folder: Path, name: str) -> None:
    """Draw in the house style, without a screen, as PNG and PDF."""
    with _figures_without_screen():
        _save(draw(), folder / name)


@contextmanager
def _figures_without_screen() -> Iterator[None]:
    import matplotlib

    matplotlib.use("Agg")
    from dynamics.drawing.trajectories import style

    with style():
        yield


def _save(figure: "Figure", path: Path) -> None:
    from dynamics.support import files

    files.save_figure(figure, path)


def report_cost(seconds: float) -> None:
    """Say what a training costs before most of it is done."""
    show(f"\nTraining takes about {duration(seconds)}.\n")


def duration(seconds: float) -> str:
    """Seconds or minutes, as a reader wants them."""
    return f"{max(seconds, 1.0):.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
