"""Barlow Twins with the gradient preconditioned by Γ^{−1}: all modes grow at one rate.

A linear encoder W has ∇_W L = 4(C − I)WΓ. Multiplied by Γ^{−1} the flow is Ẇ = 4(I − C)W, so that Γ is gone from it and

    C(t) = e^{8t} C₀ [I + (e^{8t} − 1) C₀]^{−1}

from any start (Simon et al. 2023 suggest preconditioning to train faster). Without Γ two things change. Rows of W stay
in the span that they start in, so which modes are learned is no longer decided by γ but by the start. And where
partners disagree, γ_j < 0, descent has become ascent: the eigenvalue of such a C₀ runs to −∞ in finite time.
Preconditioning within the d strongest modes only, as here and in `dynamics.training`, avoids both.

>>> import numpy as np
>>> C0 = np.diag([1e-4, 1e-6])
>>> np.diag(preconditioned_correlation(C0, np.array([2.0]))[0]).round(4)
array([0.9989, 0.8988])
"""

import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.solvable.saddle import escape, escape_times
from dynamics.solvable.task import Task
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array


def preconditioned_correlation(
    start: Float[Array, "dim dim"], times: Float[np.ndarray, " times"]
) -> Float[np.ndarray, "times dim dim"]:
    """Return C(t) from a positive semi-definite C₀ with eigenvalues below 1.

    Raises
    ------
    ConfigError
        If an eigenvalue of C₀ is negative beyond rounding, or not below 1.
    """
    c0, Q = np.linalg.eigh(np.asarray(start, np.float64))
    if c0[0] < -1e-12 * max(abs(c0[0]), abs(c0[-1])):
        raise ConfigError(
            f"The initial correlation has the eigenvalue {c0[0]:.2g}, which preconditioned descent drives to -∞; "
            "precondition within the modes on which partners agree."
        )
    c = escape(np.full(c0.size, 8.0), 1, np.maximum(c0, 0.0), times)
    return (Q * c[:, None, :]) @ Q.T


def preconditioned(task: Task, times: Float[np.ndarray, " times"]) -> Trajectory:
    """Solve the flow preconditioned within the d strongest modes in closed form.

    Returns
    -------
    Trajectory
        `eigenvalues` are those of C in these modes, descending; `loss` is ‖C − I‖².
    """
    c = np.linalg.eigvalsh(preconditioned_correlation(np.diag(_start(task)), times))[:, ::-1]
    return Trajectory(
        times=times,
        eigenvalues=c,
        loss=((1.0 - c) ** 2).sum(axis=1),
        rung="preconditioned",
        solution=task.solved((task.strength > 0).astype(float)),
    )


def preconditioned_times(task: Task) -> Float[np.ndarray, " dim"]:
    """Exact times ln(1/c_j(0) − 1)/8 at which each eigenvalue of C reaches ½; infinite if it is not learned."""
    c0 = _start(task)
    learnable = int((task.strength > 0).sum())
    return escape_times(np.where(np.arange(task.dim) < learnable, 8.0, 0.0), 1, c0)


def _start(task: Task) -> np.ndarray:
    """Eigenvalues (d,) of C₀ = aᵀγa of the d strongest modes, without those on which partners disagree, descending.

    They keep their eigenvectors. What is rounding is zero, since e^{8t} makes of any other number one that is learned.
    """
    gamma = task.strength[: task.eigenvalues.size]
    a = np.asarray(task.coordinates)[: gamma.size]
    c = np.linalg.eigvalsh(a.T @ (gamma[:, None] * a))[::-1]
    return np.where(c > len(c) * np.finfo(float).eps * c[0], c, 0.0)
