"""The page: put together from saved runs alone, readable without a network connection."""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dynamics.drawing.axes import start_of_logarithmic_time
from dynamics.drawing.run import run_figure
from dynamics.drawing.trajectories import style
from dynamics.errors import ConfigError
from dynamics.report.html import Cell, document, table
from dynamics.runs.store import Run, read_run, run_folders
from dynamics.support import files
from dynamics.sweeps import Sweep, is_sweep, read_sweep, sweep_figure
from dynamics.trajectories.comparison import Comparison, learning_times
from dynamics.trajectories.ladder import main_forecast, rung
from dynamics.trajectories.trajectory import Trajectory
from dynamics.trajectories.verdict import verdict_of

_POINTS = 400  # of a curve in the interactive figure


def report(runs: Sequence[str | Path], path: str | Path) -> Path:
    """Write one HTML file about saved runs.

    Parameters
    ----------
    runs : sequence of Path
        Folders that compare, simulate, train or sweep wrote. The folder of a sweep stands for all its finished runs.
    path : Path
        The file to write.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConfigError
        If no run is given.
    DataError
        If a folder holds no run, or one of its files is damaged.
    """
    if not runs:
        raise ConfigError("No run was named; give the folder of at least one run.")
    sweeps = [read_sweep(folder) for folder in runs if is_sweep(folder)]
    read = [read_run(run) for folder in runs for run in run_folders(folder)]
    files.save_text(path, "".join(_page(read, sweeps)))
    return Path(path)


def _page(runs: Sequence[Run], sweeps: Sequence[Sweep]) -> Iterator[str]:
    title = "dynamics: " + ", ".join(run.folder.name for run in runs)
    return document(title, _body(runs, sweeps), script="report.js")


def _body(runs: Sequence[Run], sweeps: Sequence[Sweep]) -> Iterator[str]:
    if len(runs) > 1:
        yield "<h1>How these networks learn, and what theory said</h1>\n"
        yield _overview(runs)
    for swept in sweeps:
        yield f"<h2>The sweep {escape(swept.folder.name)}</h2>\n"
        yield f'<div class="figure narrow">{_sweep_figure(swept)}</div>\n'
    for number, run in enumerate(runs):
        yield from _section(number, run)


def _overview(runs: Sequence[Run]) -> str:
    rows = []
    for number, run in enumerate(runs):
        comparison = run.comparison
        closest = None if comparison is None else comparison.closest_forecast
        best = None if comparison is None or closest is None else comparison.median_error(closest)
        link = f'<a href="#run{number}">{escape(run.folder.name)}</a>'
        rows.append([link, escape(run.title.split("\n")[0]), _percent(best)])
    return "<h2>Runs</h2>\n" + table(["run", "what", "error of the best forecast"], rows, raw=True)


def _section(number: int, run: Run) -> Iterator[str]:
    comparison = run.comparison
    yield f'<section id="run{number}">\n<h1>{escape(run.folder.name)}</h1>\n'
    yield f'<p class="what">{escape(run.title)}</p>\n<p class="summary">{escape(_summary(run, comparison))}</p>\n'
    yield "<h2>One dimension at a time</h2>\n"
    yield '<p class="hint">Solid: measured. Dashed: forecast. Move over the figure to read it; click a name to hide or '
    yield 'show it.</p>\n<div class="chart"></div>\n'
    yield f'<script type="application/json" class="data">{_chart_data(run)}</script>\n'
    if comparison is not None and comparison.step_time_ratio:
        yield "<h2>The ladder: predicted / measured step time</h2>\n" + _ladder(run, comparison)
    yield "<h2>Step times</h2>\n" + _steps(run)
    yield f'<h2>Figure</h2>\n<div class="figure">{_figure(run, comparison)}</div>\n'
    yield "<h2>Settings</h2>\n" + _settings(run)
    versions = run.settings.versions
    yield "<h2>Environment</h2>\n" + table(["package", "version"], [list(item) for item in versions.items()])
    yield "</section>\n"


