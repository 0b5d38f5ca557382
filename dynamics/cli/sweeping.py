"""What `sweep` does with runs of any kind."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from dynamics.cli.console import save_figure, show
from dynamics.cli.groups import default_hint
from dynamics.experiment.config import Config
from dynamics.recipe.config import Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dynamics.drawing.size import Width

Varied = Annotated[
    tuple[str, ...], tyro.conf.arg(metavar="SETTING=VALUES", help_behavior_hint=default_hint), tyro.conf.Positional
]


def run_sweep(config: Config | Recipe, vary: tuple[str, ...], *, jobs: int | None, parquet: bool, out: Path) -> None:
    """Run the grid, write its table and draw its figure."""
    from dynamics.sweeps import parse_axis, sweep, tidy_rows, write_csv, write_parquet

    axes = [parse_axis(text, type(config)) for text in vary]
    counts = [len(axis.values) for axis in axes]
    show(f"{math.prod(counts)} runs: {', '.join(f'{len(axis.values)} × {axis.name}' for axis in axes)}")
    swept = sweep(config, axes, out, jobs=jobs)
    rows = list(tidy_rows(swept))
    write_csv(rows, out / "sweep.csv")
    if parquet:
        write_parquet(rows, out / "sweep.parquet")
    for name, reason in swept.failed.items():
        show(f"Left out {name}: {reason}")
    draw_sweep(out)
    show(f"\nResults in {out}: sweep.csv, figure sweep.png")


def draw_sweep(folder: Path, target: Path | None = None, *, width: "Width | None" = None) -> None:
    """Draw the figure of a sweep, into its folder or another one."""
    from dynamics.drawing.size import fit_width
    from dynamics.sweeps import read_sweep, sweep_figure

    swept = read_sweep(folder)

    def draw() -> "Figure":
        figure = sweep_figure(swept)
        return figure if width is None else fit_width(figure, width)

    save_figure(draw, target or folder, "sweep")
