"""The few directions in which readout and features really move: from a network at its start to a reduced model.

A trajectory of an earlier model says where the weights go. The features' weights move by δ = −u ∫ Jᵀ(G Wᵀ) dt, and the
readout by −u ∫ hᵀG dt. The leading directions of both along the trajectory (a proper orthogonal decomposition) span
the next model, in which the bilinear equations are projected (Galerkin). The first model is the frozen kernel, in which
the features do not move at all. The first round finds which weights the features use, and the second what the readout
makes of features that have moved. For residual networks of width 8 to 64 on digits, a third round changed the median
error of the step times by at most half a percent.

Every direction costs one backward and one forward pass over the views, so a model of q directions costs about q steps
of training.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh, solve_triangular

from dynamics.errors import CapacityError, ConfigError
from dynamics.flow.bilinear import BilinearModel, descend_records
from dynamics.flow.readout_network import ReadoutNetwork
from dynamics.objectives.correlation import barlow_twins
from dynamics.objectives.registry import Loss, embedding_loss
from dynamics.support.one_line import one_line
from dynamics.support.precision import double_precision
from dynamics.typing import Array

MEMORY = 2**31
"""Default bound, in bytes, on the directions and their tangents."""

# Times at which a path is looked at, and those of them from which directions are taken.
_RECORDS, _SNAPSHOTS = 300, 60

# Directions whose share of the movement is smaller are not worth a pass over the views.
_SMALLEST = 1e-4

_FIRST_RANK = 256


@dataclass(frozen=True, eq=False)
class Reduction:
    """A reduced model and the directions that its coordinates stand for.

    Parameters
    ----------
    model : BilinearModel
        The model, centred if that was asked for.
    weight_directions : array (q, P)
        A, orthonormal directions in the space of the features' weights; zero where fewer were found.
    feature_directions : array (N, r)
        B, orthonormal directions in the space of the features.
    tangents : array (q, 2n + b, N)
        H = J A, the derivatives of the features along A.
    """

    model: BilinearModel
    weight_directions: Float[np.ndarray, "directions weights"]
    feature_directions: Float[np.ndarray, "units rank"]
    tangents: Float[np.ndarray, "directions points units"]

    __repr__ = one_line


def reduced_model(
    network: ReadoutNetwork,
    learning_rate: float,
    steps: int,
    *,
    center: bool = False,
    objective: Loss | str = barlow_twins,
    rounds: int = 2,
    directions: int | None = None,
    rank: int | None = None,
    memory: int = MEMORY,
) -> Reduction:
    """Find the directions and project the network on them; rounds × directions backward and forward passes.

    Parameters
    ----------
    network : ReadoutNetwork
        The network at its small start.
    learning_rate : float
        η of the run.
    steps : int
        Number of steps of the run.
    center : bool
        Whether the mean embedding over the training views is subtracted before the objective.
    objective : callable or str
        Loss of the embeddings (2n, d) of the training views, or its name in `dynamics.objectives.OBJECTIVES`.
    rounds : int
        How often the directions are found anew. With 0 the features stay frozen.
    directions : int, optional
        Directions of weight space that a round adds at most; 3d by default.
    rank : int, optional
        Directions r of feature space; 5d by default.
    memory : int
        Bound, in bytes, on the directions and their tangents.

    Raises
    ------
    ConfigError
        If `rounds` is negative, or `directions` or `rank` is below 1.
    CapacityError
        If the directions do not fit into the memory.
    DivergenceError
        If the descent of an earlier model does not stay finite.
    """
    points, units = network.hidden.shape
    dim = network.readout.shape[1]
    directions = 3 * dim if directions is None else directions
    rank = 5 * dim if rank is None else rank
    if rounds < 0 or min(directions, rank, steps) < 1:
        raise ConfigError(
            f"reduced_model: rounds is {rounds}, directions {directions}, rank {rank} and steps {steps}; give at least "
            "one of each, and no rounds to keep the features frozen."
        )
    needed = 8 * 2 * rounds * directions * (points * units + network.num_weights)
    if needed > memory:
        raise CapacityError(
            f"reduced_model: {rounds * directions} directions of {network.num_weights} weights and {points} × {units} "
            f"features need {needed:.2g} bytes, more than memory={memory:.2g}; ask for fewer directions or raise it."
        )
    record_at = _schedule(steps)
    A, H = np.zeros((0, network.num_weights)), np.zeros((0, points, units))
    all_directions, loss = rounds * directions, embedding_loss(objective)
    B = _first_directions(network, center)
    model = _projected(network, B, H, center)
    for _ in range(rounds):
        path = _follow(model, learning_rate, record_at, loss, center)
        A, H = _more_directions(network, path, B, A, H, directions)
        B = _readout_directions(network, path, B, H, rank)
        model = _projected(network, B, H, center, all_directions)
    return Reduction(model, _filled(A, all_directions), B, _filled(H, all_directions))


@dataclass(frozen=True, eq=False)
class _Path:
    """A trajectory of a model: times (T,), gradients G (T, 2n, d) and Y = ∫ G ωᵀ dt (T, 2n, r)."""

    times: np.ndarray
    G: np.ndarray
    Y: np.ndarray


def _follow(model: BilinearModel, learning_rate: float, record_at: np.ndarray, loss: Loss, center: bool) -> _Path:
    states = descend_records(model, learning_rate, record_at, loss)[1]
    omega = states[:, len(model.tangents) :].reshape(len(states), *model.readout.shape)
    with double_precision():
        F = jnp.asarray(model.embeddings(states)[:, : model.num_views])
        G = np.asarray(_gradients(loss, F))
    G = G - G.mean(axis=1, keepdims=True) if center else G
    times = learning_rate * record_at
    return _Path(times, G, _integral(G @ omega.transpose(0, 2, 1), times))


@partial(jax.jit, static_argnums=0)
def _gradients(loss: Loss, F: Array) -> Array:
    return jax.lax.map(jax.grad(loss), F)


def _more_directions(
    network: ReadoutNetwork, path: _Path, B: np.ndarray, A: np.ndarray, H: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Add to A and H the directions u Jᵀ(Y Bᵀ) of the leading parts of Y along the path."""
    u, views = network.scale, network.views
    leading = _leading(path.Y.reshape(len(path.Y), -1)[_some(path.times)], count, _SMALLEST).T
    cotangent = np.zeros_like(network.hidden)
    found = []
    for y in u * leading.reshape(len(leading), views, -1) @ B.T:
        cotangent[:views] = y
        found.append(network.flat(network.pullback(cotangent)))
    new = _orthonormal(np.array(found).reshape(len(found), -1), A)
    tangents = [np.asarray(network.tangent(network.unflat(a)), np.float64) for a in new]
    return np.concatenate([A, new]), np.concatenate([H, np.array(tangents).reshape(len(new), *H.shape[1:])])


