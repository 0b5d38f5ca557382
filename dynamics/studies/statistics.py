"""What a study may say of several seeds: intervals of confidence, and methods chosen on other seeds than measured."""

from collections.abc import Mapping

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float


def half_width(sample: Float[np.ndarray, " seeds"]) -> float:
    """Half of the 95 % confidence interval of the mean of independent seeds, by Student's t distribution.

    Infinite if a number of the sample is not finite, such as the time of a step that never came.
    """
    n = len(sample)
    if not np.isfinite(sample).all():
        return np.inf
    return float(scipy.stats.t.ppf(0.975, n - 1) * sample.std(ddof=1) / np.sqrt(n))


def lower_end(sample: Float[np.ndarray, " seeds"]) -> float:
    """Lower end of the 95 % confidence interval of the mean: what a claim that a mean is positive is judged by."""
    half = half_width(sample)
    return float(sample.mean()) - half if np.isfinite(half) else -np.inf


def of_the_best(scores: Mapping[str, Float[np.ndarray, " seeds"]]) -> Float[np.ndarray, " seeds"]:
    """Score on every seed of the method that is best on the mean of all other seeds.

    Whoever picks the best method on the seeds that he then measures it on measures the luck of the pick, too.

    Parameters
    ----------
    scores : mapping
        Method -> its scores (S,), S ≥ 2.
    """
    table = np.stack(list(scores.values()))
    others = table.sum(axis=1, keepdims=True) - table
    return table[others.argmax(axis=0), np.arange(table.shape[1])]


def share_above(share: Bool[np.ndarray, " seeds"], other: Bool[np.ndarray, " seeds"]) -> tuple[float, float]:
    """Difference of two shares of seeds, and the lower end of its 95 % interval (Agresti & Caffo 2000).

    Parameters
    ----------
    share, other : array (S,), (S',)
        Whether each seed succeeded.
    """
    (p, n), (q, m) = (((np.sum(x) + 1) / (len(x) + 2), len(x) + 2) for x in (share, other))
    half = scipy.stats.norm.ppf(0.975) * np.sqrt(p * (1 - p) / n + q * (1 - q) / m)
    return float(np.mean(share) - np.mean(other)), float(p - q - half)
