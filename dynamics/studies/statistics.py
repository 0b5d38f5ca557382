"""Intervals of confidence for what a study measures over several seeds."""

import numpy as np
import scipy.stats
from jaxtyping import Float


def half_width(sample: Float[np.ndarray, " seeds"]) -> float:
    """Half of the 95 % confidence interval of the mean of independent seeds, by Student's t distribution."""
    n = len(sample)
    return float(scipy.stats.t.ppf(0.975, n - 1) * sample.std(ddof=1) / np.sqrt(n))