def _summary(run: Run, comparison: Comparison | None) -> str:
    """The result in two sentences."""
    if run.measured is None:
        return "A forecast; nothing has been trained."
    end = f" It ended early: {run.measured.outcome.describe()}." if run.measured.partial else ""
    text = f"{verdict_of(run.measured).describe()}.{end}"
    best = None if comparison is None else comparison.closest_forecast
    if comparison is not None and best is not None:
        error, missing = _percent(comparison.median_error(best)), comparison.missing_steps(best)
        text += f" The closest forecast ({rung(best).label}) misses the step times by {error} (median)"
        text += f", and {missing} steps are missing from it or from the run." if missing else "."
    return text


def _ladder(run: Run, comparison: Comparison) -> str:
    names = list(comparison.step_time_ratio)
    measured = comparison.step_times[comparison.measured]
    overlaps = {plateau.learned: plateau for plateau in comparison.subspace_overlap}
    rows: list[list[Cell]] = []
    for j, time in enumerate(measured):
        overlap = overlaps.get(j + 1)
        rows.append(
            [
                j + 1,
                _number(time),
                *(_number(comparison.step_time_ratio[name][j], 3) for name in names),
                "–" if overlap is None else f"{overlap.overlap:.3f} (chance {overlap.chance:.3f})",
            ]
        )
    rows.append(["median error", "", *(_percent(comparison.median_error(name)) for name in names), ""])
    rows.append(["missing steps", "", *(comparison.missing_steps(name) for name in names), ""])
    return table(["mode", "measured at t", *(rung(name).label for name in names), "subspace overlap"], rows)


def _steps(run: Run) -> str:
    """Effective time at which half of every mode is learned, in every model."""
    rungs = {**run.forecasts, **({} if run.measured is None else {run.measured.rung: run.measured})}
    times = {name: learning_times(trajectory) for name, trajectory in rungs.items()}
    gamma = None if run.modes is None else run.modes.eigenvalues
    rows: list[list[Cell]] = []
    for j in range(max(len(tau) for tau in times.values())):
        value = None if gamma is None or j >= len(gamma) else gamma[j]
        rows.append([j + 1, _number(value), *(_number(tau[j]) if j < len(tau) else "–" for tau in times.values())])
    head = ["mode", "γ", *(rung(name).label for name in times)]
    shown = main_forecast(run.forecasts) if run.measured is None else run.measured.rung
    if shown is not None and rungs[shown].solution is None:  # a solvable model makes no training steps
        head.append(f"training step ({rung(shown).label})")
        steps = _training_steps(run, rungs[shown], times[shown])
        rows = [[*row, _count(steps, j)] for j, row in enumerate(rows)]
        epoch = run.settings.steps_per_epoch
        if epoch is not None:
            head.append("epoch")
            rows = [[*row, _count(steps / epoch, j, decimals=1)] for j, row in enumerate(rows)]
    return table(head, rows)


def _training_steps(run: Run, trajectory: Trajectory, times: np.ndarray) -> np.ndarray:
    """Training steps at effective times; NaN where they are not known or never come."""
    if trajectory.steps is not None:
        steps = np.interp(times, trajectory.times, trajectory.steps)
    else:
        steps = times / (run.settings.learning_rate or np.nan)
    return np.where(np.isfinite(times), steps, np.nan)


def _count(numbers: np.ndarray, index: int, decimals: int = 0) -> str:
    known = index < len(numbers) and np.isfinite(numbers[index])
    return f"{numbers[index]:,.{decimals}f}" if known else "–"


def _settings(run: Run) -> str:
    config, resolved = run.settings.config, run.settings.resolved
    rows = [[name, _plain(value)] for name, value in resolved.items()]
    rows += [[name, _plain(value)] for name, value in config.items() if name not in resolved and value is not None]
    command = escape(run.settings.command_line)
    return f"<p>Made by</p>\n<pre><code>{command}</code></pre>\n" + table(["setting", "value"], rows)


