"""The recorder against NumPy on the same embeddings, in loops that know nothing of it."""

import threading
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError, KernelError
from dynamics.kernels import kernel_drift
from dynamics.modes import contrastive_modes
from dynamics.training import SpectrumRecorder, recording_steps
from dynamics.training.record import record_of
from dynamics.trajectories.metrics import rankme

N, DIM = 12, 3


@pytest.fixture
def probe(rng):
    return rng.normal(size=(2 * N, 5))


def linear(probe):
    return lambda W: probe @ W


def run(recorder, W, steps, start=0):
    """A loop of one's own; the update is a rotation and growth."""
    rotation = np.linalg.qr(np.random.default_rng(7).normal(size=(5, 5)))[0]
    for step in range(steps + 1):
        if step >= start and recorder.due(step):
            recorder.record(step, W, loss=float((W**2).sum()))
        W = 1.1 * rotation @ W
    return recorder


def test_what_is_recorded_is_returned_and_there_when_it_is_read(probe):
    recorder, W = SpectrumRecorder(linear(probe), steps=[0, 1]), np.ones((5, DIM)) + np.eye(5, DIM)
    first, second = recorder.record(0, W, loss=0.5, metrics={"mine": 7.0}), recorder.record(1, 2 * W)
    trajectory = recorder.trajectory()
    assert (first["loss"], first["mine"]) == (0.5, 7.0) and "mine" not in second
    for index, recorded in enumerate((first, second)):
        found = [recorded[f"eigenvalue_{j}"] for j in range(1, DIM + 1)]
        np.testing.assert_array_equal(found, trajectory.eigenvalues[index])
        assert recorded["rankme"] == trajectory.metrics["rankme"][index]
    assert dict(second) == recorder.latest() and len(second) == len(list(second)) and repr(second) == repr(dict(second))
    assert recorder.describe() == f"effective rank {second['effective_rank']:.1f}"


def test_a_record_that_could_not_be_made_says_so(probe, monkeypatch):
    def broken(*_, **__):
        raise KernelError("broken")

    monkeypatch.setattr("dynamics.training.recorder.record_of", broken)
    recorded = SpectrumRecorder(linear(probe), steps=[0]).record(0, np.ones((5, DIM)))
    for error, words in ((KernelError, "broken"), (ConfigError, "could not be made")):
        with pytest.raises(error, match=words):
            recorded["loss"]