def _readout_directions(network: ReadoutNetwork, path: _Path, B: np.ndarray, H: np.ndarray, rank: int) -> np.ndarray:
    """The leading directions of W = W₀ − u ∫ hᵀG dt, with features h = h₀ + Σ_k s_k H_k that move as along the path."""
    u, views = network.scale, network.views
    P = u * H[:, :views] @ B
    s = -path.Y.reshape(len(path.Y), -1) @ P.reshape(len(P), path.Y[0].size).T
    # directions alone are sought, and float32 knows them; with one more direction, that of h₀, whose amplitude is 1
    G = path.G.transpose(0, 2, 1).reshape(len(path.G), -1).astype(np.float32)
    until = _integrals_until(path.times)[_some(path.times)].astype(np.float32)
    moved = np.zeros((len(until) * path.G.shape[2], network.hidden.shape[1]), np.float32)
    for s_k, H_k in [(np.ones(len(s)), network.hidden), *zip(s.T, H, strict=True)]:
        weighted = (until * s_k.astype(np.float32)) @ G
        moved += weighted.reshape(len(moved), views) @ H_k[:views].astype(np.float32)
    W = np.asarray(network.readout, np.float64).T - u * moved.reshape(len(until), -1, moved.shape[1])
    return _filled(_leading(W.reshape(moved.shape), rank).T, rank).T


