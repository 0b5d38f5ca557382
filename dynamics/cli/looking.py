"""Commands that show what there is: figures and a report of saved runs, and what is installed."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from dynamics.cli.console import draw_run, show
from dynamics.cli.groups import Optionally, default_hint
from dynamics.cli.sweeping import draw_sweep
from dynamics.errors import ConfigError

RunFolders = Annotated[
    tuple[Path, ...], tyro.conf.arg(metavar="RUN", help_behavior_hint=default_hint), tyro.conf.Positional
]


def plot(
    runs: RunFolders,
    out: Optionally[Path] = None,
    title: bool = True,
    width: Optionally[float | Literal["column", "page"]] = None,
) -> None:
    """Draw the figures of saved runs again, as PNG and PDF.

    Parameters
    ----------
    runs
        Folders that compare, simulate, train or sweep wrote.
    out
        Folder for the figures; by default each goes to its run.
    title
        Show the settings of the run above its figure.
    width
        Width in inches, or that of a column (3.4) or page (7); panels move below each other where it is narrow.
    """
    from dynamics.support.files import output_folder
    from dynamics.sweeps import is_sweep

    if not runs:
        raise ConfigError("No run was named; give the --out folder of compare, simulate, train or sweep.")
    for run in runs:
        target = None if out is None else output_folder(out if len(runs) == 1 else out / run.name)
        if is_sweep(run):
            draw_sweep(run, target, width=width)
        else:
            draw_run(run, target, title=title, width=width)


def report(runs: RunFolders, out: Path = Path("report.html")) -> None:
    """Write one self-contained HTML page about saved runs: forecast, ladder, figures, settings, environment.

    Parameters
    ----------
    runs
        Folders that compare, simulate, train or sweep wrote; a sweep stands for all its finished runs.
    out
        The file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from dynamics.report import report
    from dynamics.support.files import output_file

    show(f"Report in {report(runs, output_file(out))}")


def info() -> None:
    """Print versions, devices and precisions, for a bug report."""
    from dynamics.support.environment import devices, versions
    from dynamics.support.precision import PRODUCTS

    for package, version in versions().items():
        show(f"{package:16} {version}")
    for device in devices():
        show(f"{'device':16} {device}")
    for purpose, precision in PRODUCTS.items():
        show(f"{'products':16} {purpose}: {precision}")
