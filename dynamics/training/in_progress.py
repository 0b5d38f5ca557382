"""What a run has recorded so far, handed on while it goes on.

>>> import numpy as np
>>> from dynamics.trajectories.trajectory import Trajectory
>>> shown = []
>>> in_progress = InProgress(shown.append, every=0.0)
>>> in_progress(lambda: Trajectory(np.zeros(1), np.zeros((1, 2)), np.ones(1)))
>>> len(shown)
1
"""

import time
from collections.abc import Callable

from dynamics.trajectories.trajectory import Trajectory

EVERY_SECONDS = 10.0
MOST_OF_THE_TIME = 0.02
"""Handing on takes at most this share of the time of a run."""


class InProgress:
    """Calls a function with the records of a run so far, every few seconds.

    Parameters
    ----------
    report : callable, optional
        Function that takes the trajectory so far, to write it or to show it. Without it nothing is done.
    every : float, optional
        Least number of seconds between two calls; `EVERY_SECONDS` by default.
    """

    def __init__(self, report: Callable[[Trajectory], None] | None, every: float | None = None):
        self._report, self._every = report, EVERY_SECONDS if every is None else every
        self._next = time.monotonic() + self._every

    def __call__(self, so_far: Callable[[], Trajectory]) -> None:
        """Hand on what `so_far` returns, if that is due."""
        began = time.monotonic()
        if self._report is None or began < self._next:
            return
        self._report(so_far())
        now = time.monotonic()
        self._next = now + max(self._every, (now - began) / MOST_OF_THE_TIME)
