"""A sweep as a tidy table: one row a run, rung and mode."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dynamics.runs.tables import steps_of
from dynamics.support import files
from dynamics.support.optional import optional
from dynamics.sweeps.run import Sweep
from dynamics.trajectories.ladder import in_order


def tidy_rows(swept: Sweep) -> Iterator[dict[str, Any]]:
    """Rows of the table.

    Columns: the varied settings; `rung`; `mode` (from 1); `gamma`; `step_time` and `step` at which half of the mode is
    learned, empty if it never is; `measured_step_time`; `ratio`, predicted / measured; `median_error` of the rung,
    infinite if half of its steps are missing, and its number of `missing_steps`.
    """
    for point, run in swept.points:
        comparison = run.comparison
        if comparison is None:
            continue
        measured = comparison.step_times[comparison.measured]
        step_of = steps_of(run)
        for rung in in_order(comparison.step_times):
            times = comparison.step_times[rung]
            ratios = comparison.step_time_ratio.get(rung)
            for j, time in enumerate(times):
                yield {
                    **point,
                    "rung": rung,
                    "mode": j + 1,
                    "gamma": float(comparison.eigenvalues_gamma[j]) if j < len(comparison.eigenvalues_gamma) else 0.0,
                    "step_time": float(time),
                    "step": step_of(float(time)),
                    "measured_step_time": float(measured[j]),
                    "ratio": float("nan") if ratios is None else float(ratios[j]),
                    "median_error": float("nan") if ratios is None else comparison.median_error(rung),
                    "missing_steps": None if ratios is None else comparison.missing_steps(rung),
                }


def write_csv(rows: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Write the rows as CSV, by the rules of `dynamics.support.files.save_csv`."""
    files.save_csv(path, {name: [row[name] for row in rows] for name in (rows[0] if rows else ())})


def write_parquet(rows: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Write the rows as Parquet.

    Raises
    ------
    ConfigError
        If pyarrow is not installed.
    """
    parquet, arrow = optional("pyarrow.parquet", "A Parquet file"), optional("pyarrow", "A Parquet file")
    parquet.write_table(arrow.Table.from_pylist(list(rows)), path)
