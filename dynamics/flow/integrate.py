"""The ODE solver of all flows: explicit, adaptive, in float64."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import DivergenceError
from dynamics.support.precision import double_precision


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
    """Follow dy/dt = velocity(t, y, parameters) from a small start; zero is a fixed point.

    Parameters
    ----------
    velocity, save : callable
        (t, y, parameters) -> dy/dt, and what to keep of y. The same two functions and shapes are compiled once.
    start : array
        y at t = 0.
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
    DivergenceError
        If the solver cannot follow the flow to the last time.
    """
    import diffrax  # half a second of import, paid by those who integrate

    snapshots: Any = [] if state_times is None else state_times
    end = float(max([times[-1], *snapshots]))
    with double_precision():
        y0, parameters = jnp.asarray(start, float), jax.tree.map(jnp.asarray, parameters)
        if end == 0 or not y0.any():  # nothing moves, and the step size has no scale
            saved = np.asarray(save(0.0, y0, parameters))[None].repeat(len(times), axis=0)
            return saved, None if state_times is None else np.asarray(y0)[None].repeat(len(snapshots), axis=0)
        saves = [diffrax.SubSaveAt(ts=jnp.asarray(times, float), fn=save)]
        if state_times is not None:
            saves.append(diffrax.SubSaveAt(ts=jnp.asarray(state_times, float)))
        scale = jnp.abs(y0).max()
        solution = _solve(velocity, y0, scale, parameters, end, diffrax.SaveAt(subs=saves), tolerance)
        saved = np.asarray(solution.ys[0])
        states = np.asarray(solution.ys[1]) if state_times is not None else None
    if solution.result != diffrax.RESULTS.successful or not np.isfinite(saved).all():
        raise _lost(end)
    return saved, states


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

    Parameters, returns and errors are those of `integrate`, with `starts` (B, …) and what is saved (B, T, …).
    """
    finite = np.isfinite(starts).reshape(len(starts), -1).all(axis=1)
    if not finite.all():  # the step size control would never end
        raise _lost(float(times[-1]), f" from start {finite.argmin()}")
    with double_precision():
        ys, parameters = jnp.asarray(starts, float), jax.tree.map(jnp.asarray, parameters)
        # a start at zero stays there; any scale will do for its errors
        scales = jnp.abs(ys).reshape(len(ys), -1).max(axis=1)
        scales = jnp.where(scales > 0, scales, 1.0)
        saved, finished = _solve_batch(velocity, save, ys, scales, parameters, jnp.asarray(times, float), tolerance)
        saved, finished = np.asarray(saved), np.asarray(finished)
    failed = ~finished | ~np.isfinite(saved).all(axis=tuple(range(1, saved.ndim)))
    if failed.any():
        raise _lost(float(times[-1]), f" from start {failed.argmax()}")
    return saved


@partial(jax.jit, static_argnums=(0, 1))
def _solve_batch(velocity, save, ys, scales, parameters, times, tolerance):
    import diffrax

    saveat = diffrax.SaveAt(ts=times, fn=save)

    def solve(y, scale):
        solution = _solve(velocity, y, scale, parameters, times[-1], saveat, tolerance)
        return solution.ys, solution.result == diffrax.RESULTS.successful

    return jax.vmap(solve)(ys, scales)


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
        max_steps=None,
        throw=False,
    )


def _lost(end: float, where: str = "") -> DivergenceError:
    return DivergenceError(
        f"The flow{where} could not be followed to t = {end:.3g}; check the scale of the kernel and of the "
        "initial function."
    )
