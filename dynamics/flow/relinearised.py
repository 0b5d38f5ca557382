"""Rung 2½, linearised again on the way: bilinear between a few points of the path, which a reduced model foresees.

The features of a narrow network are linear in their weights for a part of the way only. So the way is cut into
segments of equal length in the space of the features' weights. At the end of each the network is evaluated at the
weights that the model has reached, and a new reduced model goes on from there. As the segments become short this is
descent of the network itself.
"""

import itertools
from typing import Any

import numpy as np
from jaxtyping import Int

from dynamics.errors import ConfigError
from dynamics.flow.bilinear import descend_records, trajectory_of_records
from dynamics.flow.readout_network import ReadoutNetwork
from dynamics.flow.reduction import Reduction, reduced_model
from dynamics.objectives.correlation import barlow_twins
from dynamics.objectives.registry import Loss
from dynamics.trajectories.trajectory import Trajectory


def relinearised_descent(
    network: ReadoutNetwork,
    learning_rate: float,
    record_at: Int[np.ndarray, " records"],
    *,
    segments: int | None = None,
    center: bool = False,
    objective: Loss | str = barlow_twins,
    first: Reduction | None = None,
    **settings: Any,
) -> Trajectory:
    """Descend with a reduced model that is made anew on the way.

    Parameters
    ----------
    network : ReadoutNetwork
        The network at its small start.
    learning_rate : float
        η; step k is at effective time t = η k.
    record_at : array of int (T,)
        Steps to report, ascending from 0.
    segments : int, optional
        Into how many segments the way is cut; d by default, one for every dimension that is learned.
    center, objective
        As in `reduced_model`.
    first : Reduction, optional
        The reduced model at the start, if it is there already.
    **settings
        Others of `reduced_model`, for the segments after the first; one round and 2d directions by default.

    Returns
    -------
    Trajectory
        Rung `relinearised`, with `covariance`; `meta["passes"]` is the number of directions that were taken, each of
        which costs one backward and one forward pass.

    Raises
    ------
    ConfigError, CapacityError, DivergenceError
        As in `reduced_model`, or if `segments` is below 1.
    """
    eta, record_at = learning_rate, np.asarray(record_at)
    dim = network.readout.shape[1]
    segments = dim if segments is None else segments
    if segments < 1:
        raise ConfigError(f"relinearised_descent: segments is {segments}; give at least 1.")
    chosen = {"center": center, "objective": objective}
    settings = {"rounds": 1, "directions": 2 * dim} | settings
    reduction = reduced_model(network, eta, int(record_at[-1]), **chosen) if first is None else first
    bounds = _bounds(reduction, eta, record_at, objective, segments)
    records, passes = [], 0
    for start, end in itertools.pairwise(bounds):
        steps = record_at[start : end + 1] - record_at[start]
        if start > 0:
            reduction = reduced_model(network, eta, int(steps[-1]), **chosen, **settings)
        passes += int(reduction.weight_directions.any(axis=1).sum())
        # repeated at the end, so that all segments are compiled once
        padded = np.pad(steps, (0, len(record_at) - len(steps)), mode="edge")
        recorded, states = descend_records(reduction.model, eta, padded, objective)
        records.append(recorded[: len(steps) - (end < bounds[-1])])
        network = _arrived(network, reduction, states[-1])
    meta = {"learning_rate": eta, "segments": len(bounds) - 1, "passes": passes}
    times = eta * record_at.astype(np.float64)
    return trajectory_of_records(times, np.concatenate(records), "relinearised", meta)


def _bounds(
    reduction: Reduction, learning_rate: float, record_at: np.ndarray, objective: Loss | str, segments: int
) -> np.ndarray:
    """Records that cut the foreseen way of the features' weights into equal lengths; the first and last are bounds."""
    states = descend_records(reduction.model, learning_rate, record_at, objective)[1]
    s = states[:, : len(reduction.tangents)]
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(s, axis=0), axis=1))])
    inner = np.searchsorted(way, way[-1] * np.arange(1, segments) / segments)
    return np.unique([0, *inner, len(record_at) - 1])


def _arrived(network: ReadoutNetwork, reduction: Reduction, state: np.ndarray) -> ReadoutNetwork:
    """The network at the weights that a state (s, ω) of the model stands for."""
    B, q = reduction.feature_directions, len(reduction.tangents)
    W, omega = np.asarray(network.readout, np.float64), state[q:].reshape(B.shape[1], -1)
    return network.moved(state[:q] @ reduction.weight_directions, W - B @ (B.T @ W) + B @ omega)
