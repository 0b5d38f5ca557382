"""Step times of objectives of different structure: kernel flows against descent of all weights of a lazy MLP."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.flow import learned_first, objective_flow, teacher_flow
from dynamics.objectives import escape_law, objective_loss
from dynamics.support.precision import double_precision

N, DIM, WIDTH, MULTIPLIER, SCALE = 12, 2, 40, 30.0, 1e-3
TEACHER_STEPS = 20
SETTINGS = {
    "lejepa": {"slices": 4, "weight": 0.2},  # a squared distance, and a statistic of projections
    "dino": {"target_temperature": 0.02},  # a softmax, and a teacher that is a state of its own
    "barlow-twins-practical": {"off_diagonal": 1.0},  # standardised outputs
    "vicreg": {"covariance_weight": 25.0},  # a hinge
    "infonce": {},
    "spectral-contrastive": {},
    "sigreg": {"slices": 4},
}
QUICK = ("lejepa", "dino")


@pytest.fixture(scope="module")
def network():
    """Views whose partners agree, and weights of a network with one hidden layer and a small readout."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(N // 2, 5)) * np.linspace(1.5, 0.5, 5)
    x = np.concatenate([common + 0.15 * rng.normal(size=common.shape) for _ in range(2)])
    V = rng.normal(size=(5, WIDTH)) / np.sqrt(5)
    return x, (V, SCALE / MULTIPLIER * rng.normal(size=(WIDTH, DIM)))


def embeddings(weights, x):
    V, W = weights
    return MULTIPLIER * jnp.tanh(x @ V) @ W / np.sqrt(WIDTH)


def descended(loss, weights, x, rate, at, teaches):
    """Embeddings at the steps `at` of plain descent; the teacher is a moving average of the weights."""
    share = 1 / TEACHER_STEPS

    def step(_, state):
        weights, teacher = state
        targets = (embeddings(teacher, x),) if teaches else ()
        slope = jax.grad(lambda weights: loss(embeddings(weights, x), *targets))(weights)
        moved = jax.tree.map(lambda u, w: u + share * (w - u), teacher, weights)
        return jax.tree.map(lambda w, g: w - rate * g, weights, slope), moved

    def to_next(state, gap):
        state = jax.lax.fori_loop(0, gap, step, state)
        return state, embeddings(state[0], x)

    return jax.jit(lambda weights, gaps: jax.lax.scan(to_next, (weights, weights), gaps)[1])(
        jax.tree.map(jnp.asarray, weights), jnp.asarray(np.diff(at, prepend=0))
    )


def half_learned(F, times, standardised):
    """Time at which the largest variance reaches half of what it is at the end."""
    F = np.asarray(F) - np.asarray(F).mean(axis=1, keepdims=True)
    F = F / np.sqrt(np.square(F).mean(axis=1, keepdims=True) + 1e-5) if standardised else F
    top = np.linalg.norm(F, ord=2, axis=(1, 2)) ** 2
    return np.interp(0.5 * top[-1], np.maximum.accumulate(top), times)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SETTINGS]
)
def test_a_lazy_mlp_learns_when_the_flow_says(name, network):
    x, weights = network
    loss, settings = objective_loss(name, **SETTINGS[name]), SETTINGS[name]
    h = np.tanh(x @ weights[0])
    K, F0 = MULTIPLIER**2 * h @ h.T / WIDTH, np.asarray(embeddings(weights, x), np.float64)
    assert escape_law(name, dim=DIM, **settings).law == "exponential"
    top = float(learned_first(name, K, dim=DIM, **settings).modes.rates[0])
    teaches, rate = name == "dino", 0.01 / top
    at = np.unique(np.r_[0, np.geomspace(20, 6000, 250).astype(int)])
    if teaches:
        run = teacher_flow(
            K, F0, rate * at, loss, teacher_age=TEACHER_STEPS * rate, embedding_times=rate * at, tolerance=1e-6
        )
    else:
        run = objective_flow(K, F0, rate * at, loss, embedding_times=rate * at, tolerance=1e-6)
    with double_precision():
        trained = descended(loss, weights, x, rate, at, teaches)
    foreseen, measured = (half_learned(F, rate * at, "practical" in name) for F in (run.embeddings, trained))
    assert 1 / top < foreseen < 0.9 * rate * at[-1]
    assert foreseen == pytest.approx(measured, rel=0.05)
