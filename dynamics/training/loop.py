"""The loop that any training shares: compiled updates, observation at chosen steps, checkpoints, a clean early end.

>>> import jax, jax.numpy as jnp, optax
>>> optimiser = optax.sgd(0.1)
>>> def update(state):
...     noise = jax.random.normal(jax.random.fold_in(state.key, state.step))  # a batch, drawn on the device
...     loss, gradient = jax.value_and_grad(lambda w: jnp.square(w - 3 + 0.01 * noise))(state.params)
...     return apply_gradient(optimiser, state, gradient), {"loss": loss}
>>> state, ended_early = run(update, initial_state(jnp.zeros(()), optimiser, jax.random.key(0)), steps=50)
>>> round(float(state.params), 1), int(state.step), ended_early
(3.0, 50, None)
"""

import functools
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dynamics.errors import CapacityError, DivergenceError
from dynamics.support.progress import progress_bar
from dynamics.training.checkpoints import Checkpoints

log = logging.getLogger(__name__)

STEPS_PER_DISPATCH = 16  # enough that an accelerator never waits for Python, few enough that Ctrl-C is soon heard

_WARM_UP = 3  # updates after which everything is compiled
_TIMED_SECONDS = 1.0  # after which the cost of the rest is known well enough


class TrainState(NamedTuple):
    """All that training goes on from.

    Parameters
    ----------
    step : int or int32 array ()
        Updates done so far.
    params : pytree
        What the optimiser moves.
    model_state : pytree
        What the network keeps besides, such as batch statistics; {} if nothing.
    opt_state : pytree
        State of the optimiser.
    key : jax key ()
        Never changes. An update draws from `fold_in(key, step)`, so that a run that was stopped goes on exactly as it
        would have.
    """

    step: Any
    params: Any
    model_state: Any
    opt_state: Any
    key: Any


Metrics = Mapping[str, jax.Array]
Update = Callable[..., tuple[TrainState, Metrics]]


def initial_state(
    params: Any, optimiser: optax.GradientTransformation, key: jax.Array, model_state: Any = None
) -> TrainState:
    """State before the first update."""
    model_state = {} if model_state is None else model_state
    return TrainState(jnp.zeros((), jnp.int32), params, model_state, optimiser.init(params), key)


def apply_gradient(
    optimiser: optax.GradientTransformation, state: TrainState, gradient: Any, model_state: Any = None
) -> TrainState:
    """State after one step of the optimiser along a gradient; `model_state` replaces the old one if it is given."""
    updates, opt_state = optimiser.update(gradient, state.opt_state, state.params)
    return TrainState(
        state.step + 1,
        optax.apply_updates(state.params, updates),
        state.model_state if model_state is None else model_state,
        opt_state,
        state.key,
    )


