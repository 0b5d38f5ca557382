"""How an objective leaves a small start: by the power of the size of the embeddings with which it moves them.

Near a small start of size α a flow moves embeddings at a speed proportional to α^β, and β decides what a small start
means:

| β | law | the time until something is learned |
|---|---|---|
| 1 | exponential | grows as ln(1/α): one step after the other, at the rates of the growth matrix |
| above 1 | algebraic | grows as α^{1 − β} |
| below 1, outwards | finite time | stays finite as α → 0: there is no plateau |
| below 1, inwards | inward | never: the embeddings shrink to the ε of the loss, unless they start above a barrier |
| below 1, tangential | direction | the size does not count: only directions move, and they do at once |

`escape_law` measures β on the gradient of any loss. Losses by cosine have no small start at zero; theirs is a common
direction of all embeddings, and `direction_growth` is the growth matrix from there.

>>> escape_law("barlow-twins")
Escape(order=1.0, law='exponential')
>>> escape_law("simclr").law
'direction'
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.errors import ConfigError
from dynamics.objectives.growth import GrowthMatrix
from dynamics.objectives.registry import Loss, get_objective, objective_loss
from dynamics.support.precision import double_precision

Law = Literal["exponential", "algebraic", "finite time", "inward", "direction"]

SIZES = (1e-4, 1e-5)
"""Sizes of embeddings at which a gradient is compared: variances are below every ε, deviations above VISReg's."""

SIZES_OF_DIRECTIONS = (1e-1, 1e-2)
"""The same for losses by cosine, which do not normalise what is shorter than 1e-6."""

_TANGENTIAL = 1e-6


@dataclass(frozen=True)
class Escape:
    """How embeddings leave a small start.

    Parameters
    ----------
    order : float
        The power β of their size with which they move, to two digits.
    law : str
        `exponential`, `algebraic`, `finite time`, `inward` or `direction`.
    """

    order: float
    law: Law


def escape_law(
    objective: Loss | str, *, dim: int = 3, sizes: tuple[float, float] | None = None, **settings: float | int
) -> Escape:
    """Measure β = d ln‖∇L‖ / d ln α between two sizes α of random embeddings.

    Parameters
    ----------
    objective : callable or str
        Loss of embeddings (2n, d), or the name of one of `dynamics.objectives.OBJECTIVES`. One of predictions and
        targets gets the embeddings as both. A predictor is linear and starts as small as the embeddings; the speed is
        then that of predictor and embeddings together.
    dim : int
        Number of outputs d.
    sizes : (float, float), optional
        The larger and the smaller size; by default `SIZES`, or `SIZES_OF_DIRECTIONS` for a loss by cosine.
    **settings : float or int
        Settings of the objective, if it is given by name.

    Raises
    ------
    ConfigError
        If there is no such objective or setting, or a size is not positive or not smaller than the one before.
    """
    named = get_objective(objective) if isinstance(objective, str) else None
    if sizes is None:
        sizes = SIZES_OF_DIRECTIONS if named is not None and named.scale_free else SIZES
    if not 0 < sizes[1] < sizes[0]:
        raise ConfigError(f"escape_law: sizes are {sizes}; give a larger and a smaller positive number.")
    loss = objective_loss(objective, **settings) if isinstance(objective, str) else objective
    rng = np.random.default_rng(0)
    F, P = rng.normal(size=(16, dim)), rng.normal(size=(dim, dim))

    def value(state: tuple[jax.Array, ...], target: jax.Array) -> jax.Array:
        if named is None or not named.takes_targets:
            return loss(state[0])
        return loss(state[0] @ state[1] if named.predictor else state[0], target)

    start = (F, P) if named is not None and named.predictor else (F,)
    with double_precision():
        slope = jax.jit(jax.grad(value))
        forces = [
            np.concatenate([np.ravel(g) for g in slope(tuple(jnp.asarray(size * each) for each in start), size * F)])
            for size in sizes
        ]
    order = float(np.log(_norm(forces[0]) / _norm(forces[1])) / np.log(sizes[0] / sizes[1]))
    state = np.concatenate([each.ravel() for each in start])
    outwards = -float(forces[1] @ state) / (_norm(forces[1]) * _norm(state))
    order = round(order, 2) + 0.0  # no negative zero
    return Escape(order, _law(order, outwards))


def direction_growth(
    objective: Loss | str, num_views: int, *, length: float = 1.0, **settings: float | int
) -> GrowthMatrix:
    """Growth matrix B (N, N) from a common direction: of the part f of the embeddings at right angles to it.

    All embeddings are b, with |b| = `length`, and f is small. It obeys df/dt = 2K̃Bf, as embeddings do from zero under
    losses that have a growth matrix there. For NT-Xent B is that of InfoNCE by dot products, divided by |b|².

    Parameters
    ----------
    objective : callable or str
        Loss of embeddings (N, d), or the name of an objective.
    num_views : int
        Number N = 2n of views.
    length : float
        Length |b| of the common direction.
    **settings : float or int
        Settings of the objective, if it is given by name.

    Raises
    ------
    ConfigError
        If the loss is one of targets, or has no second derivative at a common direction.
    """
    if isinstance(objective, str) and get_objective(objective).takes_targets:
        raise ConfigError(f"Objective {objective} is a loss of predictions and targets, not of embeddings alone.")
    loss = objective_loss(objective, **settings) if isinstance(objective, str) else objective

    def aside(f: jax.Array) -> jax.Array:
        return loss(jnp.stack([jnp.full_like(f, length), f, jnp.zeros_like(f)], axis=1))

    with double_precision():
        curvature = jax.jit(jax.hessian(aside))
        here = np.asarray(curvature(jnp.zeros(num_views)))
        nearby = np.asarray(curvature(jnp.linspace(-1e-4, 1.7e-4, num_views) * length))
    if not np.isfinite([here, nearby]).all() or np.abs(nearby - here).max() > 1e-3 * np.abs(here).max():
        raise ConfigError("The loss has no second derivative where all embeddings have one direction.")
    return -0.5 * here


def _law(order: float, outwards: float) -> Law:
    """The law of a power β, with the cosine of the angle between the motion and the embeddings."""
    if order >= 1:
        return "exponential" if order == 1 else "algebraic"
    if abs(outwards) < _TANGENTIAL:
        return "direction"
    return "finite time" if outwards > 0 else "inward"


def _norm(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector))
