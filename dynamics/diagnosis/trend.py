"""Trend: how fast a positive quantity has been growing of late, with the error of that statement.

>>> import numpy as np
>>> steps = np.arange(0, 100, 10)
>>> trend = trend_of(steps, np.exp(0.01 * steps))
>>> round(trend.rate, 4), trend.grows, trend.falls
(0.01, True, False)
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

FEWEST = 6  # records that a trend needs
SHARE = 0.25  # of the run so far, over which a trend is taken
LATELY = 0.1  # of the run so far, for what moves at this moment
MOVED = 0.05  # relative change over that time that counts as a movement; chosen by eye


class Trend(NamedTuple):
    """Least-squares line of the logarithm of a quantity over the last part of a run."""

    rate: float
    """Slope of the logarithm, per step."""
    change: float
    """Change of the logarithm over the window."""
    error: float
    """Standard error of this change."""

    @property
    def grows(self) -> bool:
        """Whether it has grown by more than 5 % and by more than twice the error."""
        return bool(self.change > max(MOVED, 2 * self.error))

    @property
    def falls(self) -> bool:
        """Whether it has fallen by more than 5 % and by more than twice the error."""
        return bool(self.change < -max(MOVED, 2 * self.error))


def window(steps: Int[np.ndarray, " records"], share: float = SHARE) -> slice:
    """The records of the last quarter, or another share, of the steps; at least six."""
    since = steps[-1] - share * (steps[-1] - steps[0])
    return slice(min(int(np.searchsorted(steps, since)), max(len(steps) - FEWEST, 0)), len(steps))


def trend_of(steps: Int[np.ndarray, " records"], values: Float[np.ndarray, " records"], share: float = SHARE) -> Trend:
    """Trend of a quantity over the last quarter, or another share, of the steps.

    Values that are zero or negative have no logarithm. A quantity that is not positive throughout the window has the
    trend 0, unless it was positive at its beginning and is not at its end: then it falls without bound.
    """
    late = window(steps, share)
    t, v = steps[late].astype(np.float64), values[late]
    if len(v) < FEWEST:
        return Trend(0.0, 0.0, 0.0)
    if not (v > 0).all():
        gone = v[0] > 0 and v[-1] <= 0
        return Trend(-np.inf, -np.inf, 0.0) if gone else Trend(0.0, 0.0, 0.0)
    t, y = t - t.mean(), np.log(v)
    slope = float(t @ y / (t @ t))
    residual = y - y.mean() - slope * t
    error = float(np.sqrt(residual @ residual / (len(t) - 2) / (t @ t)))
    return Trend(slope, slope * np.ptp(t), error * np.ptp(t))
