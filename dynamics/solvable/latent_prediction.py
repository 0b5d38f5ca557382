"""Predicting in latent space (JEPA) or in data space (MAE), and how depth changes it (Littwin et al. 2024).

An encoder of L linear layers with product w along a mode, and one linear predictor or decoder v on top, all of equal
size at the start, so that u = v = w^{1/L} throughout. x and y are partners with covariance λ and x has variance λ/ρ:

    JEPA, ½ E‖V W x − sg(W y)‖² :   ẇ = L (λ w^{3−1/L} − (λ/ρ) w³) ,   w → ρ^L ,
    MAE,  ½ E‖V W x − y‖² :         ẇ = L (λ w^{2−1/L} − (λ/ρ) w³) ,   w → ρ^{L/(L+1)} .

The paper writes both without the factor L, which comes from the L layers moving at once: its time is L times that of
gradient descent, which is the time here. The deeper the encoder is, the more JEPA's rate λρ^{2L−1} depends on ρ.

>>> import numpy as np
>>> from dynamics.solvable.task import Task
>>> task = Task(np.array([0.5]), np.array([1.0]), np.full((1, 1), 0.1), np.array([0.1]))
>>> jepa(task, np.array([0.0, 1e5]), depth=2).eigenvalues[-1], mae(task, np.array([0.0, 1e5]), depth=1).solution.targets
(array([0.25]), array([0.70710678]))
"""

import numpy as np
from jaxtyping import Float

from dynamics.solvable.saddle import escape, escape_times
from dynamics.solvable.task import Task
from dynamics.trajectories.trajectory import Trajectory

DEPTH = 2


def jepa(task: Task, times: Float[np.ndarray, " times"], *, depth: int = DEPTH) -> Trajectory:
    """Joint-embedding prediction with an encoder of `depth` linear layers.

    Parameters
    ----------
    task : Task
        Modes of the pairs, with the start.
    times : array (T,)
        Gradient-flow times, ascending from 0.
    depth : int
        Number L of layers of the encoder, without the predictor.

    Returns
    -------
    Trajectory
        `eigenvalues` are the encoder's w_j, with mode j in column j; `loss` is the loss of the module's docstring,
        which starts at 0 and rises as the encoder grows.
    """
    L = depth
    kappa, order, x0 = _jepa_law(task, L)
    lam, rho, variance = _signal(task)
    u = rho * escape(kappa, order, x0, times)
    loss = 0.5 * u ** (2 * L) * (variance * u**2 - 2 * lam * u + variance)
    return _trajectory("jepa", task, L, times, u, loss, rho**L)


def mae(task: Task, times: Float[np.ndarray, " times"], *, depth: int = DEPTH) -> Trajectory:
    """Masked autoencoding with an encoder of `depth` linear layers and a linear decoder; see `jepa`."""
    L = depth
    kappa, order, x0 = _mae_law(task, L)
    lam, rho, variance = _signal(task)
    u = (rho * escape(kappa, order, x0, times)) ** (1 / (L + 1))
    loss = 0.5 * (variance * u ** (2 * L + 2) - 2 * lam * u ** (L + 1) + variance)
    return _trajectory("mae", task, L, times, u, loss, rho ** (L / (L + 1)))


def jepa_times(task: Task, *, depth: int = DEPTH) -> Float[np.ndarray, " dim"]:
    """Exact times at which each w_j reaches half its end value; infinite for modes that are not learned."""
    return escape_times(*_jepa_law(task, depth), level=0.5 ** (1 / depth))


def mae_times(task: Task, *, depth: int = DEPTH) -> Float[np.ndarray, " dim"]:
    """Exact times at which each w_j of the masked autoencoder reaches half its end value; infinite if it never does."""
    return escape_times(*_mae_law(task, depth), level=0.5 ** ((depth + 1) / depth))


def _jepa_law(task: Task, L: int) -> tuple[np.ndarray, float, np.ndarray]:
    """κ, b and x(0) of x = u/ρ."""
    lam, rho, _ = _signal(task)
    x0 = _ratio(task.weights ** (1 / L), rho)
    return lam * rho ** (2 * L - 1), 2.0 * L, x0


def _mae_law(task: Task, L: int) -> tuple[np.ndarray, float, np.ndarray]:
    """κ, b and x(0) of x = u^{L+1}/ρ."""
    lam, rho, _ = _signal(task)
    x0 = _ratio(task.weights ** ((L + 1) / L), rho)
    return (L + 1) * lam * rho ** ((L - 1) / (L + 1)), 2 * L / (L + 1), x0


def _signal(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lam, rho = task.strength, task.correlation
    return lam, rho, _ratio(lam, rho)


def _ratio(a: np.ndarray, rho: np.ndarray) -> np.ndarray:
    return np.divide(a, rho, out=np.zeros_like(rho), where=rho > 0)


def _trajectory(
    rung: str, task: Task, depth: int, times: np.ndarray, u: np.ndarray, loss: np.ndarray, targets: np.ndarray
) -> Trajectory:
    """The encoder w = u^L of each mode, with the loss summed over the modes."""
    return Trajectory(
        times=times,
        eigenvalues=u**depth,
        loss=loss.sum(axis=1),
        rung=rung,
        solution=task.solved(targets, quantity="$w_j$, encoder", loss_name="predictive loss"),
        meta={"depth": depth},
    )
