import os
import signal
from contextlib import contextmanager
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.objectives.correlation import barlow_twins
from dynamics.support.precision import double_precision
from dynamics.training import Checkpoints, SmallNetwork, SpectrumRecorder, gradient_descent, recording_steps
from dynamics.trajectories.outcome import Outcome
from dynamics.views import Pairs


@pytest.fixture
def pairs(rng):
    x = rng.normal(size=(20, 6))
    return Pairs(x, x + 0.3 * rng.normal(size=x.shape))


def linear(W):
    return SmallNetwork(apply=lambda W, x: x @ W, params=jnp.asarray(W))


def by_hand(pairs, W, learning_rate, steps, center):
    """Gradient descent on ‖WᵀΓW − I‖² written in feature space, without any code of the package."""
    x, y = pairs.x, pairs.x_prime
    if center:
        mean = (x.mean(0) + y.mean(0)) / 2
        x, y = x - mean, y - mean
    gamma = (x.T @ y + y.T @ x) / (2 * len(x))
    for _ in range(steps):
        W = W - learning_rate * 4 * gamma @ W @ (W.T @ gamma @ W - np.eye(W.shape[1]))
    return W.T @ gamma @ W


@pytest.mark.parametrize("center", [False, True])
def test_a_linear_network_follows_gradient_descent_by_hand(pairs, rng, center):
    W = 0.1 * rng.normal(size=(6, 3))
    with double_precision():
        run = gradient_descent(linear(W), pairs, learning_rate=0.01, steps=137, center=center)
    C = by_hand(pairs, W, 0.01, 137, center)
    np.testing.assert_allclose(run.eigenvalues[-1], np.linalg.eigvalsh(C)[::-1], rtol=1e-11)
    assert run.loss[-1] == pytest.approx(((C - np.eye(3)) ** 2).sum(), rel=1e-11)
    assert run.times[-1] == pytest.approx(1.37)


def test_covariance_and_embeddings_are_those_of_the_network(pairs, rng):
    W = 0.1 * rng.normal(size=(6, 2))
    with double_precision():
        run = gradient_descent(linear(W), pairs, learning_rate=0.01, steps=5, record_at=np.array([0, 5]))
    F = pairs.stacked @ W
    np.testing.assert_allclose(run.embeddings[0], F, rtol=1e-12)
    np.testing.assert_allclose(run.covariance[0], np.linalg.eigvalsh(F.T @ F / 40)[::-1], rtol=1e-12)
    np.testing.assert_allclose(run.embedding_times, [0, 0.05])


def test_updates_in_a_compiled_loop_give_the_same_run(pairs, rng):
    W, settings = 0.1 * rng.normal(size=(6, 2)), {"learning_rate": 0.01, "steps": 50}
    with double_precision():
        plain = gradient_descent(linear(W), pairs, **settings)
        looped = gradient_descent(linear(W), pairs, **settings, record_at=np.array([0, 50]))
    np.testing.assert_allclose(looped.eigenvalues, plain.eigenvalues[[0, -1]], rtol=1e-12)


def test_a_diverging_run_ends_early_with_what_it_has(pairs):
    run = gradient_descent(linear(np.ones((6, 2), np.float32)), pairs, learning_rate=10.0, steps=400)
    assert run.partial
    assert run.outcome.kind == "diverged" and run.steps[-1] < run.outcome.step
    assert np.isfinite(run.loss).all()
    assert len(run.times) < len(recording_steps(400))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_has(pairs, monkeypatch, number):
    record, recorded = SpectrumRecorder.record, []

    def interrupt(self, step, variables, **settings):
        if len(recorded) == 6:
            os.kill(os.getpid(), number)
        recorded.append(step)
        record(self, step, variables, **settings)

    monkeypatch.setattr(SpectrumRecorder, "record", interrupt)
    run = gradient_descent(linear(np.ones((6, 2), np.float32)), pairs, learning_rate=1e-3, steps=100)
    assert run.outcome.kind == "interrupted" and run.outcome.step == run.steps[-1] + 1
    assert len(run.times) == len(run.loss) == 7


def test_a_run_goes_on_from_its_checkpoint_bit_for_bit(pairs, rng, tmp_path, monkeypatch):
    W, settings = 0.1 * rng.normal(size=(6, 2)).astype(np.float32), {"learning_rate": 0.01, "steps": 120}
    settings["record_at"] = np.arange(0, 121, 20)
    whole, record = gradient_descent(linear(W), pairs, **settings), SpectrumRecorder.record

    def interrupt(self, step, variables, **more):
        if step == 60:
            os.kill(os.getpid(), signal.SIGTERM)
        record(self, step, variables, **more)

    with monkeypatch.context() as patched:
        patched.setattr(SpectrumRecorder, "record", interrupt)
        stopped = gradient_descent(linear(W), pairs, **settings, checkpoints=Checkpoints(tmp_path))
    assert stopped.outcome == Outcome.interrupted(61)
    resumed = gradient_descent(linear(W), pairs, **settings, checkpoints=Checkpoints(tmp_path))
    assert resumed.outcome == Outcome()
    for name in ("steps", "eigenvalues", "loss", "embeddings"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))


def test_the_same_network_and_settings_are_compiled_once(pairs):
    traced = []

    def scaled(F, factor):
        traced.append(factor)
        return factor * barlow_twins(F)

    network = linear(np.ones((6, 2), np.float32))
    runs = [
        gradient_descent(network, pairs, learning_rate=1e-3, steps=3, objective=partial(scaled, factor=factor))
        for factor in (2.0, 2.0, 3.0)
    ]
    assert traced.count(2.0) == traced.count(3.0)  # the second run traced nothing
    assert runs[0].objective == "scaled"
    np.testing.assert_array_equal(runs[0].loss, runs[1].loss)


def test_the_networks_precision_is_the_callers(pairs):
    run = gradient_descent(linear(np.ones((6, 2), np.float32)), pairs, learning_rate=1e-3, steps=3)
    assert run.embeddings.dtype == np.float32
    assert run.eigenvalues.dtype == np.float64
    assert jnp.ones(1).dtype == jnp.float32 and not jax.config.jax_enable_x64


def test_the_bar_ends_where_the_training_does(pairs, monkeypatch):
    told = []

    @contextmanager
    def bar(description, total):
        yield lambda done, beside="": told.append((done, total))

    monkeypatch.setattr("dynamics.training.loop.progress_bar", bar)
    gradient_descent(linear(np.ones((6, 2), np.float32)), pairs, learning_rate=1e-3, steps=3)
    assert told[0] == (0, 3) and max(told) == (3, 3)
