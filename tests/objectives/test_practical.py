"""Objectives of practical recipes: values from NumPy loops, symmetries of all of them, gradients by differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jepa_references import REFERENCES_OF_JEPA
from theory_references import random_rotation

from dynamics.errors import ConfigError
from dynamics.objectives import (
    OBJECTIVES,
    barlow_twins_normalised,
    byol,
    dino,
    latent_prediction,
    moving_average,
    nt_xent,
    objective_loss,
    simsiam,
    target_decay,
    vicreg_released,
)
from dynamics.support.precision import double_precision

N, DIM = 6, 3


def evaluate(name, F, targets=None, **settings):
    """Loss by name; objectives with a predictor get F as predictions, and targets that are another function of it."""
    loss = objective_loss(name, **settings)
    with double_precision():
        if OBJECTIVES[name].takes_targets:
            return float(loss(jnp.asarray(F), jnp.asarray(np.tanh(F) + 0.1 if targets is None else targets)))
        return float(loss(jnp.asarray(F)))


def gradient(name, F, targets=None):
    loss = objective_loss(name)
    with double_precision():
        arguments = (jnp.asarray(F),)
        if OBJECTIVES[name].takes_targets:
            arguments += (jnp.asarray(np.tanh(F) + 0.1 if targets is None else targets),)
        return np.asarray(jax.grad(loss)(*arguments))


@pytest.fixture
def F(rng):
    return rng.normal(size=(2 * N, DIM)) * [0.4, 1.0, 1.7] + [0.5, 0.0, -0.3]


# ---------------------------------------------------------------- values


def reference_barlow_twins(F):
    z, y = F[:N], F[N:]
    z, y = ((half - half.mean(0)) / np.sqrt(half.var(0) + 1e-5) for half in (z, y))
    total = 0.0
    for i in range(DIM):
        for j in range(DIM):
            c = sum(z[k, i] * y[k, j] for k in range(N)) / N
            total += (1 - c) ** 2 if i == j else 0.0051 * c**2
    return total


def reference_vicreg(F):
    z, y = F[:N], F[N:]
    total = 25 * np.mean([(a - b) ** 2 for a, b in zip(z.ravel(), y.ravel(), strict=True)])
    for half in (z, y):
        cov = np.cov(half.T)  # 1/(n − 1)
        total += 25 / 2 * np.mean([max(0, 1 - np.sqrt(cov[k, k] + 1e-4)) for k in range(DIM)])
        total += sum(cov[j, k] ** 2 for j in range(DIM) for k in range(DIM) if j != k) / DIM
    return total


def reference_simclr(F):
    U, total = F / np.linalg.norm(F, axis=1, keepdims=True), 0.0
    for i in range(2 * N):
        others = [np.exp(U[i] @ U[j] / 0.5) for j in range(2 * N) if j != i]
        total -= np.log(np.exp(U[i] @ U[(i + N) % (2 * N)] / 0.5) / sum(others))
    return total / (2 * N)


def reference_spectral(F):
    positive = np.mean([F[i] @ F[(i + N) % (2 * N)] for i in range(2 * N)])
    return -2 * positive + np.mean([(a @ b) ** 2 for a in F for b in F])


def reference_theory(F):
    C = sum(np.outer(F[i], F[i + N]) + np.outer(F[i + N], F[i]) for i in range(N)) / (2 * N)
    return np.sum((C - np.eye(DIM)) ** 2)


def unit(v):
    return v / np.linalg.norm(v)


def reference_byol(F):
    targets = np.tanh(F) + 0.1
    return sum(np.sum((unit(F[i]) - unit(targets[(i + N) % (2 * N)])) ** 2) for i in range(2 * N)) / N


def reference_simsiam(F):
    targets = np.tanh(F) + 0.1
    one = -np.mean([unit(F[i]) @ unit(targets[i + N]) for i in range(N)])
    other = -np.mean([unit(F[i + N]) @ unit(targets[i]) for i in range(N)])
    return (one + other) / 2


def reference_infonce(F):
    total = 0.0
    for i in range(2 * N):
        others = [np.exp(F[i] @ F[j]) for j in range(2 * N) if j != i]
        total -= np.log(np.exp(F[i] @ F[(i + N) % (2 * N)]) / sum(others))
    return total / (2 * N)


REFERENCES = {
    "barlow-twins": reference_theory,
    "barlow-twins-practical": reference_barlow_twins,
    "vicreg": reference_vicreg,
    "simclr": reference_simclr,
    "infonce": reference_infonce,
    "spectral-contrastive": reference_spectral,
    "byol": reference_byol,
    "simsiam": reference_simsiam,
    **REFERENCES_OF_JEPA,
}
NAMES = sorted(REFERENCES)


def test_every_objective_of_the_registry_is_tested():
    assert REFERENCES.keys() == OBJECTIVES.keys()


@pytest.mark.parametrize("name", NAMES)
def test_value_at_the_papers_settings(name, F):
    assert evaluate(name, F) == pytest.approx(REFERENCES[name](F), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "visreg"])  # it stops a gradient
def test_gradient_by_finite_differences(name, F, rng):
    direction, h = rng.normal(size=F.shape), 1e-5
    targets = np.tanh(F) + 0.1  # held fixed
    slope = (evaluate(name, F + h * direction, targets) - evaluate(name, F - h * direction, targets)) / (2 * h)
    assert np.vdot(gradient(name, F, targets), direction) == pytest.approx(slope, rel=1e-7)


# ---------------------------------------------------------------- symmetries


@pytest.mark.parametrize("name", NAMES)
def test_neither_the_order_of_pairs_nor_which_view_comes_first_counts(name, F, rng):
    order = rng.permutation(N)
    for moved in (np.concatenate([F[N:], F[:N]]), F[np.concatenate([order, order + N])]):
        assert evaluate(name, moved) == pytest.approx(evaluate(name, F), rel=1e-11)
    mixed = F[np.concatenate([order, np.arange(N, 2 * N)])]  # other partners are another loss
    assert name == "sigreg" or abs(evaluate(name, mixed) - evaluate(name, F)) > 1e-4


def test_what_standardisation_takes_away(F):
    """Scale and shift of every dimension, each half on its own, without ε."""
    moved = F.copy()
    moved[:N] = F[:N] * [2.0, 0.1, 5.0] + [1.0, 2.0, 3.0]
    settings = {"epsilon": 0.0}
    assert evaluate("barlow-twins-practical", moved, **settings) == pytest.approx(
        evaluate("barlow-twins-practical", F, **settings), rel=1e-10
    )
    assert abs(evaluate("barlow-twins", moved) - evaluate("barlow-twins", F)) > 1e-2


def test_what_centring_takes_away(F):
    assert evaluate("vicreg", F + np.array([3.0, -1.0, 0.2])) == pytest.approx(evaluate("vicreg", F), rel=1e-10)
    one_half = F + np.repeat([[1.0], [0.0]], N, axis=0)
    assert abs(evaluate("vicreg", one_half) - evaluate("vicreg", F)) > 1  # partners are apart


def test_what_the_cosine_takes_away(F, rng):
    lengths, rotation = rng.uniform(0.1, 10, size=(2 * N, 1)), random_rotation(DIM, rng)
    assert evaluate("simclr", lengths * F @ rotation) == pytest.approx(evaluate("simclr", F), rel=1e-11)
    targets = np.tanh(F) + 0.1
    for name in ("byol", "simsiam"):
        moved = evaluate(name, lengths * F @ rotation, lengths[::-1] * targets @ rotation)
        assert moved == pytest.approx(evaluate(name, F, targets), rel=1e-11)


def test_the_two_vicregs_agree_where_their_conventions_do(rng):
    """With halves that are centred alike and have no variance above 1 only the factors differ."""
    from dynamics.objectives import vicreg

    half = rng.normal(size=(50, DIM)) * 0.3
    F = np.concatenate([half, half])
    with double_precision():
        ours = float(vicreg_released(jnp.asarray(F), covariance_weight=0.0, epsilon=0.0))
        other = float(
            vicreg(jnp.asarray(F * np.sqrt(50 / 49)), covariance_weight=0.0, invariance_weight=0.0, epsilon=0.0)
        )
    assert ours == pytest.approx(other / DIM, rel=1e-12)


# ---------------------------------------------------------------- targets


@pytest.mark.parametrize("loss", [byol, simsiam, dino, latent_prediction])
def test_no_gradient_flows_into_the_targets(loss, F):
    into = jax.grad(loss, argnums=1)(jnp.asarray(F), jnp.asarray(np.tanh(F)))
    assert (np.asarray(into) == 0).all()


def test_embeddings_that_are_zero_have_a_finite_gradient():
    for loss in (byol, simsiam, dino, latent_prediction):
        assert np.isfinite(jax.grad(loss)(jnp.zeros((4, 2)), jnp.ones((4, 2)))).all()


def test_targets_are_a_moving_average():
    target = online = {"w": np.array([1.0, 2.0]), "b": [np.array(0.0)]}
    for step in range(5):
        online = {"w": online["w"] + step, "b": [online["b"][0] - 1]}
        target = moving_average(target, online, 0.9)
    weights = 0.1 * 0.9 ** np.arange(4, -1, -1)
    assert float(target["b"][0]) == pytest.approx(weights @ -np.arange(1, 6), rel=1e-6)
    np.testing.assert_allclose(
        target["w"],
        0.9**5 * np.array([1.0, 2.0])
        + sum(w * (np.array([1.0, 2.0]) + s) for w, s in zip(weights, [0, 1, 3, 6, 10], strict=True)),
        rtol=1e-6,
    )


def test_the_decay_goes_from_its_base_to_one_on_a_cosine():
    assert float(target_decay(0, 100)) == pytest.approx(0.996)
    assert float(target_decay(50, 100)) == pytest.approx(0.998)
    assert float(target_decay(100, 100)) == float(target_decay(150, 100)) == pytest.approx(1.0)


# ---------------------------------------------------------------- by name


def test_settings_replace_those_of_the_paper(F):
    scaled = [
        evaluate("vicreg", F, variance_weight=w, covariance_weight=0.0, invariance_weight=0.0) for w in (1.0, 7.0)
    ]
    assert scaled[1] == pytest.approx(7 * scaled[0])
    assert evaluate("barlow-twins", F, off_diagonal=2.0) > evaluate("barlow-twins", F)


def test_unknown_names_and_settings_are_named():
    with pytest.raises(ConfigError, match="choose from barlow-twins"):
        objective_loss("barlow")
    with pytest.raises(ConfigError, match="it has temperature"):
        objective_loss("simclr", lambda_=2.0)
    with pytest.raises(ConfigError, match="it has none"):
        objective_loss("spectral-contrastive", temperature=2.0)


def test_a_dead_dimension_is_not_rewarded(rng):
    """A constant dimension has no correlation with itself: it costs 1, whatever rounding makes of its variance."""
    F = np.array(rng.normal(size=(32, 3)), np.float32)
    F[16:] = F[:16]
    F[:, 1] = 0.7
    F = F - F.mean(axis=0) * np.array([1, 0, 1], np.float32)
    alone = float(barlow_twins_normalised(F[:, [0, 2]], off_diagonal=1.0))
    assert float(barlow_twins_normalised(F, off_diagonal=1.0)) == pytest.approx(alone + 1, abs=1e-3)
    assert float(barlow_twins_normalised(np.full((32, 3), 0.7, np.float32))) == pytest.approx(3, abs=1e-3)


@pytest.mark.parametrize("zeros", [1, 5])
def test_cosines_of_zero_rows_are_zero_and_their_gradients_finite(rng, zeros):
    F = np.array(rng.normal(size=(12, 3)), np.float32)
    F[:zeros] = 0
    unit = F / np.maximum(np.linalg.norm(F, axis=1, keepdims=True), 1e-6)
    logits = unit @ unit.T / 0.5 - 1e9 * np.eye(12)
    partner = np.roll(np.arange(12), 6)
    expected = (np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(12), partner]).mean()
    assert float(nt_xent(F)) == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(np.asarray(jax.grad(nt_xent)(jnp.asarray(F)))).all()
