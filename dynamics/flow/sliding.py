"""Sliding along the kinks of a loss: the flow of its subdifferential, between events.

Where a flow is pushed towards a kink x = 0 from both sides it stays on it, and its velocity is that of the one gradient
of the subdifferential for which it does (Filippov 1988, § 4). A velocity is linear in the shares s of the kinks
(`dynamics.objectives.kinks`), so that dx/dt = b − A s with A = ∇x K ∇xᵀ, positive semi-definite. The shares of the
kinks that are touched minimise ½ sᵀAs − bᵀs over the box 0 ≤ s ≤ 1: a kink at s = 1 moves up, one at s = 0 moves down,
and one in between is held.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Float, Int

from dynamics.typing import Array

_TOUCHED = 1e-9  # relative |x| of kinks that are at zero but for rounding
_ROUNDING = 1e-12
_CORRECTION = 100  # how often until the end the rounding of a held kink is taken back


class Sides(NamedTuple):
    """On which side of every kink the flow is.

    Parameters
    ----------
    shares : array (k,)
        1 where x > 0 and 0 where x < 0; without meaning where x is held.
    held : int array (p,)
        Kinks whose x is held at zero, filled up with k.
    correction : float
        Rate at which a held x goes back to zero.
    slack : array (k,)
        By how much a kink may be beyond its event before it counts, so that none is counted at the start.
    """

    shares: Float[Array, " kinks"]
    held: Int[Array, " held"]
    correction: float
    slack: Float[Array, " kinks"]


class SlidingFlow:
    """A flow between two events, as the solver sees it: dy/dt = velocity(t, y, arguments).

    Parameters
    ----------
    velocity, kinks : callable
        (t, y, parameters, shares (k,)) -> dy/dt and (t, y, parameters) -> x (k,). Without kinks the velocity takes no
        shares, and there are no events.
    y : array
        The state at time 0.
    parameters : pytree of arrays
        What is passed on to both.
    end : float
        Last time of the flow.

    Attributes
    ----------
    event : callable or None
        (t, y, arguments) -> positive until a kink is reached, or a held one is left.
    """

    def __init__(self, velocity: Callable, kinks: Callable | None, y: Array, parameters: Any, end: float):
        has_kinks = kinks is not None and jax.eval_shape(kinks, jnp.zeros(()), y, parameters).size > 0
        self._system = sliding_system(velocity, kinks) if kinks is not None and has_kinks else None
        self.velocity = self._system.velocity if self._system else velocity
        self.event = self._system.event if self._system else None
        self.arguments = parameters
        if self._system and kinks is not None:
            x = np.asarray(kinks(jnp.zeros(()), y, parameters))
            sides = Sides(np.where(x > 0, 1.0, 0.0), np.zeros(0, int), _CORRECTION / end, np.zeros(len(x)))
            self.arguments = _pack(parameters, next_sides(self._system, 0.0, y, parameters, sides, at_event=False))

    def keeping(self, keep: Callable) -> Callable:
        """What to keep of y, as a function of the arguments of this flow."""
        return _of_parameters(keep) if self._system else keep

    def pass_event(self, t: float, y: Array) -> None:
        """Go over to the sides on which the flow goes on from an event."""
        assert self._system is not None  # without kinks there are no events
        parameters, sides = self.arguments
        self.arguments = _pack(parameters, next_sides(self._system, t, y, parameters, sides))


def _pack(parameters: Any, sides: Sides) -> tuple[Any, Sides]:
    return parameters, Sides(*map(jnp.asarray, sides))


@lru_cache(maxsize=128)
def _of_parameters(keep: Callable) -> Callable:
    return lambda t, y, arguments: keep(t, y, arguments[0])


class SlidingSystem(NamedTuple):
    """Functions of a velocity with kinks, made once.

    Parameters
    ----------
    velocity, event : callable
        Of (t, y, (parameters, sides)), as `SlidingFlow` has them.
    rates : callable
        (t, y, parameters, sides, touched) -> x (k,), s (k,), and b (p,), A (p, p) of the kinks that are touched.
    """

    velocity: Callable
    event: Callable
    rates: Callable


@lru_cache(maxsize=64)
def sliding_system(velocity: Callable, kinks: Callable) -> SlidingSystem:
    """The system of a velocity (t, y, parameters, shares) with kinks (t, y, parameters) -> x (k,)."""

    def linear_rates(t: Array, y: Array, parameters: Any, shares: Array, touched: Array) -> tuple[Array, Array]:
        """b and A of dx/dt = b − A s for the kinks that are touched."""

        def rate(s: Array) -> Array:
            along = velocity(t, y, parameters, s)
            change = jax.jvp(lambda y: kinks(t, y, parameters), (y,), (along,))[1]
            return change.at[touched].get(mode="fill", fill_value=0.0)

        base = shares.at[touched].set(0.0, mode="drop")
        b = rate(base)
        return b, b[:, None] - jax.vmap(rate)(base + jax.nn.one_hot(touched, len(shares), dtype=shares.dtype)).T

    def shares_at(t: Array, y: Array, parameters: Any, sides: Sides) -> Array:
        if not len(sides.held):
            return sides.shares
        nothing_held = (sides.held == len(sides.shares)).all()
        return jax.lax.cond(nothing_held, lambda *_: sides.shares, holding, t, y, parameters, sides)

    def holding(t: Array, y: Array, parameters: Any, sides: Sides) -> Array:
        b, A = linear_rates(t, y, parameters, sides.shares, sides.held)
        x = kinks(t, y, parameters).at[sides.held].get(mode="fill", fill_value=0.0)
        unused = jnp.diag(jnp.where(sides.held < len(sides.shares), 0.0, 1.0))
        s = jnp.linalg.solve(A + unused, b + sides.correction * x)
        return sides.shares.at[sides.held].set(s, mode="drop")

    def moved(t: Array, y: Array, arguments: tuple) -> Array:
        parameters, sides = arguments
        return velocity(t, y, parameters, shares_at(t, y, parameters, sides))

    def event(t: Array, y: Array, args: tuple, **_: Any) -> Array:
        parameters, sides = args
        x, s = kinks(t, y, parameters), shares_at(t, y, parameters, sides)
        return (distance(x, s, sides, jnp) + sides.slack).min()

    @jax.jit
    def rates(t: Array, y: Array, parameters: Any, sides: Sides, touched: Array) -> tuple[Array, ...]:
        s = shares_at(t, y, parameters, sides)
        return kinks(t, y, parameters), s, *linear_rates(t, y, parameters, s, touched)

    return SlidingSystem(moved, event, rates)


def distance(x: Array, s: Array, sides: Sides, numpy: Any) -> Float[Array, " kinks"]:
    """How far every kink is from an event: |x| where it is on its side, and how far a share is within [0, 1]."""
    held = (numpy.arange(len(x))[:, None] == numpy.asarray(sides.held)).any(axis=1)
    return numpy.where(held, numpy.minimum(s, 1 - s), numpy.where(sides.shares > 0.5, x, -x))


def next_sides(
    system: SlidingSystem, t: float, y: Array, parameters: Any, sides: Sides, *, at_event: bool = True
) -> Sides:
    """The sides on which a flow goes on: every kink that is touched is crossed or held, as its rates have it."""
    sides = Sides(*map(np.asarray, sides))
    now, nothing = jnp.asarray(t), np.zeros(0, int)
    x, s = (np.asarray(each) for each in system.rates(now, y, parameters, sides, nothing)[:2])
    touched = np.abs(x) <= _TOUCHED * np.abs(x).max()
    touched[sides.held[sides.held < len(x)]] = True
    if at_event:
        touched[distance(x, s, sides, np).argmin()] = True
    which = np.flatnonzero(touched)
    shares = np.where(touched, np.clip(s, 0, 1), sides.shares)
    b, A = (np.asarray(each) for each in system.rates(now, y, parameters, sides, _filled(which, len(x)))[2:])
    b, A = b[: which.size], A[: which.size, : which.size]
    chosen, between = _touched_shares((A + A.T) / 2, b, shares[which])
    shares[which] = chosen
    after = sides._replace(shares=shares, held=_filled(which[between], len(x)))
    return after._replace(slack=np.maximum(-distance(x, shares, after, np), 0.0) + _ROUNDING * np.abs(x).max())


def _touched_shares(A: np.ndarray, b: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shares of touched kinks, and which of them are held.

    Kinks that point down (of a minimum, say) repel on both sides: nothing is held there, and the flow goes on across.
    """
    attracts = A.diagonal() > 1e-12 * np.abs(A).max(initial=0.0)
    shares = np.where(attracts, 0.0, (b - A @ current > 0).astype(float))
    if attracts.any():
        left = b[attracts] - A[np.ix_(attracts, ~attracts)] @ shares[~attracts]
        values, vectors = np.linalg.eigh(A[np.ix_(attracts, attracts)])
        root = np.sqrt(np.maximum(values, 1e-14 * values.max()))
        shares[attracts] = scipy.optimize.lsq_linear(
            root[:, None] * vectors.T, vectors.T @ left / root, bounds=(0, 1), method="bvls", tol=1e-14
        ).x
    between = attracts & (shares > 1e-9) & (shares < 1 - 1e-9)
    return np.where(between, shares, shares.round()), between


def _filled(which: np.ndarray, unused: int) -> np.ndarray:
    """Indices filled up with one that is not used, so that few shapes are compiled: mostly one for all."""
    room = 16
    while room < which.size:
        room *= 4
    return np.pad(which, (0, max(min(room, unused), which.size) - which.size), constant_values=unused)
