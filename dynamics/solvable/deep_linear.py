"""Barlow Twins with a deep linear network whose layers start balanced: steps with algebraic escape.

N layers of equal singular values, with product s along a mode, descend (1 − γs²)² at

    ṡ = 4Nγ s^{3−2/N} (1 − γs²) .

N = 1 is the linearised network. N = 2 gives 8γs²(1 − γs²), which leaves its start after the time 1/(8γ s(0)): a small
start costs in proportion to its size, no longer to its logarithm, and modes are spread in time as 1/γ_j. The same law
holds mode by mode only for layers that start aligned with the modes and with each other.

>>> import numpy as np
>>> from dynamics.solvable.task import Task
>>> task = Task(np.array([0.5]), np.array([1.0]), np.full((1, 1), 1e-4), np.array([1e-4]))
>>> (8 * 0.5 * 1e-4 * deep_linear_times(task, depth=2)).round(3)
array([1.])
"""

import numpy as np
from jaxtyping import Float

from dynamics.solvable.saddle import escape, escape_times
from dynamics.solvable.task import Task
from dynamics.trajectories.trajectory import Trajectory

DEPTH = 2


def deep_linear(task: Task, times: Float[np.ndarray, " times"], *, depth: int = DEPTH) -> Trajectory:
    """Solve a balanced linear network of `depth` layers exactly.

    Parameters
    ----------
    task : Task
        Modes of the pairs, with the start; `weights` is the product of the layers along each mode.
    times : array (T,)
        Gradient-flow times, ascending from 0.
    depth : int
        Number N of layers, all of them counted.

    Returns
    -------
    Trajectory
        `eigenvalues` are those of the cross-correlation, γ_j s_j², column j of mode j; `loss` is ‖C − I‖².
    """
    x = escape(*_law(task, depth), times)
    return Trajectory(
        times=times,
        eigenvalues=x,
        loss=((1.0 - x) ** 2).sum(axis=1),
        rung="deep_linear",
        solution=task.solved((task.strength > 0).astype(float)),
        meta={"depth": depth},
    )


def deep_linear_times(task: Task, *, depth: int = DEPTH) -> Float[np.ndarray, " dim"]:
    """Exact times at which γ_j s_j² reaches ½.

    From a small start with N > 1 they are about s_j(0)^{2/N−2}/(8γ_j(N − 1)).
    """
    return escape_times(*_law(task, depth))


def _law(task: Task, N: int) -> tuple[np.ndarray, float, np.ndarray]:
    """κ, b and x(0) of x = γs²."""
    gamma = task.strength
    return 8 * N * gamma ** (1 / N), 2 - 1 / N, gamma * task.weights**2
