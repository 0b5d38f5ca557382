"""Word embeddings by a quartic loss, solved exactly from any start (Karkada et al. 2025).

Ẇ = ½ (M − WWᵀ) W is gradient flow of ⅛‖M − WWᵀ‖². For WWᵀ it is a matrix Riccati equation: with Φ(t) = ∫₀ᵗ e^{Ms} ds,

    W(t)W(t)ᵀ = e^{Mt/2} W₀ [I + W₀ᵀ Φ(t) W₀]^{−1} W₀ᵀ e^{Mt/2} .

M is symmetric, not necessarily positive: WWᵀ ends at the d largest positive eigenvalues of M.

>>> import numpy as np
>>> W = word_embedding_flow(np.array([2.0, 1.0, -1.0]), 1e-3 * np.eye(3), np.array([0.0, 60.0]))
>>> np.linalg.eigvalsh(W[-1].T @ W[-1])[::-1].round(6) + 0.0
array([2., 1., 0.])
"""

import numpy as np
from jaxtyping import Float

from dynamics.solvable.saddle import escape_times
from dynamics.solvable.task import Task
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array, Spectrum

_EXPONENT = 20.0


def word_embedding_flow(
    eigenvalues: Spectrum, start: Float[Array, "modes dim"], times: Float[np.ndarray, " times"]
) -> Float[np.ndarray, "times modes dim"]:
    """Return W(t) in the eigenbasis of M, up to a rotation of the outputs.

    The exact solution is applied from each time to the next, in strides over which no exponential outgrows the digits
    of float64.

    Parameters
    ----------
    eigenvalues : array (m,)
        Eigenvalues μ_j of M.
    start : array (m, d)
        Start W₀ in the eigenbasis of M.
    times : array (T,)
        Gradient-flow times, ascending from 0.
    """
    mu = np.asarray(eigenvalues, np.float64)
    W, at, course = np.asarray(start, np.float64), 0.0, []
    longest = _EXPONENT / max(float(np.abs(mu).max(initial=0.0)), 1e-300)
    for time in times:
        strides = int(np.ceil((time - at) / longest))
        for _ in range(strides):
            W = _stride(mu, W, (time - at) / strides)
        at = time
        course.append(W)
    return np.array(course)


def word_embedding(task: Task, times: Float[np.ndarray, " times"]) -> Trajectory:
    """The word-embedding flow with M = Γ, the covariance of partners in the basis of the modes.

    Returns
    -------
    Trajectory
        `eigenvalues` are those of WᵀW, descending; they end at the positive γ_j. `loss` is ⅛‖M − WWᵀ‖².
    """
    mu = np.asarray(task.eigenvalues, np.float64)
    W = word_embedding_flow(mu, task.coordinates, times)
    G = np.swapaxes(W, 1, 2) @ W
    # ‖M − WWᵀ‖² from matrices no larger than W
    WMW = np.einsum("tmi,m,tmi->t", W, mu, W)
    loss = (np.square(mu).sum() - 2 * WMW + np.square(G).sum(axis=(1, 2))) / 8
    return Trajectory(
        times=times,
        eigenvalues=np.linalg.eigvalsh(G)[:, ::-1],
        loss=loss,
        rung="word_embedding",
        solution=task.solved(
            task.strength, quantity="eigenvalues of $W^T W$", loss_name=r"loss  $\Vert M - WW^T\Vert_F^2 / 8$"
        ),
    )


def word_embedding_times(task: Task) -> Float[np.ndarray, " dim"]:
    """Times ln(μ_j/g_j(0) − 1)/μ_j at which mode j reaches half of μ_j if it starts aligned with one output."""
    mu = task.strength
    return escape_times(mu, 1, np.divide(task.weights**2, mu, out=np.zeros_like(mu), where=mu > 0))


def _stride(mu: np.ndarray, W: np.ndarray, dt: float) -> np.ndarray:
    Phi = np.where(mu == 0, dt, np.expm1(mu * dt) / np.where(mu == 0, 1.0, mu))
    n, Q = np.linalg.eigh(np.eye(W.shape[1]) + W.T @ (Phi[:, None] * W))
    return np.exp(mu * dt / 2)[:, None] * (W @ (Q / np.sqrt(n)) @ Q.T)
