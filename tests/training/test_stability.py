"""The learning rate that follows the stability limit."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics.modes import contrastive_modes
from dynamics.objectives import barlow_twins
from dynamics.training import stability
from dynamics.training.checkpoints import Checkpoints
from dynamics.training.loop import run
from dynamics.training.stability import FRACTION, lowered, measuring, next_measurement, steady
from dynamics.training.state import apply_gradient, initial_state
from dynamics.trajectories.outcome import Outcome

SHAPE = optax.constant_schedule(1.0)
RULE = steady(optax.sgd(SHAPE), SHAPE)


def training(objective, params, x):
    """State, update and measurement of descent on (params, model state, x) -> (loss, anything)."""

    def update(state, x):
        value, gradient = jax.value_and_grad(lambda w: objective(w, {}, x)[0])(state.params)
        return apply_gradient(RULE, state, gradient), {"loss": value}

    return initial_state(params, RULE, jax.random.key(0)), update, measuring(objective)


def quadratic(w, _, A):
    return 0.5 * w @ A @ w, None


def test_the_rate_is_the_fraction_of_the_limit_of_a_quadratic(rng):
    Q = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    A = jnp.asarray(Q * np.array([9.0, 2.0, 1.0, 0.5, 0.1]) @ Q.T, jnp.float32)
    state, update, measure = training(quadratic, jnp.ones(5), A)
    state, outcome = run(update, state, steps=50, data=(A,), adjust=measure, adjust_due=next_measurement)
    assert outcome == Outcome()
    np.testing.assert_allclose(state.opt_state.rate, FRACTION * 2 / 9.0, rtol=1e-3)
    np.testing.assert_allclose(state.opt_state.effective_time, 50 * FRACTION * 2 / 9.0, rtol=1e-2)


def test_the_limit_of_barlow_twins_halves_from_a_small_start_to_the_end(rng):
    """4γ₁ and 8γ₁ with γ₁ from the eigenproblem: what FRACTION is derived from."""
    x = rng.normal(size=(24, 4)).astype(np.float32)
    gamma = contrastive_modes(x @ x.T, num_modes=1).eigenvalues[0]
    modes = contrastive_modes(x @ x.T)

    def objective(W, _, x):
        return barlow_twins(x @ W), None

    end = np.linalg.lstsq(x, modes.on_views @ modes.minimum_norm(2), rcond=None)[0]
    for W, curvature in ((1e-4 * rng.normal(size=(4, 2)), 4 * gamma), (end, 8 * gamma)):
        state, _, measure = training(objective, jnp.asarray(W, jnp.float32), x)
        for _ in range(60):
            state, metrics = jax.jit(measure)(state, x)
        if W is end:  # directions that are not learned may bend more, but along what is learned it is 8γ
            assert metrics["curvature"] >= 0.99 * curvature
        else:
            np.testing.assert_allclose(metrics["curvature"], curvature, rtol=2e-2)


def test_a_resumed_run_is_the_same_run_bit_for_bit(rng, tmp_path):
    A = jnp.diag(jnp.asarray([3.0, 1.0, 0.2]))
    state, update, measure = training(quadratic, jnp.ones(3), A)
    settings = {"data": (A,), "adjust": measure, "adjust_due": next_measurement, "steps_per_dispatch": 1}
    whole, _ = run(update, state, steps=30, **settings)
    checkpoints = Checkpoints(tmp_path)
    run(update, state, steps=13, checkpoints=checkpoints, **settings)
    resumed, _ = run(update, checkpoints.latest(state)[0], steps=30, **settings)
    for one, other in zip(*map(jax.tree.leaves, (whole.params, resumed.params)), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(whole.opt_state.rate, resumed.opt_state.rate)
    np.testing.assert_array_equal(whole.opt_state.time, resumed.opt_state.time)


def test_effective_time_adds_up_what_was_used():
    """10⁵ rates of which each is lost beside the sum in float32 without its rest."""
    state = RULE.init(jnp.zeros(2))._replace(rate=jnp.float32(1e-4), time=jnp.float32(4000.0))
    step = jax.jit(lambda i, state: RULE.update(jnp.zeros(2), state)[1])
    state = jax.lax.fori_loop(0, 100_000, step, state)
    np.testing.assert_allclose(state.effective_time, 4010.0, rtol=1e-7)


def test_a_lowered_rate_stays_lower_when_it_is_measured_again():
    A = jnp.diag(jnp.asarray([4.0, 1.0]))
    state, _, measure = training(quadratic, jnp.ones(2), A)
    for _ in range(20):
        state, _ = measure(state, A)
    halved = lowered(state, 1)
    np.testing.assert_allclose(halved.opt_state.rate, state.opt_state.rate / 2)
    again, _ = measure(halved, A)
    np.testing.assert_allclose(again.opt_state.rate, FRACTION / 4, rtol=1e-3)
    np.testing.assert_allclose(lowered(again, 3).opt_state.rate, FRACTION * 2 / 4 / 8, rtol=1e-3)


def test_measurements_become_rare_where_nothing_moves():
    A = jnp.diag(jnp.asarray([4.0, 1.0]))
    state, update, measure = training(quadratic, jnp.ones(2), A)
    state, _ = run(update, state, steps=200, data=(A,), adjust=measure, adjust_due=next_measurement)
    assert state.opt_state.gap == stability.LARGEST_GAP
    assert state.opt_state.products < stability.FIRST_PRODUCTS + 15


@pytest.mark.parametrize("product", [np.nan, 0.0])
def test_a_product_that_says_nothing_changes_no_rate(product):
    state, _, measure = training(lambda w, _, c: (c[0] * w.sum() ** 2, None), jnp.ones(2), jnp.ones(1))
    for _ in range(15):
        state, _ = measure(state, jnp.ones(1))
    after, _ = measure(state, jnp.full(1, product))
    np.testing.assert_array_equal(after.opt_state.rate, state.opt_state.rate)
