"""The loop: what an update sees, what an observer sees, how a run ends."""

import errno
import os
import signal
import threading
import time
from contextlib import nullcontext
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics.support import files
from dynamics.training.checkpoints import Checkpoints
from dynamics.training.dispatch import UPDATES, updates_per_dispatch
from dynamics.training.loop import run
from dynamics.training.state import TrainState, apply_gradient, initial_state
from dynamics.trajectories.outcome import Outcome

OPTIMISER = optax.sgd(0.1, momentum=0.9)


def update(state):
    """Noisy descent on ½‖w‖², its noise drawn from the key and the step."""
    noise = jax.random.normal(jax.random.fold_in(state.key, state.step), (3,))
    gradient = state.params + 0.01 * noise
    model_state = {"mean": 0.9 * state.model_state["mean"] + 0.1 * state.params.mean()}
    return apply_gradient(OPTIMISER, state, gradient, model_state), {"loss": 0.5 * jnp.square(state.params).sum()}


def start():
    return initial_state(jnp.arange(3.0), OPTIMISER, jax.random.key(7), {"mean": jnp.zeros(())})


def by_hand(steps):
    """Parameters after every step, in NumPy."""
    w, velocity, course = np.arange(3.0), np.zeros(3), [np.arange(3.0)]
    for k in range(steps):
        noise = np.asarray(jax.random.normal(jax.random.fold_in(jax.random.key(7), k), (3,)))
        velocity = 0.9 * velocity + w + 0.01 * noise
        w = w - 0.1 * velocity
        course.append(w)
    return np.array(course)


@pytest.mark.parametrize("together", [None, 4])
def test_an_observer_sees_the_state_and_the_loss_of_its_step(together):
    seen = {}

    def observe(state, metrics):
        seen[int(state.step)] = (np.asarray(state.params), float(metrics["loss"]))

    observe_at = [0, 1, 2, 13, 30]
    state, outcome = run(update, start(), steps=30, observe=observe, observe_at=observe_at, steps_per_dispatch=together)
    expected = by_hand(30)
    assert outcome == Outcome() and int(state.step) == 30
    np.testing.assert_allclose(state.params, expected[-1], rtol=1e-5, atol=1e-6)
    assert list(seen) == observe_at
    for step, (params, loss) in seen.items():
        np.testing.assert_allclose(params, expected[step], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(loss, 0.5 * np.square(expected[step]).sum(), rtol=1e-4)


def test_several_updates_a_dispatch_give_the_same_numbers():
    states = [run(update, start(), steps=23, steps_per_dispatch=together)[0] for together in (1, 5)]
    np.testing.assert_allclose(states[0].params, states[1].params, rtol=1e-6)
    assert [int(state.step) for state in states] == [23, 23]


def test_convolutions_and_long_updates_are_put_into_no_compiled_loop_on_a_cpu():
    def convolution(w):
        return jax.lax.scan(lambda w, _: (jax.jit(jnp.convolve)(w, w)[: len(w)], None), w, length=2)

    small, long = jnp.ones((4, 4)), jax.ShapeDtypeStruct((1000, 1000), jnp.float32)
    cases = [(convolution, jnp.ones(8), 1), (lambda w: w @ w, small, UPDATES), (lambda w: w @ w, long, 1)]
    for function, argument, expected in cases:
        jaxpr = jax.make_jaxpr(function)(argument).jaxpr
        assert updates_per_dispatch(jaxpr, on_cpu=True) == expected
        assert updates_per_dispatch(jaxpr, on_cpu=False) == UPDATES


def test_the_state_that_comes_in_stays_usable():
    state = start()
    run(update, state, steps=40, steps_per_dispatch=16)
    np.testing.assert_array_equal(state.params, np.arange(3.0))


def test_equal_updates_are_compiled_once():
    traced = []

    def scaled(state, scale):
        traced.append(scale)
        return apply_gradient(OPTIMISER, state, scale * state.params), {"loss": jnp.zeros(())}

    for scale in (0.5, 0.5, 0.25, 0.5):
        run(partial(scaled, scale=scale), start(), steps=3)
    assert traced == [0.5, 0.25]


@pytest.mark.parametrize("together", [1, 8])
def test_a_loss_that_stops_being_finite_ends_the_run_at_its_step(together, tmp_path):
    def fails(state):
        state, metrics = update(state)
        return state, {"loss": jnp.where(state.step > 11, jnp.nan, metrics["loss"])}

    checkpoints = Checkpoints(tmp_path, every=0.0)
    _, outcome = run(fails, start(), steps=40, checkpoints=checkpoints, steps_per_dispatch=together)
    assert outcome == Outcome.diverged(11)
    state, _ = checkpoints.latest(start())
    assert int(state.step) == (11 if together == 1 else 8)
    np.testing.assert_allclose(state.params, by_hand(11)[int(state.step)], rtol=1e-5, atol=1e-6)


def test_parameters_that_are_not_finite_take_no_good_checkpoints_place(tmp_path, caplog):
    def breaks(state):
        following, _ = update(state)
        spoilt = jnp.where(following.step > 5, jnp.nan, following.params)
        return following._replace(params=spoilt), {"loss": jnp.ones(())}  # a loss that does not tell

    checkpoints = Checkpoints(tmp_path, every=0.0)
    run(breaks, start(), steps=9, checkpoints=checkpoints, steps_per_dispatch=1)
    assert checkpoints.steps()[-1] == 5
    assert "The parameters of step 6 are not finite; the one of step 5 stays." in caplog.messages[0]


def test_a_resumed_run_is_the_same_run_bit_for_bit(tmp_path):
    records = []

    def observe(state, metrics):
        records.append(float(metrics["loss"]))

    settings = {"steps": 20, "observe": observe, "observe_at": range(0, 21, 4)}
    whole, _ = run(update, start(), **settings)
    straight, records[:] = list(records), []

    checkpoints = Checkpoints(tmp_path, every=0.0)

    class Stop(Exception):
        pass

    def stops(state, metrics):
        observe(state, metrics)
        if int(state.step) == 12:
            raise Stop

    with pytest.raises(Stop):
        run(
            update,
            start(),
            **settings | {"observe": stops},
            checkpoints=checkpoints,
            recorder_state=lambda: {"losses": list(records)},
        )
    state, kept = checkpoints.latest(start())
    assert int(state.step) == 12
    records[:] = kept["losses"]
    resumed, _ = run(update, state, **settings, checkpoints=checkpoints)
    assert records == straight
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("together", [1, 4])
def test_checkpoints_are_written_while_the_training_goes_on(together, tmp_path, monkeypatch):
    """The checkpoint of each step is written only when that step has been observed, which is after it was taken."""
    observed = [threading.Event() for _ in range(7)]

    def waits(path, content, **settings):
        assert observed[int(path.stem.removeprefix("step-"))].wait(30.0)
        write(path, content, **settings)

    write = files.save_bytes
    monkeypatch.setattr(files, "save_bytes", waits)
    checkpoints = Checkpoints(tmp_path, every=0.0, keep=9)
    run(
        update,
        start(),
        steps=6,
        observe=lambda state, metrics: observed[int(state.step)].set(),
        observe_at=range(7),
        checkpoints=checkpoints,
        steps_per_dispatch=together,
    )
    assert checkpoints.steps() == [1, 2, 3, 4, 5, 6]
    for step in range(6, 0, -1):  # no update has written into the memory of a state that was to be kept
        state, _ = checkpoints.before(start(), step)
        np.testing.assert_allclose(state.params, by_hand(step)[step], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_its_state_saved(number, tmp_path, monkeypatch):
    def observe(state, metrics):
        if int(state.step) == 6:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)

    def takes_long(path, content, **settings):
        time.sleep(0.2)
        write(path, content, **settings)

    write = files.save_bytes
    monkeypatch.setattr(files, "save_bytes", takes_long)
    checkpoints = Checkpoints(tmp_path)
    state, outcome = run(update, start(), steps=50, observe=observe, observe_at=range(51), checkpoints=checkpoints)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000007.checkpoint"]
    assert outcome == Outcome.interrupted(7) and int(state.step) == 7
    assert signal.getsignal(number) is before


def test_a_second_interruption_is_not_waited_for():
    def observe(state, metrics):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(update, start(), steps=50, observe=observe, observe_at=[3])


def test_it_runs_outside_the_main_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(run(update, start(), steps=3)))
    thread.start()
    thread.join()
    assert isinstance(results[0][0], TrainState) and results[0][1] == Outcome()