def assert_same(one, other):
    for name in ("steps", "times", "loss", "eigenvalues", "covariance", "embeddings", "embedding_times"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for kind in ("hidden", "metrics"):
        assert list(getattr(one, kind)) == list(getattr(other, kind))
        for name, values in getattr(one, kind).items():
            np.testing.assert_array_equal(values, getattr(other, kind)[name], err_msg=name)


@pytest.mark.parametrize("center", [False, True])
def test_spectra_are_those_of_the_embeddings(probe, rng, center):
    W = rng.normal(size=(5, DIM))
    recorder = SpectrumRecorder(linear(probe), [3], center=center, learning_rate=0.5)
    recorder.record(3, W, loss=jnp.float32(2.0))
    run = recorder.trajectory({"seed": 1})
    F = probe @ W
    centred = F - F.mean(0) if center else F
    C = (centred[:N].T @ centred[N:] + centred[N:].T @ centred[:N]) / (2 * N)
    np.testing.assert_allclose(run.eigenvalues[0], np.linalg.eigvalsh(C)[::-1], rtol=1e-10)
    np.testing.assert_allclose(run.covariance[0], np.linalg.eigvalsh(centred.T @ centred / (2 * N))[::-1], rtol=1e-10)
    assert run.metrics["rankme"][0] == rankme(F)
    assert run.metrics["participation_ratio"][0] == pytest.approx(
        run.covariance[0].sum() ** 2 / (run.covariance[0] ** 2).sum()
    )
    np.testing.assert_array_equal(run.embeddings[0], F)
    assert (run.times[0], run.loss[0], run.rung, run.meta["seed"]) == (1.5, 2.0, "network", 1)


def test_hidden_layers_are_averaged_over_positions(rng):
    F, image, dense = rng.normal(size=(8, 2)), rng.normal(size=(8, 3, 3, 4)), rng.normal(size=(8, 6))
    recorder = SpectrumRecorder(lambda _: {"embeddings": F, "stage/1": image, "dense": jnp.asarray(dense)}, [0])
    recorder.record(0, None)
    hidden = recorder.trajectory().hidden
    pooled = image.mean((1, 2))
    np.testing.assert_allclose(hidden["stage/1"][0], np.linalg.eigvalsh(np.cov(pooled.T, bias=True))[::-1], rtol=1e-10)
    np.testing.assert_allclose(  # float32 on the device
        hidden["dense"][0], np.linalg.eigvalsh(np.cov(dense.T, bias=True))[::-1], rtol=1e-5
    )
    assert np.isnan(recorder.trajectory().loss).all()


def test_half_precision_embeddings_keep_float32_spectra(probe):
    W = jnp.ones((5, 1), jnp.bfloat16)
    recorder = SpectrumRecorder(lambda W: jnp.asarray(probe, jnp.bfloat16) @ W, [0])
    recorder.record(0, W)
    assert recorder.trajectory().embeddings.dtype == np.float32
    assert recorder.trajectory().eigenvalues.dtype == np.float64


def test_resumed_after_a_checkpoint_it_is_as_if_it_had_never_stopped(probe, rng):
    W, steps = 0.1 * rng.normal(size=(5, DIM)), [0, 1, 2, 5, 9, 14, 20]
    modes = contrastive_modes(probe @ probe.T)

    def fresh():
        return SpectrumRecorder(
            lambda W: {"embeddings": probe @ W, "h.1": probe},
            steps,
            modes=modes,
            kernel=lambda W: probe @ W @ W.T @ probe.T,
        )

    whole = run(fresh(), W, 20).trajectory()
    stopped = run(fresh(), W, 9)
    state = {name: array.copy() for name, array in stopped.state().items()}
    assert all(isinstance(array, np.ndarray) and array.size for array in state.values())
    resumed = fresh()
    resumed.restore(state)
    assert not resumed.due(9) and resumed.due(14)
    assert_same(run(resumed, W, 20).trajectory(), whole)
    assert fresh().state() == {}


def test_restoring_nothing_starts_afresh(probe, rng):
    recorder = run(SpectrumRecorder(linear(probe), [0, 1]), rng.normal(size=(5, 2)), 1)
    recorder.restore({})
    assert recorder.due(0) and recorder.state() == {}


def test_overlap_and_drift(probe, rng):
    modes = contrastive_modes(probe @ probe.T, center=True)
    top = modes.coordinates(modes.on_views)[:, :2]
    kernels = [np.diag([1.0, 0.0]), np.diag([3.0, 4.0])]
    recorder = SpectrumRecorder(lambda i: modes.on_views @ top + 5.0, [0, 1], modes=modes, kernel=lambda i: kernels[i])
    recorder.record(0, 0)
    recorder.record(1, 1)
    metrics = recorder.trajectory().metrics
    np.testing.assert_allclose(metrics["subspace_overlap"], 1.0, rtol=1e-9)
    np.testing.assert_allclose(metrics["kernel_distance"], [0.0, kernel_drift(*kernels).distance], atol=1e-12)
    np.testing.assert_allclose(metrics["kernel_scale"], [1.0, 3.0])


def test_numbers_of_ones_own_at_some_of_the_records(probe, rng):
    recorder = SpectrumRecorder(linear(probe), [0, 1, 2])
    for step in range(3):
        recorder.record(step, rng.normal(size=(5, 2)), time=10.0 * step, metrics={"knn": 0.5} if step == 1 else None)
    run = recorder.trajectory()
    np.testing.assert_array_equal(run.metrics["knn"], [np.nan, 0.5, np.nan])
    np.testing.assert_array_equal(run.times, [0, 10, 20])


def test_a_run_that_diverges_is_recorded_as_such(probe):
    modes = contrastive_modes(probe @ probe.T)
    recorder = SpectrumRecorder(lambda F: F, [0, 1], modes=modes, kernel=lambda F: F)
    for step, value in enumerate([np.nan, np.inf]):
        recorder.record(step, np.full((2 * N, 2), value), loss=value)
    run = recorder.trajectory()
    assert np.isnan(run.eigenvalues).all() and np.isnan(run.metrics["subspace_overlap"]).all()


def test_embeddings_are_thinned_when_they_outgrow_their_memory(probe, rng):
    W, steps = rng.normal(size=(5, 2)), np.arange(101)
    run_ = run(SpectrumRecorder(linear(probe), steps, embedding_bytes=2 * N * 2 * 8 * 10), W, 100).trajectory()
    assert len(run_.embeddings) == 10
    assert run_.embedding_times[0] == 0 and run_.embedding_times[-1] == 100
    none = run(SpectrumRecorder(linear(probe), steps, embedding_bytes=0), W, 100).trajectory()
    assert none.embeddings is None


def test_only_the_largest_eigenvalues_are_kept_but_metrics_see_all(probe, rng):
    W = rng.normal(size=(5, 4))
    full, top = (run(SpectrumRecorder(linear(probe), [0], num_eigenvalues=k), W, 0).trajectory() for k in (None, 2))
    np.testing.assert_array_equal(top.eigenvalues, full.eigenvalues[:, :2])
    assert top.metrics["participation_ratio"] == full.metrics["participation_ratio"]


def test_the_default_cadence_is_one_record_in_twenty_five_steps_at_most(probe):
    for steps in (50, 600, 10_000):
        at = SpectrumRecorder(linear(probe), steps).steps
        assert at[0] == 0 and at[-1] == steps
        assert len(at) <= 3 + min(steps / 25, 200)


def test_recording_steps_ascend_from_the_start_to_the_end():
    for steps in (1, 7, 1000):
        at = recording_steps(steps)
        assert at[0] == 0 and at[-1] == steps and (np.diff(at) > 0).all()


def test_it_counts_its_own_time_and_not_that_of_the_training(probe, monkeypatch):
    """On a clock that only the wait for the update, 100 s, and the embedding of the probe, 3 s, move on."""
    now = [0.0]

    def takes(seconds, function):
        def slow(*arguments):
            now[0] += seconds
            return function(*arguments)

        return slow

    monkeypatch.setattr("dynamics.training.recorder.clock", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr("jax.block_until_ready", takes(100.0, jax.block_until_ready))
    recorder = SpectrumRecorder(takes(3.0, linear(probe)), [0, 1])
    for step in (0, 1):
        recorder.record(step, np.ones((5, 2)))
        recorder.wait()  # one clock for the caller and the thread
    assert recorder.seconds == 6.0 and now[0] >= 206.0


def test_the_training_goes_on_while_records_are_made(probe, rng, monkeypatch):
    goes_on = threading.Event()

    def waits(*arguments, **settings):
        assert goes_on.wait(30.0)
        return record_of(*arguments, **settings)

    monkeypatch.setattr("dynamics.training.recorder.record_of", waits)
    recorder = SpectrumRecorder(lambda W: {"embeddings": probe @ W, "own": W, "device": jnp.asarray(W)}, [0, 1])
    W = rng.normal(size=(5, 2))
    recorder.record(0, W)
    before = W.copy()
    W *= 2.0  # the embedding's memory is used again before it is read
    recorder.record(1, W)
    assert not recorder.due(1)
    goes_on.set()
    made = recorder.trajectory()
    np.testing.assert_array_equal(made.steps, [0, 1])
    np.testing.assert_array_equal(made.embeddings, [probe @ before, probe @ W])
    np.testing.assert_allclose(made.hidden["own"][1], 4 * made.hidden["own"][0], rtol=1e-12)
    np.testing.assert_allclose(made.hidden["device"], made.hidden["own"], rtol=1e-4)


def test_arrays_that_the_next_update_takes_may_be_recorded(probe, monkeypatch):
    following = jax.jit(lambda F: 2 * F, donate_argnums=0)
    F = jnp.asarray(probe, jnp.float32)
    recorder = SpectrumRecorder(lambda F: F, [0, 1], kernel=lambda F: F)
    for step in (0, 1):
        recorder.record(step, F)
        F = following(F)
    made = recorder.trajectory()
    np.testing.assert_array_equal(made.embeddings[1], 2 * made.embeddings[0])
    np.testing.assert_allclose(made.metrics["kernel_scale"], [1.0, 2.0], rtol=1e-6)


def test_what_keeps_a_record_from_being_made_is_raised_in_the_training(probe):
    recorder = SpectrumRecorder(linear(probe), [0, 1], kernel=lambda W: np.zeros((2, 2)))
    recorder.record(0, np.ones((5, 2)))
    with pytest.raises(KernelError, match="has no drift"):
        recorder.wait()


def test_mistakes_are_named(probe, rng):
    W = rng.normal(size=(5, 2))
    with pytest.raises(ConfigError, match="ascending"):
        SpectrumRecorder(linear(probe), [0, 3, 2])
    with pytest.raises(ConfigError, match="after step 2"):
        recorder = SpectrumRecorder(linear(probe), [0, 1, 2])
        recorder.record(2, W)
        recorder.record(1, W)
    with pytest.raises(ConfigError, match="both views"):
        SpectrumRecorder(lambda W: probe[:-1] @ W, [0]).record(0, W)
    with pytest.raises(ConfigError, match="'embeddings'"):
        SpectrumRecorder(lambda W: {"output": probe @ W}, [0]).record(0, W)
    with pytest.raises(ConfigError, match="modes belong to 20 views"):
        SpectrumRecorder(linear(probe), [0], modes=contrastive_modes(np.eye(20))).record(0, W)
