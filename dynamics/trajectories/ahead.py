"""A run that forecasts itself: an eigenvalue that already grows tells its own rate.

>>> import numpy as np
>>> from dynamics.trajectories.trajectory import Trajectory
>>> t = np.linspace(0, 10, 201)
>>> u = 1 / (1 + np.exp(np.outer(t, [4.0, 2.0]) * -1 + np.array([8.0, 12.0])))  # half learned at t = 2 and t = 6
>>> one_ahead(Trajectory(t, eigenvalues=u, loss=((1 - u) ** 2).sum(axis=1))).round(2)
array([ nan, 5.65])

It comes out early here, because at t = 2 the half that is learned of the first is all that is known of where the second
will end.
"""

import numpy as np
from jaxtyping import Float

from dynamics.trajectories.comparison import half_times
from dynamics.trajectories.trajectory import Trajectory

# An eigenvalue that has grown by so many e-folds gives its own rate; the last few of them are the cleanest.
E_FOLDS_NEEDED, E_FOLDS_USED = 1.0, 3.0


def one_ahead(trajectory: Trajectory) -> Float[np.ndarray, " dim"]:
    """When each dimension is half learned, as forecast when the one before was, from the records until then.

    The eigenvalue goes on along the logistic curve of its last e-folds. Half learned is half of what the first
    dimension has reached by then, which is all that is known of where the others end.

    Returns
    -------
    array (d,)
        Effective times. NaN for the first dimension, for those that the run has not learned or had learned before the
        one before, and infinite for those that did not grow yet.
    """
    measured, t = half_times(trajectory), trajectory.times
    times = np.full(trajectory.dim, np.nan)
    for j in range(1, trajectory.dim):
        if not measured[j] > measured[j - 1]:
            continue
        until = slice(int(np.searchsorted(t, measured[j - 1])) + 1)
        u = trajectory.eigenvalues[until]
        times[j] = half_time_by_growth(t[until], u[:, j] / u[-1, 0])
    return times


def half_time_by_growth(times: Float[np.ndarray, " times"], u: Float[np.ndarray, " times"]) -> float:
    """When an eigenvalue reaches one half along the logistic curve of its last e-folds; infinite without growth."""
    rate, now = growth_rate(times, u), times[-1]
    return np.inf if rate is None else float(max(now, now + np.log(1 / u[-1] - 1) / rate))


def growth_rate(times: Float[np.ndarray, " times"], u: Float[np.ndarray, " times"]) -> float | None:
    """Slope of ln(u/(1 − u)) over the last e-folds of an eigenvalue that grows towards 1; None if it does not yet."""
    after_noise = np.flatnonzero(u <= 0)[-1] + 1 if (u <= 0).any() else 0
    t, u = times[after_noise:], u[after_noise:]
    if len(u) < 3 or u[-1] >= 1:
        return None
    log_odds = np.log(u / (1.0 - np.minimum(u, 1 - 1e-15)))
    window = log_odds >= log_odds[-1] - E_FOLDS_USED
    window[: np.flatnonzero(~window)[-1] + 1 if (~window).any() else 0] = False
    if window.sum() < 3 or np.ptp(log_odds[window]) < E_FOLDS_NEEDED:
        return None
    slope = float(np.polyfit(t[window], log_odds[window], 1)[0])
    return slope if slope > 0 else None
