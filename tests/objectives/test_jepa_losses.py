"""Losses of the JEPA family: constants by quadrature, expectations over the sphere, linear phase, edges, settings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
from jepa_references import distance, epps_pulley, exact_frames, reference_dino, visreg_terms

from dynamics.errors import ConfigError
from dynamics.objectives import OBJECTIVES, dino, growth_matrix, lejepa, mmcr, objective_loss, sigreg, visreg
from dynamics.objectives.capacity import nuclear_norm
from dynamics.objectives.growth import growth_of
from dynamics.objectives.sketched import curvatures
from dynamics.objectives.slices import directions
from dynamics.recipe.config import Recipe
from dynamics.support.precision import double_precision

N, DIM = 6, 3
RANDOM = [name for name, record in OBJECTIVES.items() if record.random]


@pytest.fixture
def F(rng):
    return rng.normal(size=(2 * N, DIM)) * [0.4, 1.0, 1.7] + [0.5, 0.0, -0.3]


def gradient(loss, F, **settings):
    with double_precision():
        return np.asarray(jax.grad(lambda F: loss(F, **settings))(jnp.asarray(F)))


# ---------------------------------------------------------------- SIGReg


def test_constants_are_the_integrals_of_the_paper():
    """∫ t² φ (1 − φ) and ∫ t² φ over [−3, 3] with φ = e^{−t²/2}, which 17 knots give to a thousandth."""
    phi = lambda t: np.exp(-(t**2) / 2)  # noqa: E731
    exact = [
        scipy.integrate.quad(lambda t: t**2 * phi(t) * (1 - phi(t)), -3, 3)[0],
        scipy.integrate.quad(lambda t: t**2 * phi(t), -3, 3)[0],
    ]
    np.testing.assert_allclose(curvatures(), exact, rtol=1e-3)
    np.testing.assert_allclose(curvatures(20_000 // 2), exact, rtol=1e-6)
    np.testing.assert_allclose(curvatures(), [1.546, 2.432], atol=5e-4)


def test_small_embeddings_feel_a_linear_force(rng):
    """−∇ of the statistic of one half is (2/d)(C₁ Z − C₂ mean), and SIGReg is the mean of two halves."""
    F = 1e-4 * (rng.normal(size=(2 * N, DIM)) + 1)
    C1, C2 = curvatures()
    halves = np.concatenate([np.broadcast_to(half.mean(axis=0), half.shape) for half in (F[:N], F[N:])])
    force = -gradient(sigreg, F, slices=12)
    np.testing.assert_allclose(force, (C1 * F - C2 * halves) / DIM, rtol=1e-5, atol=1e-11)


def test_slices_of_a_key_give_the_expectation_over_the_sphere(rng):
    """E cos⟨a, z⟩ = ₀F₁(; d/2; −|z|²/4) for uniform a, within five standard errors of independent blocks of slices."""
    half = rng.normal(size=(N, DIM)) + 0.3
    t = np.linspace(-3, 3, 33)
    phi = np.exp(-(t**2) / 2)

    def mean_cosine(lengths):
        return scipy.special.hyp0f1(DIM / 2, -((t[:, None] * lengths) ** 2) / 4)

    gaps = np.linalg.norm(half[:, None] - half, axis=-1).ravel()
    squares = mean_cosine(gaps).mean(axis=1) - 2 * phi * mean_cosine(np.linalg.norm(half, axis=1)).mean(axis=1) + phi**2
    exact = N * np.trapezoid(squares * phi, t)
    F, estimate = np.concatenate([half, half]), jax.jit(lambda F, key: sigreg(F, 500, key=key))
    blocks = [float(estimate(F, jax.random.key(k))) for k in range(16)]
    assert abs(np.mean(blocks) - exact) < 5 * np.std(blocks, ddof=1) / 4
    assert np.std(blocks) > 0


def test_the_statistic_is_multiplied_by_the_batch(F):
    """The same distribution twice over costs twice as much, which is why λ does not transfer between batches."""
    twice = np.concatenate([F[:N], F[:N], F[N:], F[N:]])
    with double_precision():
        once, doubled = (float(sigreg(jnp.asarray(each))) for each in (F, twice))
        assert doubled == pytest.approx(2 * once, rel=1e-12)
        assert float(lejepa(jnp.asarray(twice), weight=0.0)) == pytest.approx(distance(F), rel=1e-12)


@pytest.mark.parametrize("knots", [2, 5])
def test_other_numbers_of_knots(F, knots):
    A = exact_frames(DIM, 6)
    expected = np.mean([epps_pulley(half @ a, knots) for half in (F[:N], F[N:]) for a in A.T])
    with double_precision():
        assert float(sigreg(jnp.asarray(F), 6, knots)) == pytest.approx(expected, rel=1e-12)


# ---------------------------------------------------------------- slices


@pytest.mark.parametrize("name", RANDOM)
def test_slices_follow_from_the_key_alone(name, F):
    loss = objective_loss(name, slices=16)
    one, again, other = (float(loss(F, key=jax.random.key(seed))) for seed in (0, 0, 1))
    assert one == again != other
    assert float(loss(F)) == float(loss(F))


@pytest.mark.parametrize(("dim", "count"), [(1, 2), (3, 7), (8, 256), (40, 3)])
def test_fixed_slices_prefer_no_dimension(dim, count):
    A = exact_frames(dim, count)
    assert A.shape[1] >= count and A.shape[1] % dim == 0
    np.testing.assert_allclose(np.linalg.norm(A, axis=0), 1, rtol=1e-12)
    np.testing.assert_allclose(A @ A.T, A.shape[1] / dim * np.eye(dim), atol=1e-10 * count)


# ---------------------------------------------------------------- VISReg, MMCR, DINO


def test_the_shape_term_holds_the_deviations_fixed(F, rng):
    A, direction, h = exact_frames(DIM, 9), rng.normal(size=F.shape), 1e-6
    deviations = [F[:N].std(axis=0), F[N:].std(axis=0)]
    held = [visreg_terms(F + s * h * direction, A, deviations).sum() for s in (1, -1)]
    slope = np.vdot(gradient(visreg, F, weight=1.0, slices=9), direction)
    assert slope == pytest.approx((held[0] - held[1]) / (2 * h), rel=1e-6)


def test_the_gradient_of_the_nuclear_norm_is_the_polar_factor(rng):
    C = rng.normal(size=(7, 3))
    U, P = (np.asarray(each) for each in scipy.linalg.polar(C))
    np.testing.assert_allclose(gradient(nuclear_norm, C), U, atol=1e-10)
    assert np.trace(P) == pytest.approx(np.linalg.norm(C, "nuc"))


def test_mmcr_pulls_all_directions_alike(rng):
    """From a common direction the force on what is at right angles to it is ½UVᵀ of each half: one speed for all."""
    f = 1e-4 * rng.normal(size=(N, DIM - 1)) * [3.0, 1.0]
    half = np.column_stack([np.ones(N), f - f.mean(axis=0)])
    force = -gradient(mmcr, np.concatenate([half, half]))[:, 1:]
    np.testing.assert_allclose(np.linalg.svd(force, compute_uv=False), np.sqrt(0.5), rtol=1e-3)


def test_dino_drifts_as_its_growth_matrix_says(rng):
    """Central differences of the reference at small outputs whose teacher is the student, with both temperatures."""
    n, d, h = 3, 4, 1e-6
    F = rng.normal(size=(2 * n, d)) * 1e-3
    F -= F.mean(axis=1, keepdims=True)

    def value(student):
        total = 0.0
        for i in range(2 * n):
            q = np.exp((F - F.mean(axis=0))[(i + n) % (2 * n)] / 0.05)
            total -= q / q.sum() @ (student[i] / 0.2 - np.log(np.exp(student[i] / 0.2).sum()))
        return total / (2 * n)

    force = np.zeros_like(F)
    for i, j in np.ndindex(F.shape):
        step = np.zeros_like(F)
        step[i, j] = h
        force[i, j] = (value(F - step) - value(F + step)) / (2 * h)
    B = growth_matrix("dino", 2 * n, dim=d, temperature=0.2, target_temperature=0.05)
    np.testing.assert_allclose(force, 2 * B @ F, atol=0.02 * np.abs(force).max())
    assert float(dino(F, np.tanh(F) + 0.1)) == pytest.approx(reference_dino(F), rel=1e-5)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_growth_matrices_are_the_curvatures_of_the_losses(dim):
    few = {"slices": 10, "knots": 5}
    for name, settings in (("sigreg", few), ("lejepa", few), ("vicreg", {"epsilon": 0.04, "variance_weight": 3.0})):
        expected = growth_of(objective_loss(name, **settings), 6, dim)
        np.testing.assert_allclose(growth_matrix(name, 6, dim=dim, **settings), expected, atol=1e-11)


# ---------------------------------------------------------------- edges


@pytest.mark.parametrize("name", ["sigreg", "lejepa", "visreg", "mmcr"])
@pytest.mark.parametrize("zeros", [3, 12])
def test_zero_rows_have_finite_gradients(name, zeros, rng):
    F = rng.normal(size=(12, 3)).astype("float32")
    F[:zeros] = 0
    value, found = jax.value_and_grad(objective_loss(name))(jnp.asarray(F))
    assert np.isfinite(value) and np.isfinite(found).all()


def test_a_direction_that_is_not_used_has_a_finite_gradient():
    """Singular values of zero: one direction of the centroids is empty, and two are alike."""
    F = np.tile(np.eye(3, dtype="float32")[:2], (4, 1))
    assert np.isfinite(jax.grad(mmcr)(jnp.asarray(F))).all()
    assert float(mmcr(F)) == pytest.approx(-2 * np.sqrt(2), rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sigreg(np.zeros((4, 2)), slices=1), "`slices` is 1; give a whole number from 2"),
        (lambda: lejepa(np.zeros((4, 2)), knots=0), "`knots` is 0; give a whole number from 2"),
        (lambda: lejepa(np.zeros((4, 2)), weight=1.5), "`weight` is 1.5; give a number from 0 to 1"),
        (lambda: visreg(np.zeros((4, 2)), slices=1), "`slices` is 1; give a whole number from 2"),
        (lambda: dino(np.zeros((4, 2)), np.zeros((4, 2)), temperature=0.0), "`temperature` is 0.0; give a number from"),
        (lambda: dino(np.zeros((4, 2)), np.zeros((4, 2)), target_temperature=-1.0), "`target_temperature` is -1.0"),
        (lambda: objective_loss("simclr", temperature=0.0), "`temperature` is 0.0; give a number from"),
        (lambda: objective_loss("lejepa", slices=1), "`slices` is 1; give a whole number from 2"),
        (lambda: objective_loss("sigreg", knots=0), "`knots` is 0; give a whole number from 2"),
        (lambda: growth_matrix("lejepa", 4, knots=0), "`knots` is 0; give a whole number from 2"),
        (lambda: growth_matrix("lejepa", np.ones((4, 4))), "is a loss of pairs; give the number of views"),
        (lambda: Recipe(objective="byol", target_decay=1.0), "`target_decay` is 1.0; give a number from 0 below 1"),
        (lambda: Recipe(objective="dino", target_temperature=0.0), "`target_temperature` is 0.0; give"),
        (lambda: Recipe(objective="sigreg", slices=1), "`slices` is 1; give a whole number from 2"),
        (lambda: Recipe(objective="sigreg", sketch_weight=0.1), "has no setting `sketch_weight`; it has `slices`"),
    ],
)
def test_bad_settings_get_one_sentence(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_directions_are_drawn_on_the_sphere():
    A = np.asarray(directions(4, 1000, jax.random.key(3)), np.float64)
    np.testing.assert_allclose(np.linalg.norm(A, axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(A @ A.T / 1000, np.eye(4) / 4, atol=5 * np.sqrt(2 / 24 / 1000))
