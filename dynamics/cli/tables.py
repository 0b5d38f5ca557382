"""What the command line prints: the forecast before training, the ladder after it, and the claims of a study."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.box import HORIZONTALS
from rich.table import Table
from rich.text import Text

from dynamics.experiment.forecasting import Forecast
from dynamics.experiment.objective import as_learned
from dynamics.flow.learned_first import LearnedFirst
from dynamics.objectives.escape import Escape
from dynamics.objectives.registry import get_objective
from dynamics.studies.claims import Claim
from dynamics.trajectories.ahead import one_ahead
from dynamics.trajectories.comparison import (
    Comparison,
    KernelOverlaps,
    distinct_steps,
    half_times,
    still_since,
)
from dynamics.trajectories.ladder import rung
from dynamics.trajectories.trajectory import Trajectory
from dynamics.trajectories.verdict import verdict_of

_VERDICT_COLOURS = {"holds": "green", "fails": "red", "unknown": "yellow"}


def forecast_table(ahead: Forecast) -> Table:
    """Mode, γ, step time and training step of every dimension: before training, or in the light of a run so far."""
    title = "Forecast, updated from the run" if ahead.known_until else f"Forecast ({ahead.model})"
    table = Table(title=title if ahead.predicts else "Modes", title_justify="left", box=None, pad_edge=False)
    for column in ("mode", "γ", "step time t", "training step", "separation", "held-out\nagreement"):
        table.add_column(column, justify="right")
    first_of_blur = {first for first, _ in ahead.blurred}
    for j, tau in enumerate(ahead.step_times, start=1):
        agreement = np.nan if ahead.agreement is None else ahead.agreement[j - 1]
        last = ["–" if np.isnan(agreement) else f"{agreement:.2f}"]
        if not ahead.predicts:
            table.add_row(str(j), f"{ahead.eigenvalues[j - 1]:.4g}", "unknown", "unknown", "", *last)
            continue
        collapses = not np.isfinite(tau)
        separation = "" if j == len(ahead.step_times) or not np.isfinite(ahead.step_times[j]) else "clear"
        table.add_row(
            str(j),
            f"{ahead.eigenvalues[j - 1]:.4g}",
            "never" if collapses else f"{tau:.4g}",
            "–" if collapses else f"{tau / ahead.learning_rate:,.0f}",
            "measured" if tau <= ahead.known_until else "blurs into the next" if j in first_of_blur else separation,
            *last,
        )
    return table


def forecast_answers(ahead: Forecast, by_step: int | None = None) -> str:
    """The questions that a forecast answers, in sentences: how long for all, what by a step, which rate is stable."""
    dims, finite = len(ahead.step_times), int(np.isfinite(ahead.step_times).sum())
    lines = []
    if finite < dims:
        lines.append(f"{dims - finite} of {dims} dimensions are never learned: the pairs and the kernel offer no mode.")
    if ahead.predicts:
        lines += _when_learned(ahead, finite, by_step)
    lines += caveats(ahead)
    rate, limit = ahead.learning_rate, ahead.stability_limit
    lines.append(f"Learning rate {rate:.4g}; descent is stable below {limit:.4g}.")
    return "\n".join(lines)


def _when_learned(ahead: Forecast, finite: int, by_step: int | None) -> list[str]:
    lines = []
    needed = ahead.steps_for(finite) if finite else None
    if needed is not None:
        learned = "1 dimension is" if finite == 1 else f"{finite} dimensions are"
        lines.append(f"{learned} half learned after {needed:,} steps.")
    if by_step is not None:
        lines.append(f"After {by_step:,} steps: {ahead.learned_by(by_step)} of {len(ahead.step_times)}.")
    if ahead.blurred:
        pairs = ", ".join(f"{a} and {b}" for a, b in ahead.blurred)
        lines.append(f"Modes that rise as one step: {pairs}.")
    return lines


def caveats(ahead: Forecast) -> list[str]:
    """What a reader of the forecast must know: that no kernel predicts the start, or that the modes are accidental."""
    lines = []
    if not ahead.predicts:
        lines.append(
            "When a dimension is learned is not known: no kernel predicts a start with all weights small. "
            "The modes are those of the kernel of the unscaled network."
        )
    if ahead.algebraic:
        lines.append(
            "With all weights small, times come from the path from saddle to saddle; γ and the agreement are those of "
            "the kernel of the unscaled network, which does not predict this start."
        )
    if ahead.generalises is False and ahead.agreement is not None:
        lines.append(
            "These modes do not generalise: on pairs left out of the fit, partners agree no more than by chance "
            f"(mean correlation {np.nanmean(ahead.agreement):.2f}). A network learns what these pairs share by "
            "accident; give more pairs, or pairs whose partners share something."
        )
    return lines


def comparison_table(comparison: Comparison, learning_rate: float) -> Table:
    """Predicted over measured step time of every forecast, mode by mode, and the subspace overlap at every plateau."""
    title = "Predicted / measured step time"  # the whole ladder fits into 80 columns
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("mode", justify="right")
    table.add_column("γ", justify="right")
    table.add_column("measured\nat step", justify="right")
    for name in comparison.step_time_ratio:
        table.add_column(_in_two_lines(rung(name).label), justify="right")
    table.add_column("subspace\noverlap", justify="right")
    measured = comparison.step_times[comparison.measured]
    overlaps = {plateau.learned: plateau.overlap for plateau in comparison.subspace_overlap}
    for j, reached in enumerate(measured):
        ratios = (comparison.step_time_ratio[name][j] for name in comparison.step_time_ratio)
        table.add_row(
            str(j + 1),
            f"{comparison.eigenvalues_gamma[j]:.3g}" if j < len(comparison.eigenvalues_gamma) else "0",
            f"{reached / learning_rate:,.0f}" if np.isfinite(reached) else "never",
            *("–" if np.isnan(ratio) else f"{ratio:.3f}" for ratio in ratios),
            f"{overlaps[j + 1]:.3f}" if j + 1 in overlaps else "–",
        )
    errors = (comparison.median_error(name) for name in comparison.step_time_ratio)
    table.add_section()
    table.add_row("", "", "median\nerror", *("–" if np.isnan(e) else f"{100 * e:.1f} %" for e in errors), "")
    missing = (str(comparison.missing_steps(name)) for name in comparison.step_time_ratio)
    table.add_row("", "", "missing\nsteps", *missing, "")
    return table


_HEADS = {
    "linearised": "linear-\nised",
    "bilinear": "bi-\nlinear",
    "relinearised": "relin-\nearised",
    "infinite width": "infin.\nwidth",
}
"""Heads of columns that are shorter than their labels: with them the whole ladder fits into 80 columns."""


def _in_two_lines(label: str) -> str:
    """Break a column's head at its space, or where `_HEADS` says."""
    return _HEADS.get(label, label.replace(" ", "\n", 1))


