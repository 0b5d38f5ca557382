"""The ODE solver of all flows: adaptive, in float64, bounded in steps, and able to slide along the kinks of a loss.

The solver takes some steps at a time, so that a flow can be interrupted and says how far it is if it takes long. It is
explicit. A flow that explicit steps would follow for too long, because some directions relax much faster than others
move, goes on with implicit steps if its state is small.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import DataError, DivergenceError
from dynamics.flow.sliding import SlidingFlow
from dynamics.support.precision import double_precision
from dynamics.support.progress import progress_bar
from dynamics.typing import Array

MAX_STEPS = 500_000
"""Largest number of steps of the solver."""

_STEPS_AT_ONCE = 1000
_STIFF_STEPS = 20_000  # a flow that would take more explicit steps than this is stiff
_IMPLICIT_SIZE = 1024  # numbers in the largest state for which implicit steps are affordable
_SECONDS = 3.0  # of work without a word

Wanted = list[tuple[np.ndarray, Callable]]
"""Times, and what to keep of y at each of them."""

Errors = tuple[float, Array, float]
"""Relative and absolute error of a step, and the share of the last time of the smallest step."""


def integrate(
    velocity: Callable,
    start: np.ndarray,
    parameters: Any,
    times: Float[np.ndarray, " times"],
    save: Callable,
    *,
    kinks: Callable | None = None,
    state_times: Float[np.ndarray, " snapshots"] | None = None,
    tolerance: float = 1e-10,
    smallest_step: float = 0.0,
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
    kinks : callable, optional
        (t, y, parameters) -> x (k,), where the velocity jumps if one of them changes its sign. The velocity takes their
        shares (k,) as a fourth argument (`dynamics.objectives.kinks`), and the flow slides where it has to.
    state_times : array (S,), optional
        Times at which y itself is kept.
    tolerance : float
        Relative error allowed in one step.
    smallest_step : float
        Smallest step, as a share of the last time, which is taken although its error is larger.

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
    _require_finite(start, parameters, times, state_times)
    wanted: Wanted = [(np.asarray(times, float), save)]
    if state_times is not None:
        wanted.append((np.asarray(state_times, float), _state))
    end = float(max(moments.max(initial=0.0) for moments, _ in wanted))
    with double_precision():
        # `jnp.asarray` compiles a program for every shape, and `device_put` none
        y0, parameters = jax.device_put(np.asarray(start, float)), jax.device_put(parameters)
        t0, scale = jnp.zeros(()), np.abs(start).max(initial=0.0)
        if scale == 0 and end > 0:
            scale = end * jnp.abs(velocity(t0, y0, parameters)).max(initial=0.0)
        if end == 0 or scale == 0:  # nothing moves, and the step size has no scale
            kept = [np.asarray(keep(t0, y0, parameters))[None].repeat(len(moments), axis=0) for moments, keep in wanted]
        else:
            # y starts tiny and grows by many orders of magnitude: errors count against its size, not against 1
            flow = SlidingFlow(velocity, kinks, y0, parameters, end)
            errors = tolerance, jnp.asarray(tolerance * scale), smallest_step
            kept = _walk(flow, y0, end, wanted, errors)
    return kept[0], None if state_times is None else kept[1]


def _walk(flow: SlidingFlow, y: Array, end: float, wanted: Wanted, errors: Errors) -> list[np.ndarray]:
    """What is kept at the wanted times, some steps after the other."""
    import diffrax  # half a second of import, paid by those who integrate

    t, steps, standing, implicit = 0.0, 0, 0, False
    kept: list[list[np.ndarray]] = [[] for _ in wanted]
    with progress_bar("flow", 1000, after=_SECONDS) as tell:
        while True:
            room = min(_STEPS_AT_ONCE, MAX_STEPS - steps)
            if room < 1 or standing > 2 * _STEPS_AT_ONCE:
                raise _lost(end, t)
            solution = _some_steps(flow, t, y, end, wanted, errors, implicit, room)
            *values, (moment, state) = solution.ys
            before, t, y, taken = t, float(moment[0]), state[0], int(solution.stats["num_steps"])
            for rows, found, (moments, _) in zip(kept, values, wanted, strict=True):
                done = sum(map(len, rows))
                rows.append(np.asarray(found)[done : int((moments <= t).sum())])
            if solution.result == diffrax.RESULTS.successful:
                break
            if solution.result == diffrax.RESULTS.event_occurred:
                flow.pass_event(t, y)
            elif solution.result != diffrax.RESULTS.max_steps_reached:
                raise _lost(end, t)
            steps, standing = steps + taken, standing + 1 if t <= before else 0
            tell(int(1000 * t / end))
            smooth = errors[2] == 0
            if smooth and taken == room and y.size <= _IMPLICIT_SIZE and steps >= 3 * _STEPS_AT_ONCE:
                implicit = implicit or taken * (end - t) > _STIFF_STEPS * (t - before)
    saved = [np.concatenate(rows) for rows in kept]
    if not np.isfinite(saved[0]).all():
        raise _lost(end, t)
    return saved


def _some_steps(
    flow: SlidingFlow,
    t: float,
    y: Array,
    end: float,
    wanted: Wanted,
    errors: Errors,
    implicit: bool,
    max_steps: int,
) -> Any:
    """Steps from y(t) until the next event, or the end. What was wanted before t is kept again, as of t."""
    import diffrax
    import optimistix

    event = None
    if flow.event is not None:
        root_finder: Any = optimistix.Bisection(rtol=1e-13, atol=1e-13)  # type: ignore[call-arg]
        event = diffrax.Event(flow.event, root_finder, direction=False)
    saves = [
        diffrax.SubSaveAt(ts=jax.device_put(moments.clip(t, end)), fn=flow.keeping(keep)) for moments, keep in wanted
    ]
    return diffrax.diffeqsolve(
        diffrax.ODETerm(flow.velocity),
        diffrax.Kvaerno5() if implicit else diffrax.Dopri8(),
        # numbers as arrays: a second flow of the same shapes is not compiled again
        t0=jnp.asarray(t, float),
        t1=jnp.asarray(end, float),
        dt0=None,
        y0=y,
        args=flow.arguments,
        saveat=diffrax.SaveAt(subs=[*saves, diffrax.SubSaveAt(t1=True, fn=_moment_and_state)]),
        stepsize_controller=_controller(*errors, end),
        event=event,
        max_steps=max_steps,
        throw=False,
    )


def _state(t, y, parameters):
    return y


def _moment_and_state(t, y, arguments):
    return t, y


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
    what is saved (B, T, …). It neither slides along kinks nor takes implicit steps.
    """
    _require_finite(starts, parameters, times)
    times = np.asarray(times, float)
    end, steps = float(times[-1]), 0
    with double_precision(), progress_bar("flows", 1000, after=_SECONDS) as tell:
        ys, parameters = jnp.asarray(starts, float), jax.tree.map(jnp.asarray, parameters)
        # a start at zero stays there; any scale will do for its errors
        scales = jnp.abs(ys).reshape(len(ys), -1).max(axis=1)
        atol = tolerance * jnp.where(scales > 0, scales, 1.0)
        t, saved = np.zeros(len(ys)), None
        while True:
            room = min(_STEPS_AT_ONCE, MAX_STEPS - steps)
            found, reached, ys, lost = _some_steps_of_each(
                velocity, save, room, t, ys, parameters, times, tolerance, atol
            )
            found = np.asarray(found)
            # times that lie behind are kept as they were
            behind = (times <= t[:, None]).reshape(*found.shape[:2], *[1] * (found.ndim - 2))
            saved = found if saved is None else np.where(behind, saved, found)
            t, steps = np.asarray(reached), steps + room
            if lost.any() or (steps >= MAX_STEPS and (t < end).any()):
                first = int((np.asarray(lost) if lost.any() else t < end).argmax())
                raise _lost(end, float(t[first]), f" from start {first}")
            if (t >= end).all():
                break
            tell(int(1000 * t.min() / end))
    broken = ~np.isfinite(saved).all(axis=tuple(range(1, saved.ndim)))
    if broken.any():
        raise _lost(end, float(t[broken.argmax()]), f" from start {int(broken.argmax())}")
    return saved