def _projected(
    network: ReadoutNetwork, B: np.ndarray, H: np.ndarray, center: bool, directions: int | None = None
) -> BilinearModel:
    """The model in the directions B and those with tangents H.

    Zeros fill it up to a number of `directions`, so that the descents of all rounds have one shape, compiled once.
    """
    u, W = network.scale, np.asarray(network.readout, np.float64)
    omega = B.T @ W
    p, P = u * network.hidden @ B, H @ (u * B)
    P = P if directions is None else _filled(P, directions)
    R = u * network.hidden @ (W - B @ omega) + network.fixed_part
    model = BilinearModel(p, P, omega, R, network.views)
    return model.centred() if center else model


def _leading(rows: np.ndarray, count: int, smallest: float = 1e-7) -> np.ndarray:
    """Orthonormal columns that span the leading part of the rows of a matrix, at most `count` of them.

    They come from the Gram matrix of the smaller side (Sirovich 1987), which takes a tenth of the time of a singular
    value decomposition and resolves singular values down to 1e-8 of the largest.
    """
    few = len(rows) <= rows.shape[1]
    square = rows @ rows.T if few else rows.T @ rows
    first, last = max(len(square) - count, 0), len(square) - 1
    values, vectors = eigh(square, subset_by_index=(first, last), driver="evr", overwrite_a=True, check_finite=False)
    kept = values > smallest**2 * values[-1]
    values, vectors = values[kept][::-1], vectors[:, kept][:, ::-1]
    if not few:
        return vectors
    columns = rows.T @ (vectors / np.sqrt(values))
    return solve_triangular(np.linalg.cholesky(columns.T @ columns), columns.T, lower=True).T  # once more for rounding


def _orthonormal(new: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Orthonormal rows that add to those of the basis what is new; directions that bring nothing are left out."""
    new = new / np.maximum(np.linalg.norm(new, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    for _ in range(2):  # once more against rounding
        new = new - (new @ basis.T) @ basis
    return _leading(new, len(new), 1e-5).T


def _integrals_until(times: np.ndarray) -> np.ndarray:
    """Weights (T, T) of the trapezoidal rule from the first time to every time."""
    return _integral(np.eye(len(times)), times)


def _integral(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The integral from the first time to every time, by the trapezoidal rule."""
    gaps = np.diff(times).reshape(-1, *[1] * (values.ndim - 1))
    return np.concatenate([np.zeros_like(values[:1]), np.cumsum((values[1:] + values[:-1]) / 2 * gaps, axis=0)])


def _filled(rows: np.ndarray, count: int) -> np.ndarray:
    """Rows of zeros after the given ones, up to a number of them."""
    return np.concatenate([rows, np.zeros((count - len(rows), *rows.shape[1:]))])


def _some(times: np.ndarray) -> np.ndarray:
    """Indices of the times from which directions are taken."""
    return np.unique(np.linspace(0, len(times) - 1, _SNAPSHOTS).astype(int))


def _first_directions(network: ReadoutNetwork, center: bool) -> np.ndarray:
    """What the readout holds and what a frozen kernel adds to it: the span of W and of the rows of h₀."""
    h0, W = network.hidden[: network.views], np.asarray(network.readout, np.float64)
    h0 = h0 - h0.mean(axis=0) if center else h0
    size = np.linalg.norm(h0) / max(np.linalg.norm(W), np.finfo(np.float64).tiny)
    rank = min(W.shape[1] + len(h0), _FIRST_RANK)
    return _filled(_leading(np.concatenate([size * W.T, h0]), rank).T, rank).T


def _schedule(steps: int) -> np.ndarray:
    """Steps at which a path is looked at, half of them evenly spaced on a logarithmic axis.

    A dimension is learned within a fixed share of the time at which it comes. Steps may come twice, so that their
    number is always the same and a descent is compiled once.
    """
    half = _RECORDS // 2
    return np.sort(np.concatenate([np.linspace(0, steps, half), np.geomspace(1, steps, half)]).round().astype(int))