def solution_table(trajectory: Trajectory) -> Table:
    """Mode, γ, ρ, end value and step time of every dimension of a solvable model.

    Raises
    ------
    ValueError
        If the trajectory is not that of a solvable model with its step times.
    """
    solution, times = trajectory.solution, trajectory.mode_step_times
    if solution is None or times is None:
        raise ValueError(f"The trajectory of {trajectory.rung} is not that of a solvable model.")
    title = f"{rung(trajectory.rung).label}, {solution.source}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("mode", "γ", "ρ", "end value", "half learned at t"):
        table.add_column(column, justify="right")
    columns = zip(solution.gamma, solution.correlation, solution.targets, times, strict=True)
    for j, (gamma, rho, target, tau) in enumerate(columns, start=1):
        reached = f"{tau:.4g}" if np.isfinite(tau) else "never"
        table.add_row(str(j), f"{gamma:.4g}", f"{rho:.3f}", f"{target:.4g}", reached)
    return table


def objective_table(trajectory: Trajectory, first: LearnedFirst | None, learning_rate: float) -> Table:
    """Rate at the start, end value and time of half of it, for every dimension under another objective."""
    title = f"Forecast ({rung(trajectory.rung).label}, {trajectory.objective})"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("dimension", "rate of mode", "end value", "half learned at t", "training step"):
        table.add_column(column, justify="right")
    learned = as_learned(trajectory)
    reached, end = half_times(learned), learned.eigenvalues[-1]
    for j, time in enumerate(reached):
        rate = "–" if first is None or j >= len(first.modes.rates) else f"{first.modes.rates[j]:.4g}"
        when = ("never", "–") if np.isnan(time) else (f"{time:.4g}", f"{time / learning_rate:,.0f}")
        table.add_row(str(j + 1), rate, f"{end[j]:.4g}", *when)
    return table


def objective_line(name: str, law: Escape, first: LearnedFirst | None) -> str:
    """How an objective leaves its small start, and what rates and end values of the table are, in a sentence or two."""
    line = {
        "exponential": "It leaves a small start exponentially, one mode after the other",
        "algebraic": "It leaves a small start algebraically, later than any exponential law would",
        "finite time": "Its force does not vanish at zero, so it leaves a small start in finite time",
        "inward": "Its force points inwards at zero: embeddings that start too small shrink and stay small",
        "direction": "It sees directions alone, so the size of the start does not count",
    }[law.law]
    rates = "" if first is None else "; the rates are of amplitudes per unit of effective time"
    if first is not None and first.about == "direction":
        rates += ", about a common direction of all embeddings of length 1"
    line = f"{line} (force ∝ size^{law.order:g}{rates})."
    if not get_objective(name).compares_partners:
        line += (
            " It does not see which views are partners: end values and times are of the covariance of the embeddings, "
            "and a dimension may be learned in which partners disagree."
        )
    return line


