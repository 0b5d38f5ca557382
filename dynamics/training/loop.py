"""The loop that any training shares: compiled updates, observation at chosen steps, checkpoints, a clean early end.

>>> import jax, jax.numpy as jnp, optax
>>> from dynamics.training.state import apply_gradient, initial_state
>>> optimiser = optax.sgd(0.1)
>>> def update(state):
...     noise = jax.random.normal(jax.random.fold_in(state.key, state.step))  # a batch, drawn on the device
...     loss, gradient = jax.value_and_grad(lambda w: jnp.square(w - 3 + 0.01 * noise))(state.params)
...     return apply_gradient(optimiser, state, gradient), {"loss": loss}
>>> state, outcome = run(update, initial_state(jnp.zeros(()), optimiser, jax.random.key(0)), steps=50)
>>> round(float(state.params), 1), int(state.step), outcome.kind
(3.0, 50, 'finished')
"""

import bisect
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.errors import CapacityError, DivergenceError
from dynamics.support.compiled import compile_once
from dynamics.support.progress import progress_bar
from dynamics.training.checkpoints import Checkpoints
from dynamics.training.dispatch import updates_per_dispatch
from dynamics.training.state import Metrics, TrainState, Update
from dynamics.trajectories.outcome import Outcome

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1  # of work that is handed to the device before its losses are looked at
_LOOK_DISPATCHES = 256
_WARM_UP = 3  # updates after which everything is compiled
_TIMED_SECONDS = 1.0  # after which the cost of the rest is known well enough


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
    adjust: Update | None = None,
    adjust_due: Callable[[TrainState], int] | None = None,
    description: str = "training",
    status: Callable[[], str] | None = None,
) -> tuple[TrainState, Outcome]:
    """Apply `update` until `state.step` is `steps`.

    SIGINT (Ctrl-C) and SIGTERM (batch systems) end the run after the update at hand; a second Ctrl-C ends it at once.
    The checkpoint of step k is taken before step k is observed. So a run that goes on from it observes step k again,
    and `recorder_state` holds what was observed before k. It is written while the training goes on, and however the run
    ends, its last checkpoint is on the disk then. If a checkpoint cannot be written, on a full disk for example, this
    is reported, the one before it stays as it was, and training goes on.

    Losses are checked before anything is observed or saved, and otherwise about ten times a second. So updates of a
    few microseconds do not wait for Python, and a run that has diverged soon ends.

    With several processes (`jax.distributed`) all of them call this with the same arguments. They stop together, and
    only the first one writes checkpoints.

    Parameters
    ----------
    update : callable
        Pure function (state, *data) -> (state, metrics). It is compiled here, once for equal updates. It draws its
        randomness from `fold_in(state.key, state.step)` and returns `state.step + 1`. `metrics` has at least `loss`,
        the loss at the state that came in.
    state : TrainState
        State to start from, or to go on from.
    steps : int
        Number of updates since step 0.
    data : tuple of pytrees
        What the update reads and does not change, such as all training images on the device.
    observe : callable, optional
        Function that is called at each step of `observe_at` with the state and the metrics *at that state*.
    observe_at : iterable of int
        Steps to observe, from 0 to `steps`.
    checkpoints : Checkpoints, optional
        Checkpoints in which the state is kept.
    recorder_state : callable, optional
        Function that returns what a checkpoint keeps of the observer: nested dicts and lists of arrays, numbers and
        strings. Nobody changes these afterwards, as they are written while the training goes on.
    report_cost : callable, optional
        Function that is called after the first few updates with the seconds that all of them will take.
    steps_per_dispatch : int, optional
        Largest number of updates in one compiled loop where nothing is observed in between; the default is that of
        `updates_per_dispatch`.
    adjust : callable, optional
        Function (state, *data) -> (state, metrics) as `update`, but which makes no step: what it changes, such as a
        learning rate, holds for the updates that follow. A checkpoint is of a state before it.
    adjust_due : callable, optional
        Function state -> the step before which `adjust` is called, and called again until the step is a later one.
    description : str
        Label of the progress bar.
    status : callable, optional
        Function that returns what is to stand beside the bar after the loss.

    Returns
    -------
    state : TrainState
        The state at which the run ended.
    outcome : Outcome
        How it ended: finished, interrupted after a step, or diverged at the first step whose loss is not finite. After
        an interruption the last checkpoint is that of the interrupted step. After a divergence it is that of a step
        with finite parameters, before which all losses are finite.
    """
    state = state._replace(step=jnp.asarray(state.step, jnp.int32))
    key, state = state.key, state._replace(key=None)
    seed = jax.random.key_data(key)
    once, several = _compiled(update, jax.random.key_impl(key))
    together = steps_per_dispatch or _default_dispatch(once, state, seed, data)
    if together > 1:
        state = _copied(state)  # its memory will be used again, and the caller's is not ours
    adjusting = _Adjusting(adjust, adjust_due, jax.random.key_impl(key))
    observed = frozenset(int(step) for step in observe_at) if observe is not None else frozenset()
    stops = sorted(observed | {steps})
    at, timer = int(state.step), _Timer(report_cost, int(state.step), steps)
    with progress_bar(description, total=steps) as done, _interruptions() as interrupted:
        done(at)
        # the loss of the last state is that of an update which is not one of the training
        losses = _Losses(at, [lambda at: done(min(at, steps), _beside(losses.last, status)), timer.done])
        try:
            while True:
                ending, look = _agreed(interrupted()), at in observed
                if ending or look or at >= steps or losses.due():
                    losses.check()
                if ending:
                    _save(checkpoints, state._replace(key=key), recorder_state)
                    return state._replace(key=key), Outcome.interrupted(at)
                if at >= steps and not look:
                    return state._replace(key=key), Outcome()
                if at < steps:
                    state = adjusting(state, at, seed, data)
                count = 1
                if together == 1:
                    following, metrics = once(state, seed, *data)
                else:
                    if not look:
                        count = min(together, int(min(stops[bisect.bisect(stops, at)], adjusting.due)) - at)
                    following, metrics = several(together, count, _copied(state) if look else state, seed, *data)
                losses.add(metrics["loss"], count)
                if look:
                    losses.check()
                    metrics = metrics if together == 1 else jax.tree.map(lambda each: np.asarray(each)[0], metrics)
                    observe(state._replace(key=key), metrics)  # type: ignore[misc]  # it is looked at only with `observe`
                if at >= steps:
                    return state._replace(key=key), Outcome()
                state, at = following, losses.until
                if checkpoints is not None and (at >= steps or _agreed(checkpoints.due())):
                    losses.check()
                    _save(checkpoints, state._replace(key=key), recorder_state)
        except _NotFinite as found:
            return state._replace(key=key), Outcome.diverged(found.step)
        finally:
            _written(checkpoints)