def _figure(run: Run, comparison: Comparison | None) -> str:
    """The static figure, as SVG inside the page."""
    epoch = run.settings.steps_per_epoch
    return _svg(lambda: run_figure(run.measured, run.forecasts, comparison, steps_per_epoch=epoch)[1], run.folder.name)


def _sweep_figure(swept: Sweep) -> str:
    """The figure of a sweep, as SVG inside the page."""
    return _svg(lambda: sweep_figure(swept), swept.folder.name)


def _svg(draw: Callable[[], Figure], name: str) -> str:
    """A figure in the house style, as SVG inside the page; the same numbers under the same name make the same text."""
    from matplotlib import pyplot as plt

    with style(), plt.rc_context({"svg.fonttype": "path", "svg.hashsalt": name}):
        figure, text = draw(), io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        plt.close(figure)
    return text.getvalue()[text.getvalue().index("<svg") :]


def _chart_data(run: Run) -> str:
    """Curves of the interactive figure and the names of its axes, as JSON that cannot end its script element."""
    curves, main = [], main_forecast(run.forecasts)
    if run.measured is not None:
        curves.append(_curve(run.measured.rung, run.measured, shown=True, measured=True))
    few = len(curves) + len(run.forecasts) < 3
    curves += [_curve(name, forecast, shown=few or name == main) for name, forecast in run.forecasts.items()]
    solved = next((forecast.solution for forecast in run.forecasts.values() if forecast.solution is not None), None)
    data: dict[str, Any] = {"curves": curves, "learningRate": run.settings.learning_rate}
    data |= {"quantity": "eigenvalues of C", "time": "effective time t = learning rate × step"}
    data |= {"logFrom": _start_of_time(run), "epoch": run.settings.steps_per_epoch}
    if solved is not None:  # a flow of its own, which makes no training steps
        data |= {"quantity": _without_tex(solved.quantity), "time": "gradient-flow time t", "learningRate": None}
    return json.dumps(data, allow_nan=False).replace("</", "<\\/")


def _start_of_time(run: Run) -> float | None:
    """Where a logarithmic axis of time begins, judged by the model that the static figure is judged by."""
    main = main_forecast(run.forecasts)
    judged = run.forecasts[main] if main is not None else run.measured
    return None if judged is None else start_of_logarithmic_time(learning_times(judged))


def _without_tex(label: str) -> str:
    """The label of an axis in plain characters, which need no typesetting in the page."""
    for tex, plain in (("$", ""), (r"\lambda", "λ"), ("_j", "ⱼ"), ("^T W", "ᵀW")):
        label = label.replace(tex, plain)
    return label


def _curve(name: str, trajectory: Trajectory, *, shown: bool, measured: bool = False) -> dict[str, Any]:
    """One model in the interactive figure, and whether it is `shown` before its name is clicked."""
    chosen = np.unique(np.linspace(0, len(trajectory.times) - 1, _POINTS).round().astype(int))
    u = np.nan_to_num(trajectory.eigenvalues[chosen], nan=0.0, posinf=0.0, neginf=0.0)
    learned = learning_times(trajectory)
    return {
        "name": rung(name).label,
        "measured": measured,
        "shown": shown,
        "times": [float(f"{t:.6g}") for t in trajectory.times[chosen]],
        "steps": None if trajectory.steps is None else trajectory.steps[chosen].tolist(),
        "eigenvalues": [[float(f"{value:.4g}") for value in mode] for mode in u.T],
        "learned": [float(f"{t:.6g}") for t in learned[np.isfinite(learned)]],
    }


def _number(value: float | None, decimals: int | None = None) -> str:
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"


def _percent(value: float | None) -> str:
    if value is None or np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞"
    return f"{100 * value:.1f} %" if value >= 5e-4 else "less than 0.1 %"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