def test_the_cost_is_told_once(monkeypatch):
    from dynamics.training import loop

    now = [0.0]

    def observe(state, metrics):
        now[0] += 0.5  # every step takes half a second

    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])
    told = []
    run(update, start(), steps=40, observe=observe, observe_at=range(41), report_cost=told.append)
    assert told == [pytest.approx(0.5 * 40)]


def test_losses_are_checked_rarely_where_updates_are_short_and_often_where_they_are_long(monkeypatch):
    from dynamics.training import loop

    for seconds, fewest, most in ((1e-6, 2, 20), (1.0, 300, 320)):
        now, done = [0.0], []

        def tick(self, losses, count, seconds=seconds, now=now, add=loop._Losses.add):
            now[0] += seconds
            add(self, losses, count)

        with monkeypatch.context() as patched:
            patched.setattr(loop.time, "perf_counter", lambda now=now: now[0])
            patched.setattr(loop._Losses, "add", tick)
            patched.setattr(
                loop, "progress_bar", lambda *_, done=done, **__: nullcontext(lambda at, _="": done.append(at))
            )
            run(update, start(), steps=300, steps_per_dispatch=1)
        assert fewest <= len(done) <= most and done[-1] == 300


def test_the_loss_and_what_else_there_is_to_say_stand_beside_the_bar(monkeypatch):
    from dynamics.training import loop

    shown = []
    monkeypatch.setattr(
        loop, "progress_bar", lambda *_, **__: nullcontext(lambda at, text="": shown.append((at, text)))
    )
    run(update, start(), steps=4, steps_per_dispatch=1, status=lambda: "effective rank 2.0")
    losses = {f"loss {0.5 * np.sum(w**2):.4g}, effective rank 2.0" for w in by_hand(3)}
    assert shown[0] == (0, "") and shown[-1][0] == 4 and {text for _, text in shown[1:]} <= losses


def test_a_full_disk_ends_no_run_and_spoils_no_checkpoint(tmp_path, monkeypatch, caplog):
    replace = os.replace

    def full(source, target):
        if "step-00000003" in str(target):
            replace(source, target)
        else:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    checkpoints = Checkpoints(tmp_path, every=0.0)
    state, outcome = run(update, start(), steps=6, checkpoints=checkpoints, steps_per_dispatch=1)
    assert outcome == Outcome() and int(state.step) == 6
    assert "step 4 could not be written" in caplog.text and "the one of step 3 stays" in caplog.text
    kept, _ = checkpoints.latest(start())
    np.testing.assert_allclose(kept.params, by_hand(3)[3], rtol=1e-5, atol=1e-6)
