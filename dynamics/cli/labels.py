"""What commands say about labels: how well probes will read them after each learned dimension, and how well they do."""

from collections.abc import Mapping

import numpy as np
from rich.table import Table

from dynamics.trajectories.label_bounds import accuracy_margin
from dynamics.trajectories.label_scores import ACCURACY, at_plateaus, plateau_starts, score_names, scored_forecast
from dynamics.trajectories.ladder import rung
from dynamics.trajectories.trajectory import Trajectory

_HEADS = ("linear,\nheld out", "k-NN,\nheld out", "linear,\non pairs")


def label_table(
    forecasts: Mapping[str, Trajectory], learning_rate: float, measured: Trajectory | None = None
) -> Table | None:
    """Scores of the probes on the plateau after each learned dimension, forecast and, with a run, measured.

    Parameters
    ----------
    forecasts : mapping
        Rung -> its trajectory.
    learning_rate : float
        η, which makes training steps of effective times.
    measured : Trajectory, optional
        The network's run.

    Returns
    -------
    Table, optional
        None if no forecast has scores.
    """
    forecast = scored_forecast(forecasts)
    if forecast is None:
        return None
    shown = [forecast] if measured is None else [forecast, measured]
    names = score_names(forecast) or ACCURACY
    what = "Accuracy of probes" if names == ACCURACY else "R² of probes"
    title = f"{what}, {' / '.join(rung(trajectory.rung).label for trajectory in shown)}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("dimensions\nlearned", "from step", *_HEADS):
        table.add_column(column, justify="right")
    columns = [[at_plateaus(trajectory, name) for trajectory in shown] for name in names]
    for r, start in enumerate(plateau_starts(forecast)):
        cells = (" / ".join(_cell(values, r, names == ACCURACY) for values in column) for column in columns)
        table.add_row(str(r + 1), f"{start / learning_rate:,.0f}", *cells)
    return table


def margin_line(forecasts: Mapping[str, Trajectory], held_out: int) -> str:
    """How far accuracies on so many held-out images may be from those on all images; empty for real targets."""
    forecast = scored_forecast(forecasts)
    if forecast is None or score_names(forecast) != ACCURACY:
        return ""
    return (
        f"A held-out accuracy is that on {held_out:,} images. With 95 % confidence, the accuracy of the same probe on\n"
        f"all such images is at most {100 * accuracy_margin(held_out):.1f} points from it (Hoeffding)."
    )


def _cell(values: np.ndarray, r: int, is_share: bool) -> str:
    if r >= len(values) or np.isnan(values[r]):
        return "–"
    return f"{values[r]:.1%}" if is_share else f"{values[r]:.3f}"
