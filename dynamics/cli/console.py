"""What commands show and draw."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show(text: object = "") -> None:
    """Print text or a table on the standard output."""
    from rich.console import Console

    Console(highlight=False).print(text)


def draw_run(folder: Path, target: Path | None = None) -> None:
    """Draw the figure of a run, as PNG and PDF, into its folder or another one."""
    from dynamics.drawing.trajectories import comparison_figure, recipe_figure, trajectory_figure
    from dynamics.runs.resume import saved_overlaps
    from dynamics.runs.store import read_run

    run = read_run(folder)
    comparison, overlaps = run.comparison, saved_overlaps(folder)
    solved = [trajectory for trajectory in run.trajectories.values() if "targets" in trajectory.meta]
    if solved:
        from dynamics.experiment.solvable import solution_figure

        name, draw = "trajectories", lambda: solution_figure(solved[0], run.title)
    elif overlaps is not None and run.measured is not None:
        name, draw = "comparison", lambda: recipe_figure(run.measured, run.forecasts, *overlaps, run.title)
    elif comparison is not None and run.measured is not None:
        name, draw = "comparison", lambda: comparison_figure(comparison, run.measured, run.forecasts, run.title)
    else:
        name, draw = "trajectories", lambda: trajectory_figure(run.measured, run.forecasts, run.title)
    save_figure(draw, target or folder, name)
    show(f"\nResults in {folder}, figure {(target or folder) / name}.png")


def save_figure(draw: Callable[[], "Figure"], folder: Path, name: str) -> None:
    """Draw in the house style, without a screen, as PNG and PDF."""
    import matplotlib

    matplotlib.use("Agg")
    from dynamics.drawing.trajectories import style
    from dynamics.support import files

    with style():
        files.save_figure(draw(), folder / name)


def report_cost(seconds: float) -> None:
    """Say what a training costs before most of it is done."""
    show(f"\nTraining takes about {duration(seconds)}.\n")


def duration(seconds: float) -> str:
    """Seconds or minutes, as a reader wants them."""
    return f"{max(seconds, 1.0):.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
