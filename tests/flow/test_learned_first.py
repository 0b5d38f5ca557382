"""Laws of escape, modes of the first phase, equivalent weights, and the flow with a teacher."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.special
from theory_references import swap_matrix

from dynamics.errors import ConfigError
from dynamics.flow import learned_first, objective_flow, teacher_flow
from dynamics.objectives import (
    OBJECTIVES,
    direction_growth,
    equivalent_weights,
    escape_law,
    growth_matrix,
    latent_prediction,
    objective_loss,
    vicreg,
)
from dynamics.objectives.equivalence import TERMS
from dynamics.objectives.growth import infonce_growth
from dynamics.support.precision import double_precision

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "what-is-learned-first.md"
ROWS = {
    found[1]: (found[2], float(found[3].replace("−", "-")))
    for found in re.finditer(r"^\| `([\w-]+)` \| ([a-z ]+), (−?\d+) \|", PAGE.read_text(), flags=re.MULTILINE)
}


def gram(rng, n=6, features=20):
    """Views whose partners agree on what is strong."""
    common = rng.normal(size=(n, features)) * np.linspace(2.0, 0.3, features)
    views = np.concatenate([common + 0.3 * rng.normal(size=common.shape) for _ in range(2)])
    return views @ views.T / features


def test_the_table_has_every_objective():
    assert ROWS.keys() == OBJECTIVES.keys()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_table_says_what_is_measured(name):
    found = escape_law(name)
    assert (found.law, found.order) == ROWS[name]


def test_laws_follow_the_settings_and_own_losses():
    assert (
        escape_law("vicreg", epsilon=0.0).law == escape_law("visreg", shape_weight=0.0, slices=6).law == "finite time"
    )
    assert escape_law(lambda F: -(jnp.square(F).sum() ** 2)).order == 3
    with pytest.raises(ConfigError, match="give a larger and a smaller positive number"):
        escape_law("vicreg", sizes=(1e-3, 1e-2))


def half_time(K, loss, alpha, end, rng):
    times = np.r_[0.0, np.geomspace(end / 1e3, end, 300)]
    start = alpha * np.random.default_rng(1).normal(size=(len(K), 2))
    run = objective_flow(K, start, times, loss, tolerance=1e-7)
    return np.interp(run.covariance[-1, 0] / 2, run.covariance[:, 0], times)


@pytest.mark.slow
def test_times_of_exponential_and_finite_escapes(rng):
    """A start ten times smaller costs ln(10)/rate more, and nothing where the force does not vanish.

    Under the first law a hundredth of the start would take half as long again, so 5 % tell them apart.
    """
    K = gram(rng)
    rate = learned_first("spectral-contrastive", K).modes.rates[0]
    spectral = [half_time(K, "spectral-contrastive", alpha, 20 / rate, rng) for alpha in (1e-4, 1e-5)]
    assert spectral[1] - spectral[0] == pytest.approx(np.log(10) / rate, rel=0.03)

    def hinge(F):
        return vicreg(F, 1.0, 0.0, 0.0, epsilon=0.0)

    finite = [half_time(K, hinge, alpha, 40.0, rng) for alpha in (1e-4, 1e-6)]
    assert finite[1] == pytest.approx(finite[0], rel=0.05)


def test_modes_of_the_first_phase_are_eigenvectors(rng):
    K = gram(rng)
    for name, settings in (("lejepa", {}), ("dino", {"target_temperature": 0.02})):
        first = learned_first(name, K, dim=3, **settings)
        exact = scipy.linalg.eigvals(2 * K @ growth_matrix(name, 12, dim=3, **settings)).real
        np.testing.assert_allclose(first.modes.rates[0], exact.max(), rtol=1e-9)


def test_simclr_from_a_common_direction_is_infonce(rng):
    B = direction_growth("simclr", 8, length=2.0)
    np.testing.assert_allclose(B, infonce_growth(swap_matrix(4), 0.5, "others") / 4, atol=1e-12)
    first = learned_first("simclr", gram(rng), length=2.0)
    assert (first.law, first.about) == ("direction", "direction")


@pytest.mark.parametrize(
    ("name", "words"),
    [("mmcr", "no second derivative"), ("visreg", "inwards"), ("byol", "a state of its own"), ("none", "no objective")],
)
def test_objectives_without_rates_say_why(name, words, rng):
    with pytest.raises(ConfigError, match=words):
        learned_first(name, gram(rng))


def test_visreg_has_a_barrier_at_the_roots_of_its_balance():
    """From below the smaller root of σ(1 − σ) = δ deviations shrink, from above it they end at the larger one."""
    n = 20
    q = np.sort(np.random.default_rng(0).normal(size=n))
    half = ((q - q.mean()) / q.std())[:, None]  # one output, the same in both halves
    quantiles = scipy.special.ndtri(np.arange(1, n + 1) / (n + 1))
    delta = 1 - np.mean(np.sort(half[:, 0]) * quantiles)
    low, high = np.sort(np.roots([1, -1, delta]))
    loss = objective_loss("visreg", slices=2, center_weight=0.0)
    F = np.concatenate([half, half])
    with double_precision():
        outwards = jax.jit(lambda s: -jnp.vdot(jax.grad(loss)(s * F), F))
        signs = [float(outwards(s)) > 0 for s in (0.9 * low, 1.1 * low, 0.9 * high, 1.1 * high)]
    assert 0 < delta < 0.25 and signs == [False, True, True, False]


# ---------------------------------------------------------------- equivalent weights


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("batches", [(64, 512), (256, 64)])
def test_equivalent_weights_keep_the_rates_of_the_population(name, batches):
    """On constant, agreeing and disagreeing functions of the views N B η is the same, for other batches and outputs."""

    def rates(n, dim, scale, settings, rate):
        B = growth_matrix(name, 2 * n, dim=dim, **settings)
        agreeing = np.tile(np.r_[1.0, -1.0, np.zeros(n - 2)], 2)
        disagreeing = agreeing * np.repeat([1, -1], n)
        return [rate * scale**2 * 2 * n * (v @ B @ v) / (v @ v) for v in (agreeing, disagreeing)]

    moved = equivalent_weights(name, batch=batches, dim=(8, 32), scale=(1.0, 3.0))
    before = rates(batches[0], 8, 1.0, {}, 1.0)
    after = rates(batches[1], 32, 3.0, moved.settings, moved.learning_rate)
    # 1/(n − 1) in place of 1/n, and all views but the anchor
    np.testing.assert_allclose(after, before, rtol=2.5 / min(batches) if name in ("vicreg", "infonce") else 1e-9)


def measured_rate(batch, moved, steps=60):
    """Growth per step of a small linear readout under LeJEPA on fresh Gaussian pairs and fresh slices."""
    variances, agreement = jnp.array([2.0, 0.5, 0.3]), jnp.array([0.9, 0.5, 0.2])
    loss = objective_loss("lejepa", **moved.settings)

    @jax.jit
    def train(W):
        def step(W, key):
            common, own, slices = jax.random.split(key, 3)
            x, noise = (jax.random.normal(k, (batch, 3)) * jnp.sqrt(variances) for k in (common, own))
            views = jnp.concatenate([x, agreement * x + jnp.sqrt(1 - agreement**2) * noise])
            return W - 0.001 * moved.learning_rate * jax.grad(lambda W: loss(views @ W, key=slices))(W), None

        return jax.lax.scan(step, W, jax.random.split(jax.random.key(1), steps))[0]

    W = jnp.array([[1e-4, 0.0], [0.0, 1e-4], [0.0, 0.0]])
    return float(jnp.log(jnp.linalg.norm(train(W)[0]) / 1e-4)) / steps


def test_equivalent_weights_train_at_equal_rates():
    """Batches from 64 to 2048, where the published λ gives rates that differ by a factor of several."""
    settings = {"weight": 0.05, "slices": 16}
    batches = (64, 128, 512, 1024, 2048)
    rates = [measured_rate(batch, equivalent_weights("lejepa", settings, batch=(256, batch))) for batch in batches]
    np.testing.assert_allclose(rates, np.mean(rates), rtol=0.1)
    as_published = measured_rate(2048, equivalent_weights("lejepa", settings))
    assert as_published > 2 * rates[-1]


def test_equivalent_weights_of_what_has_none():
    with pytest.raises(ConfigError, match="Objective simclr has no equivalent weights; barlow-twins"):
        equivalent_weights("simclr")
    with pytest.raises(ConfigError, match="has no setting 'lambda'"):
        equivalent_weights("lejepa", {"lambda": 0.1})
    with pytest.raises(ConfigError, match="`batch` has 0; give a number from"):
        equivalent_weights("lejepa", batch=(256, 0))


# ---------------------------------------------------------------- the flow with a teacher


def test_the_flow_with_a_teacher_is_descent_of_a_linear_network(rng):
    """Explicit Euler in NumPy on weights, predictor and averaged weights, with the gradient written out."""
    n, d, h, steps = 5, 2, 1e-3, 2000
    x = rng.normal(size=(2 * n, 4)) / 2
    W, P = 0.5 * rng.normal(size=(4, d)), np.eye(d) + 0.1 * rng.normal(size=(d, d))
    F0, P0, xi, age, alpha, eta = x @ W, P.copy(), W.copy(), 0.7, 2.0, 0.05
    J = swap_matrix(n)
    for _ in range(steps):
        error = (x @ W @ P - J @ x @ xi) / (n * d)
        W, P, xi = (
            W - h * (x.T @ error @ P.T + eta * W),
            P - h * (alpha * (x @ W).T @ error + eta * P),
            xi + h / age * (W - xi),
        )
    run = teacher_flow(
        x @ x.T,
        F0,
        np.array([0.0, h * steps]),
        latent_prediction,
        predictor=P0,
        teacher_age=age,
        predictor_rate=alpha,
        weight_decay=eta,
    )
    F = x @ W
    np.testing.assert_allclose(run.covariance[-1], np.linalg.eigvalsh(F.T @ F / (2 * n))[::-1], rtol=5e-3)
    assert run.metrics["predictor"][-1] == pytest.approx(np.linalg.norm(P), rel=5e-3)


@pytest.mark.parametrize("name", ["teacher_age", "predictor_rate", "weight_decay"])
def test_negative_rates_are_refused(name, rng):
    with pytest.raises(ConfigError, match=f"`{name}` is -1"):
        teacher_flow(gram(rng), np.ones((12, 2)), np.array([0.0, 1.0]), "latent-prediction", **{name: -1.0})
