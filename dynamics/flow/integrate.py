"""The ODE solver of all flows: explicit, adaptive, in float64, and bounded in steps."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import DataError, DivergenceError
from dynamics.support.precision import double_precision

MAX_STEPS = 500_000
"""Largest number of steps of the solver. A flow that needs more is stiff, or slides along a kink of its loss."""


def integrate(
    velocity: Callable,
    start: np.ndarray,
    parameters: Any,
    times: Float[np.ndarray, " times"],
    save: Callable,
    *,
    state_times: Float[np.ndarray, " snapshots"] | None = None,
    tolerance: float = 1e-10,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Follow dy/dt = velocity(t, y, parameters) from a small start.

    Parameters
    ----------
    velocity, save : callable
        (t, y, parameters) -> dy/dt, and what to keep of y. The same two functions and shapes are compiled once.
    start : array
        Start y(0).
    parameters : pytree of arrays
        Arrays that are passed on to both functions.
    times : array (T,)
        Times at which the result of `save` is kept, ascending from 0.
    state_times : array (S,), optional
        Times at which y itself is kept.
    tolerance : float
        Relative error allowed in one step.

    Returns
    -------
    saved : array (T, …)
    states : array (S, …) or None

    Raises
    ------
    DataError
        If the start, a parameter or a time is not finite.
    DivergenceError
        If the solver cannot follow the flow to the last time, or needs more than `MAX_STEPS` steps.
    """
    import diffrax  # half a second of import, paid by those who integrate

    _require_finite(start, parameters, times, state_times)
    snapshots: Any = [] if state_times is None else state_times
    end = float(max([times[-1], *snapshots]))
    with double_precision():
        y0, parameters = jnp.asarray(start, float), jax.tree.map(jnp.asarray, parameters)
        scale = jnp.abs(y0).max(initial=0.0)
        if scale == 0 and end > 0:
            scale = end * jnp.abs(velocity(0.0, y0, parameters)).max(initial=0.0)
        if end == 0 or scale == 0:  # nothing moves, and the step size has no scale
            saved = np.asarray(save(0.0, y0, parameters))[None].repeat(len(times), axis=0)
            return saved, None if state_times is None else np.asarray(y0)[None].repeat(len(snapshots), axis=0)
        saves = [diffrax.SubSaveAt(ts=jnp.asarray(times, float), fn=save)]
        if state_times is not None:
            saves.append(diffrax.SubSaveAt(ts=jnp.asarray(state_times, float)))
        saves.append(diffrax.SubSaveAt(t1=True, fn=_time))
        solution = _solve(velocity, y0, scale, parameters, end, diffrax.SaveAt(subs=saves), tolerance)
        saved = np.asarray(solution.ys[0])
        states = np.asarray(solution.ys[1]) if state_times is not None else None
        reached = float(solution.ys[-1][0])
    if solution.result != diffrax.RESULTS.successful or not np.isfinite(saved).all():
        raise _lost(end, reached)
    return saved, states


def _time(t, y, parameters):
    return t


def integrate_batch(
    velocity: Callable,
    starts: np.ndarray,
    parameters: Any,
    times: Float[np.ndarray, " times"],
    save: Callable,
    *,
    tolerance: float = 1e-10,
) -> np.ndarray:
    """Follow the same flow from several starts at once; each keeps a step size of its own.

    Parameters, returns and errors are those of `integrate`, with `starts` (B, …), parameters (B, …) of each start, and
    what is saved (B, T, …).
    """
    _require_finite(starts, parameters, times)
    with double_precision():
        ys, parameters = jnp.asarray(starts, float), jax.tree.map(jnp.asarray, parameters)
        # a start at zero stays there; any scale will do for its errors
        scales = jnp.abs(ys).reshape(len(ys), -1).max(axis=1)
        scales = jnp.where(scales > 0, scales, 1.0)
        solved = _solve_batch(velocity, save, ys, scales, parameters, jnp.asarray(times, float), tolerance)
        saved, reached, finished = (np.asarray(values) for values in solved)
    failed = ~finished | ~np.isfinite(saved).all(axis=tuple(range(1, saved.ndim)))
    if failed.any():
        first = int(failed.argmax())
        raise _lost(float(times[-1]), float(reached[first]), f" from start {first}")
    return saved


@partial(jax.jit, static_argnums=(0, 1))
def _solve_batch(velocity, save, ys, scales, parameters, times, tolerance):
    import diffrax

    saveat = diffrax.SaveAt(subs=[diffrax.SubSaveAt(ts=times, fn=save), diffrax.SubSaveAt(t1=True, fn=_time)])

    def solve(y, scale, own):
        solution = _solve(velocity, y, scale, own, times[-1], saveat, tolerance)
        saved, reached = solution.ys
        return saved, reached[0], solution.result == diffrax.RESULTS.successful

    return jax.vmap(solve)(ys, scales, parameters)


def _solve(velocity, y0, scale, parameters, end, saveat, tolerance):
    import diffrax  # half a second of import, paid by those who integrate

    return diffrax.diffeqsolve(
        diffrax.ODETerm(velocity),
        diffrax.Dopri8(),
        t0=0.0,
        # numbers as arrays: a second flow of the same shapes is not compiled again
        t1=jnp.asarray(end, float),
        dt0=None,
        y0=y0,
        args=parameters,
        saveat=saveat,
        stepsize_controller=diffrax.PIDController(
            rtol=jnp.asarray(tolerance, float),
            # y starts tiny and grows by many orders of magnitude: errors count against its size, not against 1
            atol=tolerance * scale,
            dtmin=jnp.asarray(1e-14 * end, float),  # a flow that blows up stops here, instead of never
            force_dtmin=False,
        ),
        max_steps=MAX_STEPS,
        throw=False,
    )


def _require_finite(start: np.ndarray, *others: Any) -> None:
    """Refuse what would keep the control of the step size from ever ending."""
    if not np.isfinite(start).all():
        raise DataError("The start of the flow is not finite.")
    if not all(np.isfinite(np.asarray(values)).all() for values in jax.tree.leaves(others)):
        raise DataError("The kernel of the flow, or one of its times, is not finite.")


def _lost(end: float, reached: float, where: str = "") -> DivergenceError:
    return DivergenceError(
        f"The flow{where} could not be followed beyond t = {reached:.3g} to t = {end:.3g} within {MAX_STEPS:,} steps "
        "of the solver; check the scale of the kernel and of the initial function, or end earlier."
    )
