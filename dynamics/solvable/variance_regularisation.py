"""Implicit variance regularisation: what is learned, and how slowly, if the predictor is the embeddings' covariance.

DirectPred sets the predictor to the covariance of the embeddings, W_p = E[zzᵀ], instead of learning it. Its eigenvalue
λ_j along a mode then obeys λ̇ = 2vλ²(ρ − λ): modes are slow in proportion to how little they are learned. IsoLoss
weighs the error so that this factor is gone, λ̇ = 2vλ(ρ − λ): all modes grow at one relative rate (Halvagal et al. 2023,
for views without noise and of unit variance, v = ρ = 1, where these are λ̇ = 2λ²(1 − λ) and λ̇ = 2λ(1 − λ)).

>>> import numpy as np
>>> from dynamics.solvable.task import Task
>>> task = Task(np.ones(1), np.ones(1), np.full((1, 1), 0.1), np.array([0.1]))
>>> variance_regularisation_times(task).round(2), variance_regularisation_times(task, isotropic=True).round(2)
(array([51.3]), array([2.3]))
"""

import numpy as np
from jaxtyping import Float

from dynamics.solvable.saddle import escape, escape_times
from dynamics.solvable.task import Task
from dynamics.trajectories.trajectory import Trajectory


def variance_regularisation(task: Task, times: Float[np.ndarray, " times"], *, isotropic: bool = False) -> Trajectory:
    """Eigenvalues of the embeddings' covariance under the Euclidean loss or IsoLoss, in closed form.

    Parameters
    ----------
    task : Task
        Modes of the pairs, with the start.
    times : array (T,)
        Gradient-flow times, ascending from 0.
    isotropic : bool
        Whether to use IsoLoss in place of the Euclidean loss ½ E‖W_p z − sg(z')‖².

    Returns
    -------
    Trajectory
        `eigenvalues` (and `covariance`) are λ_j, with mode j in column j; they end at ρ_j. `loss` is the Euclidean
        loss.
    """
    kappa, order, x0, rho = _law(task, isotropic)
    lam = rho * escape(kappa, order, x0, times)
    return Trajectory(
        times=times,
        eigenvalues=lam,
        loss=0.5 * (lam * (lam**2 - 2 * lam * rho + 1)).sum(axis=1),
        covariance=lam,
        rung="isoloss" if isotropic else "variance_regularisation",
        solution=task.solved(rho, quantity=r"$\lambda_j$, variance of the embedding", loss_name="Euclidean loss"),
    )


def variance_regularisation_times(task: Task, *, isotropic: bool = False) -> Float[np.ndarray, " dim"]:
    """Exact times at which each λ_j reaches half its end value; infinite for modes that are not learned."""
    kappa, order, x0, _ = _law(task, isotropic)
    return escape_times(kappa, order, x0)


def _law(task: Task, isotropic: bool) -> tuple[np.ndarray, int, np.ndarray, np.ndarray]:
    gamma, rho = task.strength, task.correlation
    alive = rho > 0
    v = np.where(alive, gamma / np.where(alive, rho, 1.0), 0.0)
    x0 = np.where(alive, v * task.weights**2 / np.where(alive, rho, 1.0), 0.0)
    return (2 * v * rho, 1, x0, rho) if isotropic else (2 * v * rho**2, 2, x0, rho)
