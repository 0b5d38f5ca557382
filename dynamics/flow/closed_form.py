"""Rung 0: every mode grows on its own along a logistic curve (Simon et al. 2023, Prop. 4.1).

>>> import numpy as np
>>> from dynamics.flow.closed_form import mode_correlations
>>> mode_correlations(np.array([1.0]), np.array([1e-6]), np.array([0.0, 20.0])).round(6).ravel()
array([1.e-06, 1.e+00])
"""

import numpy as np
from jaxtyping import Float

from dynamics.flow.start import start_of
from dynamics.modes.contrastive import ContrastiveModes
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Embedding, Spectrum

_ROUNDING = 1e-12  # relative γ of modes in which partners neither agree nor disagree


def initial_correlations(modes: ContrastiveModes, initial_embeddings: Embedding) -> Spectrum:
    """Return u_j(0) = γ_j s_j(0)², the part of the initial function that grows into mode j.

    The modes compete for the outputs: mode j grows into what the modes before it have left free. So s_j(0) is the
    diagonal of the QR factorisation of the initial coordinates [a_1(0) … a_d(0)]ᵀ, taken in the order of γ, and not
    their column norms. The start is a = ΦᵀJF/(2nγ), which is VᵀF where F is a function of the kernel. The part outside
    of the modes acts as a constant force, and the flow that it drives is the one without it from this a.

    Parameters
    ----------
    modes : ContrastiveModes
        Modes of the kernel on the training pairs, at least d of them.
    initial_embeddings : array (2n, d)
        The network's function before training, on the training views.

    Returns
    -------
    array (d,)
        Entry j belongs to mode j. It is negative for modes with γ_j < 0, and zero where there are fewer than d modes.

    Raises
    ------
    DataError
        If the initial embeddings are not finite, or there is not one for each view.
    """
    start = start_of(modes, initial_embeddings)
    dim = start.coordinates.shape[1]
    top = min(dim, len(modes))
    gamma = modes.eigenvalues[:top]
    driven = np.abs(gamma) > _ROUNDING * np.abs(modes.eigenvalues).max(initial=0.0)
    a = start.coordinates[:top] + np.where(driven, 1 / np.where(driven, gamma, 1.0), 0.0)[:, None] * start.source[:top]
    s = np.abs(np.linalg.qr(a.T)[1].diagonal())
    return np.pad(gamma * s**2, (0, dim - top))


def mode_correlations(
    gamma: Spectrum, initial: Spectrum, times: Float[np.ndarray, " times"]
) -> Float[np.ndarray, "times modes"]:
    """Correlation of partners along each mode, u_j(t) = 1 / (1 + (1/u_j(0) − 1) e^{−8 γ_j t}).

    Parameters
    ----------
    gamma : array (m,)
        Contrastive eigenvalues γ_j.
    initial : array (m,)
        Correlations u_j(0) before training.
    times : array (T,)
        Effective times.
    """
    started = initial != 0  # u(0) = 0 stays 0
    with np.errstate(over="ignore"):  # negative modes decay to −0
        odds_against = (1.0 / np.where(started, initial, 1.0) - 1.0) * np.exp(-8.0 * gamma * times[:, None])
        return np.where(started, 1.0 / (1.0 + odds_against), 0.0)


def mode_step_times(gamma: Spectrum, initial: Spectrum) -> Float[np.ndarray, " modes"]:
    """Times τ_j = ln(1/u_j(0) − 1) / (8 γ_j) at which half of each mode is learned.

    They are infinite for modes that are never learned (γ_j ≤ 0 or u_j(0) = 0), and zero for modes that start at least
    half learned.
    """
    learned = (gamma > 0) & (initial > 0)
    odds_against = np.where(learned, 1.0 / np.where(learned, initial, 1.0) - 1.0, np.inf)
    tau = np.log(np.maximum(odds_against, 1.0)) / (8.0 * np.where(learned, gamma, 1.0))
    return np.where(learned, tau, np.inf)


def closed_form(
    modes: ContrastiveModes, initial_embeddings: Embedding, times: Float[np.ndarray, " times"]
) -> Trajectory:
    """Forecast of the linearised network from a small initial function: independent logistic modes.

    The forecast is exact if the initial function is aligned with the modes. From a random start its error vanishes with
    the scale α of the initial function: the error of the learned subspace as α^{1 − γ_{d+1}/γ_d}, and that of the
    eigenvalues at any time as α^{2(1 − γ_{j+1}/γ_j)}, with the closest pair of neighbours j ≤ d.

    Parameters
    ----------
    modes : ContrastiveModes
        Modes of the kernel on the training pairs.
    initial_embeddings : array (2n, d)
        The network's function before training, on the training views.
    times : array (T,)
        Effective times (learning rate × step) to report, ascending.

    Raises
    ------
    DataError
        If the initial embeddings are not finite, or there is not one for each view.
    """
    u0 = initial_correlations(modes, initial_embeddings)
    gamma = np.pad(modes.eigenvalues[: u0.size], (0, max(0, u0.size - len(modes))))
    u = mode_correlations(gamma, u0, times)
    return Trajectory(
        times=times,
        eigenvalues=-np.sort(-u, axis=1),
        loss=((1.0 - u) ** 2).sum(axis=1),
        rung="closed_form",
        mode_step_times=mode_step_times(gamma, u0),
    )