def run(
    update: Update,
    state: TrainState,
    *,
    steps: int,
    data: tuple = (),
    observe: Callable[[TrainState, Metrics], None] | None = None,
    observe_at: Iterable[Any] = (),
    checkpoints: Checkpoints | None = None,
    recorder_state: Callable[[], Any] = dict,
    report_cost: Callable[[float], None] | None = None,
    steps_per_dispatch: int | None = None,
    description: str = "training",
) -> tuple[TrainState, str | None]:
    """Apply `update` until `state.step` is `steps`.

    SIGINT (Ctrl-C) and SIGTERM (batch systems) end the run after the update at hand; a second Ctrl-C ends it at once.
    A checkpoint of step k is written before step k is observed, so a run that goes on from it observes k again, and
    `recorder_state` then holds what was observed before k. One that cannot be written, on a full disk say, is reported
    and leaves the one before it as it was; training goes on.

    With several processes (`jax.distributed`) every one calls this with the same arguments; they stop together, and
    the first alone writes checkpoints.

    Parameters
    ----------
    update : callable
        (state, *data) -> (state, metrics), pure; compiled here. It draws its randomness from
        `fold_in(state.key, state.step)`, returns `state.step + 1`, and `metrics` has at least `loss`, a number: the one
        at the state that came in.
    state : TrainState
        Where to start, or where to go on; not to be used afterwards, since accelerators reuse its memory.
    steps : int
        Number of updates since step 0.
    data : tuple of pytrees
        What the update reads and does not change, such as all training images on the device.
    observe : callable, optional
        Called with the state at each step of `observe_at` and with the metrics *at that state*.
    observe_at : iterable of int
        Steps from 0 to `steps`.
    checkpoints : Checkpoints, optional
        Where to keep the state.
    recorder_state : callable, optional
        Returns what a checkpoint keeps of the observer: nested dicts and lists of arrays, numbers and strings.
    report_cost : callable, optional
        Receives, after the first few updates, the seconds that all of them will take.
    steps_per_dispatch : int, optional
        Updates in one compiled loop (`lax.scan`) where nothing looks in between. By default 1 on a CPU, where
        convolutions inside a compiled loop are 30–60 times slower, and 16 elsewhere. Small networks without
        convolutions are faster with many on a CPU, too.
    description : str
        Of the progress bar.

    Returns
    -------
    state : TrainState
        After the last update.
    reason : str or None
        Why the run ended early: interrupted, or the step at which the loss stopped being finite. The last checkpoint is
        then of the interrupted step, or of a step with finite loss and parameters.
    """
    state = state._replace(step=jnp.asarray(state.step, jnp.int32))
    together = steps_per_dispatch or (1 if jax.default_backend() == "cpu" else STEPS_PER_DISPATCH)
    once, several = jax.jit(update), _several(update, together)
    observed = frozenset(int(step) for step in observe_at) if observe is not None else frozenset()
    stops = np.array(sorted(observed | {steps}))
    at, timer = int(state.step), _Timer(report_cost, int(state.step), steps)
    with progress_bar(description, total=steps) as done, _interruptions() as interrupted:
        done(at)
        while True:
            if _agreed(interrupted()):
                _save(checkpoints, state, recorder_state)
                return state, f"interrupted after step {at}"
            look = at in observed
            if not look and at >= steps:
                return state, None
            many = together > 1 and not look and stops[np.searchsorted(stops, at, side="right")] - at >= together
            following, metrics = (several if many else once)(state, *data)
            losses = np.atleast_1d(np.asarray(metrics["loss"], np.float32))
            if not np.isfinite(losses).all():
                return following, f"the loss stopped being finite at step {at + int(np.argmin(np.isfinite(losses)))}"
            if look:
                observe(state, metrics)
            if at >= steps:
                return state, None
            state, at = following, at + len(losses)
            timer.done(at)
            done(at)
            if checkpoints is not None and (at >= steps or _agreed(checkpoints.due())):
                _save(checkpoints, state, recorder_state)


@functools.lru_cache(maxsize=8)  # runs with the same update, of other seeds say, compile it once
def _several(update: Update, count: int) -> Update:
    """`count` updates in one call, with the metrics of each; the memory of the state that comes in is used again."""

    def scan(state: TrainState, *data: Any) -> tuple[TrainState, Metrics]:
        return jax.lax.scan(lambda state, _: update(state, *data), state, length=count)

    return jax.jit(scan, donate_argnums=0)


class _Timer:
    """Tells once what the run costs, judging by the updates after the first few, which compile."""

    def __init__(self, report: Callable[[float], None] | None, at: int, steps: int):
        self._report, self._steps, self._from = report, steps, at + _WARM_UP
        self._began: float | None = None

    def done(self, at: int) -> None:
        """Take notice of the number of updates done."""
        now = time.perf_counter()
        if self._report is None or at < self._from:
            return
        if self._began is None:
            self._began, self._from = now, at
        elif now - self._began > _TIMED_SECONDS:
            self._report((now - self._began) / (at - self._from) * self._steps)
            self._report = None


def _save(checkpoints: Checkpoints | None, state: TrainState, recorder_state: Callable[[], Any]) -> None:
    """Keep the state if there is a place for it; what keeps it from being kept does not end the training."""
    if checkpoints is None:
        return
    try:
        checkpoints.save(state, recorder_state())
    except (CapacityError, DivergenceError) as error:
        log.warning("%s", error)


@contextmanager
def _interruptions() -> Iterator[Callable[[], bool]]:
    """Signals to stop are remembered while the block runs, and what it yields says whether one came.

    Raised in the middle of an update, a KeyboardInterrupt would lose the state that the update was making.
    """
    if threading.current_thread() is not threading.main_thread():  # where Python handles no signals
        yield lambda: False
        return
    received: list[int] = []

    def remember(number: int, frame: Any) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    previous = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _agreed(wish: bool) -> bool:
    """Whether any process wishes it: all of them must take the same turn, or they wait for each other for ever."""
    if jax.process_count() == 1:
        return wish
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(wish))))
