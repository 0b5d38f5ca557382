"""Stepwise forecast of homomorphic SSL: contrastive modes of the feature-space pairs against the network's steps.

The pairs are pairs of fibers of the network itself, so the kernel is the conjugate kernel of its fibers at the start,
and the theory of small readouts applies with every pair of the law once, nothing sampled.
"""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

from dynamics.experiment.multiplier import LAZINESS
from dynamics.flow.closed_form import closed_form, initial_correlations, mode_step_times
from dynamics.flow.descent import kernel_descent
from dynamics.flow.ode import kernel_flow
from dynamics.modes import ContrastiveModes, contrastive_modes_from_features
from dynamics.networks.equivariant import EquivariantNetwork
from dynamics.networks.fiber_pairs import FiberPairs
from dynamics.training import gradient_descent, recording_steps, small_network
from dynamics.trajectories.comparison import Comparison, compare
from dynamics.trajectories.trajectory import Trajectory

INIT_SCALE = 1e-4
LR_FRACTION = 0.05


@dataclass(frozen=True, eq=False)
class Ladder:
    """One H-SSL network beside its forecasts.

    Parameters
    ----------
    name : str
        Group, pairs and structure in a few words.
    multiplier : float
        c, by which the outputs are multiplied: chosen so that the kernel stays nearly as it is (`LAZINESS`).
    modes : ContrastiveModes
        Modes of the pairs of fibers at the start, with the multiplier in them.
    forecasts : dict of Trajectory
        `closed_form`, `ode` and `linearised`.
    measured : Trajectory
        The trained network.
    comparison : Comparison
        The trained network beside its forecasts.
    frequencies : array (d, |G|//2 + 1)
        Part of the variance of each forecast mode that has each frequency over the fibers of a cyclic group.
    predicted_fibers, fibers : arrays (n, |G|, d)
        Embeddings of all fibers at the end point of theory, diag(γ^−½) on the forecast modes, and of the network after
        training; both centred.
    """

    name: str
    multiplier: float
    modes: ContrastiveModes
    forecasts: dict[str, Trajectory]
    measured: Trajectory
    comparison: Comparison
    frequencies: Float[np.ndarray, "modes frequencies"]
    predicted_fibers: Float[np.ndarray, "n fibers dim"]
    fibers: Float[np.ndarray, "n fibers dim"]


def inv_ratio(fibers: Float[np.ndarray, "n fibers dim"]) -> float:
    """E‖f[hg] − f[g]‖² / 2·variance over all h but the identity of a cyclic group: 0 if invariant, 1 if unrelated."""
    f = fibers - fibers.mean(axis=(0, 1))
    moved = [np.square(np.roll(f, h, axis=1) - f).sum(axis=-1).mean() for h in range(1, f.shape[1])]
    return float(np.mean(moved) / (2 * np.square(f).sum(axis=-1).mean()))


def ladder(
    name: str, network: EquivariantNetwork, pairs: FiberPairs, images: Float[np.ndarray, "n h w c"], seed: int
) -> Ladder:
    """Forecast an H-SSL network from its fibers at the start, and train it by full-batch gradient descent.

    Parameters
    ----------
    name : str
        Name in tables and figures.
    network : EquivariantNetwork
        The network, tied or not. Its group is cyclic and that of the pairs.
    pairs : FiberPairs
        Law of the pairs; every pair of it is in the batch.
    images : array (n, h, w, c)
        Images to train on.
    seed : int
        Seed of the parameters.
    """
    drawn, d = pairs.every(len(images)), network.dim
    params = jax.jit(network.init)(jax.random.key(seed), images[:1])
    hidden = jax.jit(lambda params, x: network.apply(params, x, method="hidden_fibers"))
    h = np.asarray(hidden(params, images), np.float64)
    psi = h / h.shape[-1] ** 0.5
    partners = pairs.select(psi, drawn)
    modes = contrastive_modes_from_features(partners, center=True)
    modes.require_learnable(d)
    c = max(1.0, float(1.0 / (modes.eigenvalues[d - 1] * h.shape[-1] * LAZINESS)) ** 0.5)
    modes = modes.scaled(c**2)

    small = small_network(pairs.bind(network, drawn), params, "readout", scale=INIT_SCALE, multiplier=c)
    F0 = small.initial_embeddings(images)
    F0 = F0 - F0.mean(axis=0)
    rate = LR_FRACTION * modes.stability_limit
    tau = mode_step_times(modes.eigenvalues[:d], initial_correlations(modes, F0))
    steps = int(np.ceil(1.2 * tau.max() / rate))
    record_at = recording_steps(steps, count=100)
    times = rate * record_at.astype(np.float64)
    forecasts = {
        "closed_form": closed_form(modes, F0, times),
        "ode": kernel_flow(modes, F0, times),
        "linearised": kernel_descent(modes, F0, rate, record_at),
    }
    measured = gradient_descent(small, images, learning_rate=rate, steps=steps, center=True, record_at=record_at)
    comparison = compare(measured, forecasts, modes, center=True)
    first = measured.embeddings[-1][: drawn.shape[1]].reshape(len(images), pairs.group.order, len(pairs.steps), d)
    values = modes.functions((c * psi.reshape(-1, psi.shape[-1])) @ (c * partners).T)[:, :d]
    values = values.reshape(*psi.shape[:2], d)
    return Ladder(
        name=name,
        multiplier=c,
        modes=modes,
        forecasts=forecasts,
        measured=measured,
        comparison=comparison,
        frequencies=_frequencies(values),
        predicted_fibers=values / modes.eigenvalues[:d] ** 0.5,
        fibers=first[:, :, 0].astype(np.float64),
    )


def _frequencies(values: Float[np.ndarray, "n fibers modes"]) -> Float[np.ndarray, "modes frequencies"]:
    """Part of the variance of functions on the fibers of a cyclic group that has each frequency, m and −m together."""
    n = values.shape[1]
    power = np.square(np.abs(np.fft.fft(values, axis=1))).sum(axis=0)
    power = np.stack([power[[m, -m % n]].sum(axis=0) / (1 + (m == -m % n)) for m in range(n // 2 + 1)], axis=1)
    return power / power.sum(axis=1, keepdims=True)
