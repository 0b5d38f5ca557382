import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.support.precision import double_precision
from dynamics.training import SmallNetwork, SpectrumRecorder, full_batch, gradient_descent, recording_steps
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


def test_the_compiled_loop_of_accelerators_gives_the_same_run(pairs, rng, monkeypatch):
    W = 0.1 * rng.normal(size=(6, 2)).astype(np.float32)
    plain = gradient_descent(linear(W), pairs, learning_rate=0.01, steps=50)
    monkeypatch.setattr(full_batch.jax, "default_backend", lambda: "gpu")
    looped = gradient_descent(linear(W), pairs, learning_rate=0.01, steps=50)
    np.testing.assert_allclose(looped.eigenvalues, plain.eigenvalues, rtol=2e-4, atol=1e-6)


def test_a_diverging_run_ends_early_with_what_it_has(pairs):
    run = gradient_descent(linear(np.ones((6, 2), np.float32)), pairs, learning_rate=10.0, steps=400)
    assert run.partial
    assert "stopped being finite" in run.meta["partial"]
    assert np.isfinite(run.loss).all()
    assert len(run.times) < len(recording_steps(400))


def test_an_interrupted_run_keeps_what_it_has(pairs, monkeypatch):
    record, recorded = SpectrumRecorder.record, []

    def interrupt(self, step, variables, **settings):
        if len(recorded) == 7:
            raise KeyboardInterrupt
        recorded.append(step)
        record(self, step, variables, **settings)

    monkeypatch.setattr(SpectrumRecorder, "record", interrupt)
    run = gradient_descent(linear(np.ones((6, 2), np.float32)), pairs, learning_rate=1e-3, steps=100)
    assert run.meta["partial"].startswith("interrupted after step")
    assert len(run.times) == len(run.loss) == 7


def test_the_networks_precision_is_the_callers(pairs):
    run = gradient_descent(linear(np.ones((6, 2), np.float32)), pairs, learning_rate=1e-3, steps=3)
    assert run.embeddings.dtype == np.float32
    assert run.eigenvalues.dtype == np.float64
    assert jnp.ones(1).dtype == jnp.float32 and not jax.config.jax_enable_x64
