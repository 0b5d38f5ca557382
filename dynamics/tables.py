"""What the command line prints: the forecast before training, and the ladder after it."""

import numpy as np
from rich.table import Table

from dynamics.comparison import Comparison
from dynamics.experiment import Experiment
from dynamics.plotting import label_of


def forecast_table(experiment: Experiment) -> Table:
    """Mode, γ, step time and training step of every dimension, before anything is trained."""
    table = Table(title="Forecast (closed form)", title_justify="left", box=None, pad_edge=False)
    for column in ("mode", "γ", "step time t", "training step", "separation"):
        table.add_column(column, justify="right")
    gamma = experiment.modes.eigenvalues
    for j, tau in enumerate(experiment.mode_step_times):
        collapses = not np.isfinite(tau)
        table.add_row(
            str(j + 1),
            f"{gamma[j]:.4g}" if j < len(gamma) else "0",
            "never" if collapses else f"{tau:.4g}",
            "–" if collapses else f"{tau / experiment.learning_rate:,.0f}",
            _separation(experiment, j),
        )
    return table


def _separation(experiment: Experiment, j: int) -> str:
    """Whether step j + 1 comes visibly after step j: ln(1/u_0)(γ_j/γ_{j+1} − 1) ≳ 4.4."""
    tau, gamma = experiment.mode_step_times, experiment.modes.eigenvalues
    if j + 1 >= len(tau) or not np.isfinite(tau[j + 1]):
        return ""
    growth = 8.0 * gamma[j + 1] * tau[j + 1]  # = ln(1/u_0) up to rounding
    return "clear" if growth * (gamma[j] / gamma[j + 1] - 1.0) > 4.4 else "blurs into the next"


def comparison_table(comparison: Comparison, learning_rate: float) -> Table:
    """Predicted over measured step time of every forecast, mode by mode, and the subspace overlap at every plateau."""
    table = Table(title="Predicted / measured step time", title_justify="left", box=None, pad_edge=False)
    table.add_column("mode", justify="right")
    table.add_column("γ", justify="right")
    table.add_column("measured\nat step", justify="right")
    for name in comparison.step_time_ratio:
        table.add_column(label_of(name).replace(" ", "\n", 1), justify="right")
    table.add_column("subspace\noverlap", justify="right")
    measured = comparison.step_times[comparison.measured]
    overlaps = {plateau.learned: plateau.overlap for plateau in comparison.subspace_overlap}
    for j, reached in enumerate(measured):
        ratios = (comparison.step_time_ratio[name][j] for name in comparison.step_time_ratio)
        table.add_row(
            str(j + 1),
            f"{comparison.eigenvalues_gamma[j]:.4g}" if j < len(comparison.eigenvalues_gamma) else "0",
            f"{reached / learning_rate:,.0f}" if np.isfinite(reached) else "not reached",
            *("–" if np.isnan(ratio) else f"{ratio:.3f}" for ratio in ratios),
            f"{overlaps[j + 1]:.3f}" if j + 1 in overlaps else "–",
        )
    errors = (comparison.median_error(name) for name in comparison.step_time_ratio)
    table.add_section()
    table.add_row("", "", "median error", *("–" if np.isnan(e) else f"{100 * e:.1f} %" for e in errors), "")
    return table