@partial(jax.jit, static_argnums=(0, 1, 2))
def _some_steps_of_each(velocity, save, max_steps, t, ys, parameters, times, rtol, atol):
    import diffrax

    def solve(t, y, own, atol):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(velocity),
            diffrax.Dopri8(),
            t0=t,
            t1=times[-1],
            dt0=None,
            y0=y,
            args=own,
            saveat=diffrax.SaveAt(
                subs=[
                    diffrax.SubSaveAt(ts=jnp.clip(times, t, times[-1]), fn=save),
                    diffrax.SubSaveAt(t1=True, fn=_moment_and_state),
                ]
            ),
            stepsize_controller=_controller(rtol, atol, 0.0, times[-1]),
            max_steps=max_steps,
            throw=False,
        )
        saved, (moment, state) = solution.ys
        good = (solution.result == diffrax.RESULTS.successful) | (solution.result == diffrax.RESULTS.max_steps_reached)
        return saved, moment[0], state[0], ~good

    return jax.vmap(solve)(t, ys, parameters, atol)


def _controller(rtol, atol, smallest_step, end):
    import diffrax

    return diffrax.PIDController(
        rtol=jnp.asarray(rtol, float),
        atol=jnp.asarray(atol, float),
        dtmin=jnp.asarray((smallest_step or 1e-14) * end, float),  # a flow that blows up stops here, instead of never
        force_dtmin=smallest_step > 0,
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
