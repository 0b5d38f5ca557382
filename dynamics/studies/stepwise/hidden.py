"""Hidden layers: whether their spectra rise in the steps of the embeddings."""

from collections.abc import Sequence

import numpy as np
import scipy.stats
from jaxtyping import Float

from dynamics.studies.claims import Claim
from dynamics.studies.statistics import half_width
from dynamics.studies.stepwise import PAPER
from dynamics.studies.stepwise.practical import HIDDEN, LOSSES, PracticalRun
from dynamics.studies.stepwise.three_losses import chosen, setting
from dynamics.trajectories.comparison import learning_times
from dynamics.trajectories.trajectory import Trajectory

LAST = HIDDEN[-1]


def rise_times(spectrum: Float[np.ndarray, "records layer"], times: Float[np.ndarray, " records"]) -> np.ndarray:
    """First time at which each eigenvalue is half way from its start to its end; NaN for one that does not rise."""
    start, end = spectrum[0], spectrum[-1]
    first = np.argmax(spectrum >= (start + end) / 2, axis=0)
    return np.where(end > start, times[first], np.nan)


def rises_at_steps(trajectory: Trajectory, layer: str = LAST) -> tuple[float, float]:
    """Agreement of step r of the embeddings with the rise of eigenvalue r of the layer, over the learned r.

    Returns
    -------
    order : float
        Rank correlation of the two times; 0 if fewer than three r are comparable or all times are one: no order.
    apart : float
        Median |log₂| of the ratio of the two times; infinite if none is comparable.
    """
    steps, rises = learning_times(trajectory), rise_times(trajectory.hidden[layer], trajectory.times)
    both = min(len(steps), len(rises))
    steps, rises = steps[:both], rises[:both]
    known = np.isfinite(steps) & np.isfinite(rises) & (steps > 0) & (rises > 0)
    if not known.any():
        return 0.0, np.inf
    apart = float(np.median(np.abs(np.log2(rises[known] / steps[known]))))
    if known.sum() < 3 or not np.ptp(steps[known]) or not np.ptp(rises[known]):
        return 0.0, apart
    return float(scipy.stats.spearmanr(steps[known], rises[known]).statistic), apart


def hidden_claims(runs: Sequence[PracticalRun], loss: str = "barlow-twins") -> list[Claim]:
    """The spectrum of the last hidden stage against the steps of the embeddings."""
    found = [run.trajectory for run in chosen(runs, loss, "small")]
    order, apart = np.array([rises_at_steps(each) for each in found]).T
    source = f"asked in {PAPER}, hidden layers; {setting(runs, loss)}; the bound is this project's"
    return [
        Claim.at_least(
            f"{LOSSES[loss]}, small start: eigenvalue r of the last hidden stage rises in the order of the steps r "
            "(rank correlation of the times)",
            source,
            bound=0.8,
            measured=order.mean(),
            interval=half_width(order),
        ),
        Claim.at_most(
            f"{LOSSES[loss]}, small start: and at about the time of step r (|log₂| of the ratio of the times, median "
            "over r)",
            f"{source}: a factor of two",
            bound=1.0,
            measured=apart.mean(),
            interval=half_width(apart),
        ),
    ]