@compile_once(maxsize=8)
def _compiled(update: Update, implementation: Any) -> tuple[Any, Any]:
    """The update compiled alone, and any number of them up to a largest one, which returns the metrics of each.

    Both take the state without its key, and the numbers of the key beside it: calls with typed keys take JAX several
    times as long. The second takes the memory of the state that comes in for the one that goes out, and is one program
    however many updates are asked for: a run that uses it does not compile the first.
    """

    def one(state: TrainState, seed: jax.Array, *data: Any) -> tuple[TrainState, Metrics]:
        key = jax.random.wrap_key_data(seed, impl=implementation)
        following, metrics = update(state._replace(key=key), *data)
        return following._replace(key=None), metrics

    once = jax.jit(one)

    def several(most: int, count: Any, state: TrainState, seed: jax.Array, *data: Any) -> tuple[TrainState, Metrics]:
        kinds = jax.eval_shape(once, state, seed, *data)[1]
        kept = jax.tree.map(lambda kind: jnp.zeros((most, *kind.shape), kind.dtype), kinds)

        def body(index: jax.Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
            following, metrics = once(carry[0], seed, *data)
            return following, jax.tree.map(lambda all_, each: all_.at[index].set(each), carry[1], metrics)

        return jax.lax.fori_loop(0, count, body, (state, kept))

    return once, jax.jit(several, static_argnums=0, donate_argnums=2)


@jax.jit
def _copied(tree: Any) -> Any:
    """The same numbers in memory of their own; one program for the whole tree."""
    return jax.tree.map(jnp.copy, tree)


class _Adjusting:
    """Calls `adjust` at the steps before which it is due."""

    def __init__(self, adjust: Update | None, due: Callable[[TrainState], int] | None, implementation: Any):
        self.due: float = np.inf if adjust is None else -1
        """Step before which it is called next."""
        self._due = due
        self._adjust = None if adjust is None else _compiled(adjust, implementation)[0]

    def __call__(self, state: TrainState, at: int, seed: jax.Array, data: tuple) -> TrainState:
        """The state before step `at`, adjusted if that is due."""
        while self.due <= at:
            self.due = self._due(state)  # type: ignore[misc]  # it is given with `adjust`
            if self.due <= at:
                state, _ = self._adjust(state, seed, *data)  # type: ignore[misc]
        return state


def _default_dispatch(once: Any, state: TrainState, seed: jax.Array, data: tuple) -> int:
    on_cpu = jax.default_backend() == "cpu"
    return updates_per_dispatch(once.trace(state, seed, *data).jaxpr.jaxpr if on_cpu else None, on_cpu=on_cpu)


class _NotFinite(Exception):
    """Raised when the loss at a step is found not to be finite."""

    def __init__(self, step: int):
        self.step = step


class _Losses:
    """Losses of updates that the device may still be working on; looking at one means waiting for it.

    Parameters
    ----------
    at : int
        Step at which the run begins.
    told : sequence of callable
        Each is called with the number of updates done whenever their losses were found to be finite.
    """

    def __init__(self, at: int, told: Sequence[Callable[[int], None]]):
        self.until = at
        """Step after the updates that were added."""
        self._checked, self._told = at, told
        self._waiting: list[tuple[jax.Array, int]] = []
        self.last: float | None = None
        """The last loss that was looked at."""
        self._since, self._window = time.perf_counter(), 1

    def add(self, losses: jax.Array, count: int) -> None:
        """Take the losses of the next `count` updates, which are the first so many of the array."""
        self._waiting.append((losses, count))
        self.until += count

    def due(self) -> bool:
        """Whether so many are waiting that they should be checked."""
        return len(self._waiting) >= self._window

    def check(self) -> None:
        """Wait for all of them, and raise `_NotFinite` if one is not finite."""
        if not self._waiting:
            return
        known = [np.atleast_1d(np.asarray(losses, np.float32))[:count] for losses, count in self._waiting]
        finite = np.isfinite(np.concatenate(known))
        if not finite.all():
            raise _NotFinite(self._checked + int(np.argmin(finite)))
        self.last = float(known[-1][-1])
        now = time.perf_counter()
        if jax.process_count() == 1:  # several processes have to find out at the same update
            seconds = (now - self._since) / len(self._waiting)
            self._window = int(min(_LOOK_DISPATCHES, max(1, _LOOK_SECONDS // max(seconds, 1e-9))))
        self._checked, self._since = self.until, now
        self._waiting.clear()
        self._tell()

    def _tell(self) -> None:
        for tell in self._told:
            tell(self._checked)


def _beside(loss: float | None, status: Callable[[], str] | None) -> str:
    """What stands beside the bar: the last known loss, and what else there is to say."""
    parts = ["" if loss is None else f"loss {loss:.4g}", "" if status is None else status()]
    return ", ".join(part for part in parts if part)


class _Timer:
    """Reports once what the run costs, judging by the updates after the first few, which compile."""

    def __init__(self, report: Callable[[float], None] | None, at: int, steps: int):
        self._report, self._steps, self._from = report, steps, at + _WARM_UP
        self._began: float | None = None

    def done(self, at: int) -> None:
        """Take note that all updates before step `at` are done."""
        if self._report is None or at < self._from:
            return
        now = time.perf_counter()
        if self._began is None:
            self._began, self._from = now, at
        elif now - self._began > _TIMED_SECONDS:
            self._report((now - self._began) / (at - self._from) * self._steps)
            self._report = None


def _save(checkpoints: Checkpoints | None, state: TrainState, recorder_state: Callable[[], Any]) -> None:
    """Begin to keep the state if there is a place for it."""
    if checkpoints is not None:
        _written(checkpoints)
        checkpoints.save(state, recorder_state(), wait=False)


def _written(checkpoints: Checkpoints | None) -> None:
    """Wait for the last checkpoint; what keeps it from being written does not end the training."""
    try:
        if checkpoints is not None:
            checkpoints.wait()
    except (CapacityError, DivergenceError) as error:
        log.warning("%s", error)


@contextmanager
def _interruptions() -> Iterator[Callable[[], bool]]:
    """Remember signals to stop while the block runs; the callable that it yields says whether one came.

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
