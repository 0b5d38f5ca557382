"""Gradient flow of L_λ in whitened coordinates, exact from any start: fast growth, then slow selection.

f = Bφ with the orthonormal modes φ of a restricted eigenproblem (`dynamics.modes.restricted`), B (d, m) the trained
weights, D = diag(1 − μ). L_λ = 2 tr BDBᵀ + λ‖BBᵀ − I‖² (`dynamics.objectives.generalised_spectral`), so

    dB/dt = −∇L = 4λ (B(I − D/λ) − BBᵀB) ,

Oja's equation, whose P = BᵀB obeys a Riccati equation: with α = 1 − D/λ and E = e^{4λαt},

    P(t) = E B₀ᵀ [I + B₀ diag((e^{8λαt} − 1)/α) B₀ᵀ]^{−1} B₀ E .

- Fast: along one mode a = b² obeys da/dt = 8λ a (a* − a), a logistic curve to a* = 1 − (1 − μ)/λ.
- Slow: with fewer outputs than modes the row space of B(t) is exactly that of B₀E, in which mode i gains on mode j as
  e^{2(δ_j − δ_i)t}, δ = 2(1 − μ), whatever λ. Modes of equal μ are never told apart: the start decides.
"""

import numpy as np
from jaxtyping import Float

from dynamics.flow.start import finite_start
from dynamics.objectives.weighted_spectral import check_weight
from dynamics.typing import Array, Spectrum

Coordinates = Float[np.ndarray, "dim modes"]

_LARGEST_EXPONENT = 8.0  # of one exact step: rounding grows by its exponential


def logistic_energy(
    agreements: Spectrum, initial: Spectrum, times: Float[np.ndarray, " times"], weight: float = 1.0
) -> Float[np.ndarray, "times modes"]:
    """Energies a(t) of modes that each have an output of their own: da/dt = 8λ a (1 − (1 − μ)/λ − a).

    Parameters
    ----------
    agreements : array (m,)
        Agreements μ of partners along the modes.
    initial : array (m,)
        Energies a(0) ≥ 0 at the start.
    times : array (T,)
        Effective times, learning rate × step of plain descent on L_λ.
    weight : float
        Weight λ > 0 of the covariance term.
    """
    check_weight(weight)
    alpha = 1 - (1 - np.asarray(agreements, np.float64)) / weight
    t = np.asarray(times, np.float64)[:, None]
    # a = a₀ e^{8λαt} / (1 + a₀ (e^{8λαt} − 1)/α), divided by whichever exponential would overflow
    rise, fall = np.minimum(8 * weight * alpha * t, 0), np.minimum(-8 * weight * alpha * t, 0)
    return initial * np.exp(rise) / (np.exp(fall) + initial * _growth(alpha, t, weight))


def selection_rates(agreements: Spectrum, dim: int) -> Float[np.ndarray, " left_out"]:
    """Return 2(δ_j − δ_d) for j > d, the rate at which a mode left out falls behind the last one kept, in amplitude."""
    mu = np.asarray(agreements, np.float64)
    return 4 * (mu[dim - 1] - mu[dim:])


def whitened_flow(
    agreements: Spectrum, start: Float[Array, "dim modes"], times: Float[np.ndarray, " times"], weight: float = 1.0
) -> Float[np.ndarray, "times dim modes"]:
    """Return B(t) from any start, exact up to a rotation of the outputs.

    Parameters
    ----------
    agreements : array (m,)
        Agreements μ of partners along the modes.
    start : array (d, m)
        Mode coordinates B₀ of the initial outputs (`RestrictedModes.coordinates`).
    times : array (T,)
        Effective times, ascending from 0: learning rate × step of plain descent on L_λ in these coordinates.
    weight : float
        Weight λ > 0 of the covariance term.

    Returns
    -------
    array (T, d, m)
        B(t), up to a rotation of the outputs, which does not change the loss. P(t) = BᵀB and its spectrum are exact.
    """
    check_weight(weight)
    alpha = 1 - (1 - np.asarray(agreements, np.float64)) / weight
    B, now, path = finite_start(start), 0.0, []
    longest = _LARGEST_EXPONENT / (8 * weight * max(np.abs(alpha).max(), 1.0))
    for time in np.asarray(times, np.float64):
        steps = max(1, int(np.ceil((time - now) / longest)))
        for _ in range(steps if time > now else 0):
            B = _exact_step(alpha, B, (time - now) / steps, weight)
        now = time
        path.append(B)
    return np.array(path)


def _exact_step(alpha: np.ndarray, B: Coordinates, t: float, weight: float) -> Coordinates:
    gram = np.eye(len(B)) + (B * (np.expm1(8 * weight * alpha * t) / np.where(alpha == 0, 1.0, alpha))) @ B.T
    if (alpha == 0).any():
        flat = alpha == 0
        gram += 8 * weight * t * B[:, flat] @ B[:, flat].T
    values, Q = np.linalg.eigh(gram)
    return (Q / np.sqrt(values)) @ Q.T @ (B * np.exp(4 * weight * alpha * t))


def _growth(alpha: np.ndarray, t: np.ndarray, weight: float) -> np.ndarray:
    """(e^{8λαt} − 1)/α, divided by e^{8λαt} where that is above one; 8λt at α = 0."""
    safe = np.where(alpha == 0, 1.0, np.abs(alpha))
    return np.where(alpha == 0, 8 * weight * t, -np.expm1(-8 * weight * np.abs(alpha) * t) / safe)
