"""The same experiment over a grid of settings: seeds, widths, α, d, learning rates; every point a run of its own.

::

    DIR/sweep.csv                one row a run, rung and mode: settings, γ, step time, predicted / measured
    DIR/sweep.json               axes and common settings
    DIR/runs/NAME/               each point, as `dynamics compare` writes it
"""

from dynamics.sweeps.axes import Axis, grid, parse_axis
from dynamics.sweeps.figure import sweep_figure
from dynamics.sweeps.run import Sweep, is_sweep, read_sweep, sweep
from dynamics.sweeps.table import tidy_rows, write_csv, write_parquet

__all__ = [
    "Axis",
    "Sweep",
    "grid",
    "is_sweep",
    "parse_axis",
    "read_sweep",
    "sweep",
    "sweep_figure",
    "tidy_rows",
    "write_csv",
    "write_parquet",
]