def steps_line(trajectory: Trajectory) -> str:
    """The verdict on a run, how many of its steps are distinct, and since when it stands still."""
    verdict, distinct = verdict_of(trajectory), len(distinct_steps(trajectory))
    line = f"{verdict.describe()}"
    if verdict.learned:
        line += (
            f"; {distinct} of these steps {'is' if distinct == 1 else 'are'} distinct\n"
            "(a step is distinct if it reaches half of its end before the next reaches a tenth of its own)"
        )
    since = still_since(trajectory)
    if verdict.learned < trajectory.dim and since < len(trajectory.times) // 2:
        moment = (
            f"t = {trajectory.times[since]:.4g}" if trajectory.steps is None else f"step {trajectory.steps[since]:,}"
        )
        line += f"; nothing has moved since {moment}"
    return f"{line}."


def rate_line(trajectory: Trajectory) -> str:
    """Where a learning rate that followed the stability limit began, how low it came, and where it ended."""
    rates = trajectory.metrics["learning_rate"]
    least, most = rates.min(), rates.max()
    return f"The learning rate went from {rates[0]:.2g} to {rates[-1]:.2g}, between {least:.2g} and {most:.2g}."


def probes_line(trajectory: Trajectory) -> str:
    """What probes read from the features at the first and at the last step at which they were asked."""
    linear, knn = (trajectory.metrics[f"{kind}_accuracy"] for kind in ("linear", "knn"))
    asked = np.flatnonzero(np.isfinite(linear))
    return "\n".join(
        f"Class from the backbone's features at step {trajectory.steps[i]:,}: linear {linear[i]:.1%}, k-NN {knn[i]:.1%}"
        for i in np.unique([*asked[:1], *asked[-1:]]).astype(int)
    )


def recipe_table(measured: Trajectory, forecasts: Mapping[str, Trajectory]) -> Table:
    """Time at which each dimension is half learned by a practical network, and that of each forecast over it."""
    table = Table(title="Half learned: predicted / measured time", title_justify="left", box=None, pad_edge=False)
    table.add_column("mode", justify="right")
    table.add_column("measured\nat t", justify="right")
    for name in forecasts:
        table.add_column(rung(name).label.replace(" ", "\n", 1), justify="right")
    reached = half_times(measured)
    with np.errstate(divide="ignore", invalid="ignore"):  # a dimension that is there at t = 0 was not learned
        ratios = {name: np.where(reached > 0, half_times(f) / reached, np.nan) for name, f in forecasts.items()}
    for j, time in enumerate(reached):
        shown = (ratios[name][j] for name in forecasts)
        cells = ("–" if np.isnan(ratio) else f"{ratio:.2f}" for ratio in shown)
        table.add_row(str(j + 1), f"{time:.3g}" if np.isfinite(time) else "never", *cells)
    return table


def ahead_line(measured: Trajectory) -> str:
    """How well the run itself foretold each next dimension; the range is that of figures/practical_steps.json."""
    with np.errstate(invalid="ignore"):
        ratios = one_ahead(measured) / half_times(measured)
    told = [
        f"{j} {ratio:.2f}" if np.isfinite(ratio) else f"{j} not growing yet"
        for j, ratio in enumerate(ratios, start=1)
        if not np.isnan(ratio)
    ]
    if not told:
        return "No dimension came after another one, so none could be foretold from the run itself."
    return (
        f"Foretold by the run when the one before was half learned, predicted / measured: {', '.join(told)}. "
        "In small runs of three methods and three seeds this was 0.65 to 2.30."
    )


def overlap_table(found: KernelOverlaps) -> Table:
    """Share of the learned subspace that the strongest modes of each kernel explain, at the start and at the end."""
    table = Table(title="Overlap with the strongest modes", title_justify="left", box=None, pad_edge=False)
    for column in ("kernel", "embedding at the start", "at the end"):
        table.add_column(column, justify="left" if column == "kernel" else "right")
    for name, values in found.overlaps.items():
        table.add_row(name, f"{values[0]:.3f}", f"{values[-1]:.3f}")
    table.add_row("chance", f"{found.chance:.3f}", f"{found.chance:.3f}")
    return table


def claims_table(claims: Sequence[Claim]) -> Table:
    """Every claim of a study with what was expected, what was measured and the verdict, readable on 80 columns."""
    table = Table(
        title="Claims", title_justify="left", box=HORIZONTALS, show_lines=True, show_edge=False, pad_edge=False
    )
    table.add_column("claim", ratio=1, overflow="fold")
    table.add_column("expected", justify="right", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for claim in claims:
        table.add_row(
            Text(claim.claim).append(f"\n{claim.source}", style="dim"),
            claim.expectation,
            claim.measurement,
            Text(claim.verdict, style=_VERDICT_COLOURS[claim.verdict]),
        )
    return table
