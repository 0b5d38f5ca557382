"""The verdict on a run: not started, k of d dimensions learned, or collapsed.

One criterion serves the command line, the report and the notebooks. It knows the objective through `learning_times`.

>>> import numpy as np
>>> from dynamics.trajectories.trajectory import Trajectory
>>> t = np.linspace(0, 1, 50)
>>> u = np.stack([t, 0.1 * t], axis=1)
>>> verdict_of(Trajectory(t, u, loss=1 - t)).describe()
'1 of 2 dimensions learned'
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool

from dynamics.trajectories.comparison import final_values, learning_times, least_eigenvalue
from dynamics.trajectories.trajectory import Trajectory

_LOST = 0.1
"""A dimension is lost if it ends below this share of the largest eigenvalue that it had."""


@dataclass(frozen=True)
class Verdict:
    """What a run has learned.

    Parameters
    ----------
    kind : {"not started", "learned", "collapsed"}
        `collapsed` if dimensions were there and all of them are lost at the end; `not started` if none was ever there;
        `learned` otherwise.
    learned : int
        Number k of dimensions that were learned, by `learning_times`, and not there at the first record.
    from_the_start : int
        Number of dimensions that were there at the first record, as those of a network that does not start small.
    dim : int
        Number d of embedding dimensions.
    """

    kind: Literal["not started", "learned", "collapsed"]
    learned: int
    from_the_start: int
    dim: int

    def describe(self) -> str:
        """Say it in words, without a full stop."""
        of = f"of {self.dim} dimension{'s' * (self.dim != 1)}"
        if self.kind == "collapsed":
            return f"0 {of} learned: the embedding has collapsed, and what it had is lost"
        if self.kind == "not started":
            return f"0 {of} learned: learning has not started"
        there = f", {self.from_the_start} there from the start" if self.from_the_start else ""
        return f"{self.learned} {of} learned{there}"


def verdict_of(trajectory: Trajectory) -> Verdict:
    """The verdict on a trajectory of any rung and objective.

    Parameters
    ----------
    trajectory : Trajectory
        The run, or the part of it that has been recorded.
    """
    if not len(trajectory.times):
        return Verdict("not started", 0, 0, trajectory.dim)
    times = learning_times(trajectory)
    if _has_collapsed(trajectory):
        return Verdict("collapsed", 0, 0, trajectory.dim)
    learned, there = int((times > trajectory.times[0]).sum()), int((times <= trajectory.times[0]).sum())
    return Verdict("learned" if learned + there else "not started", learned, there, trajectory.dim)


def _has_collapsed(trajectory: Trajectory) -> bool:
    """Whether some dimensions were there, and every one of them is lost at the end.

    A solved model has not collapsed: its modes end where it says. Nor has a run that diverged: it has no end.
    """
    u = trajectory.eigenvalues
    end = final_values(u)
    if trajectory.solution is not None or not np.isfinite(end).all():
        return False
    peak = np.nanmax(u, axis=0)
    there: Bool[np.ndarray, " dim"] = peak >= (0.5 if trajectory.objective is None else least_eigenvalue(trajectory))
    return bool(there.any() and (end[there] < _LOST * peak[there]).all())
