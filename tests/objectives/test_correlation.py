"""Barlow Twins of the theory: definition, gradient, invariances, plateaus."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from theory_references import correlation, random_rotation, swap_matrix

from dynamics.objectives import barlow_twins, correlation_loss, cross_correlation
from dynamics.objectives.correlation import plateau
from dynamics.support.precision import double_precision


def test_cross_correlation_is_the_mean_symmetrised_outer_product(rng):
    F = rng.normal(size=(10, 3))
    expected = np.mean([np.outer(F[i], F[(i + 5) % 10]) for i in range(10)], axis=0)
    np.testing.assert_allclose(cross_correlation(F), expected, atol=1e-14)
    np.testing.assert_allclose(cross_correlation(F), correlation(F), atol=1e-14)


@pytest.mark.parametrize("off_diagonal", [1.0, 0.0051, 3.0])
def test_loss_is_its_double_sum(rng, off_diagonal):
    F = rng.normal(size=(10, 3))
    C = correlation(F)
    expected = sum((C[i, i] - 1) ** 2 + off_diagonal * sum(C[i, j] ** 2 for j in range(3) if j != i) for i in range(3))
    with double_precision():
        assert float(barlow_twins(jnp.asarray(F), off_diagonal)) == pytest.approx(expected, rel=1e-12)
        assert float(correlation_loss(jnp.asarray(C), off_diagonal)) == pytest.approx(expected, rel=1e-12)


def test_gradient_is_the_formula(rng):
    """∇_F ‖C − I‖² = −(2/n) J F (I − C)."""
    F = rng.normal(size=(8, 3))
    with double_precision():
        gradient = np.asarray(jax.grad(barlow_twins)(jnp.asarray(F)))
    np.testing.assert_allclose(gradient, -2 / 4 * swap_matrix(4) @ F @ (np.eye(3) - correlation(F)), atol=1e-12)


@pytest.mark.parametrize("off_diagonal", [1.0, 0.0051])
def test_gradient_by_finite_differences(rng, off_diagonal):
    F = rng.normal(size=(6, 2))
    with double_precision():
        gradient = np.asarray(jax.grad(barlow_twins)(jnp.asarray(F), off_diagonal))

        def loss(flat):
            return float(barlow_twins(jnp.asarray(flat.reshape(6, 2)), off_diagonal))

        numeric = scipy.optimize.approx_fprime(F.ravel(), loss, 1e-7)
    np.testing.assert_allclose(gradient.ravel(), numeric, atol=1e-5)


def test_loss_does_not_see_a_rotation_of_the_outputs_only_for_equal_weights(rng):
    F = rng.normal(size=(12, 4))
    rotated = F @ random_rotation(4, rng)
    with double_precision():
        assert float(barlow_twins(jnp.asarray(rotated))) == pytest.approx(float(barlow_twins(jnp.asarray(F))))
        assert abs(float(barlow_twins(jnp.asarray(rotated), 0.1)) - float(barlow_twins(jnp.asarray(F), 0.1))) > 1e-3


def test_loss_does_not_see_which_partner_comes_first_or_the_order_of_pairs(rng):
    F = rng.normal(size=(12, 4))
    order = rng.permutation(6)
    for other in (swap_matrix(6) @ F, F[np.concatenate([order, order + 6])]):
        np.testing.assert_allclose(cross_correlation(other), cross_correlation(F), atol=1e-14)


def test_zero_embeddings_are_a_saddle_with_loss_d():
    F = jnp.zeros((6, 4))
    assert float(barlow_twins(F)) == 4
    np.testing.assert_array_equal(jax.grad(barlow_twins)(F), 0)


@pytest.mark.parametrize("off_diagonal", [0.0051, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("learned", [1, 3, 5])
def test_plateau_is_the_best_that_so_many_modes_can_do(off_diagonal, learned):
    """The smallest loss of a positive semi-definite C (5 × 5) of rank r, found by SciPy."""
    with double_precision():

        @jax.jit
        def loss_and_gradient(flat):
            return jax.value_and_grad(lambda B: correlation_loss(B @ B.T, off_diagonal))(flat.reshape(5, learned))

        def objective(flat):
            loss, gradient = loss_and_gradient(jnp.asarray(flat))
            return float(loss), np.asarray(gradient).ravel()

        starts = np.random.default_rng(0).normal(size=(6, 5 * learned))
        found = min((scipy.optimize.minimize(objective, s, jac=True) for s in starts), key=lambda result: result.fun)
    eigenvalue, loss = plateau(5, learned, off_diagonal)
    if off_diagonal <= 1:
        assert found.fun == pytest.approx(loss, abs=1e-6)
        B = found.x.reshape(5, learned)
        np.testing.assert_allclose(np.linalg.eigvalsh(B.T @ B), eigenvalue, rtol=1e-3)
    else:  # a heavier off-diagonal prefers outputs that are switched off: there the plateau is a saddle
        assert found.fun <= loss + 1e-6


def test_plateaus_without_weighting_are_those_of_the_paper():
    for r in range(6):
        assert plateau(5, r, 1.0) == (1.0, 5 - r)
