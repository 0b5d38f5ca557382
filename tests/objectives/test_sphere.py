"""Means over all directions against Bessel functions, random directions and the constants of small embeddings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from dynamics.objectives import lejepa, sigreg
from dynamics.objectives.sketched import curvatures
from dynamics.objectives.sphere import cosines, mean_cosine
from dynamics.support.precision import double_precision


def bessel(x, dim):
    """E cos⟨a, v⟩ at |v| = x by SciPy: of two points, on the circle, and in more dimensions by spherical Bessels."""
    order = dim / 2 - 1
    if dim == 1:
        return np.cos(x)
    safe = np.maximum(x, 1e-3)
    logarithm = scipy.special.gammaln(dim / 2) + order * np.log(2 / safe)
    return np.where(x < 1e-3, 1 - x**2 / (2 * dim), np.exp(logarithm) * scipy.special.jv(order, safe))


@pytest.mark.parametrize("dim", [1, 2, 3, 8, 33, 64])
def test_means_over_the_sphere_are_bessel_functions(dim):
    lengths, t, w = np.linspace(0, 4.5 * np.sqrt(dim), 200), np.linspace(0, 3, 17), np.linspace(1, 0.2, 17)
    with double_precision():
        found = mean_cosine(jnp.asarray(lengths**2), cosines(t, w, dim))
    # the reference replaces small arguments by two terms, which are right to x⁴ < 1e-12
    np.testing.assert_allclose(found, w @ bessel(np.outer(t, lengths), dim), atol=3e-12)


@pytest.mark.parametrize("dim", [5, 300])
def test_all_directions_are_the_mean_of_many_random_ones(dim, rng):
    """Within five standard errors of independent draws, with embeddings of different sizes."""
    F = rng.normal(size=(12, dim)) * np.linspace(0.3, 2, 12)[:, None]
    with double_precision():
        keys = jax.random.split(jax.random.key(0), 64)
        draws = np.asarray(jax.vmap(lambda key: sigreg(jnp.asarray(F), slices=200, key=key))(keys))
        found = float(sigreg(jnp.asarray(F), slices=None))
    error = np.std(draws) / np.sqrt(len(draws))
    assert abs(found - np.mean(draws)) < 5 * error
    assert error < 0.02 * found  # otherwise the comparison says little


def test_a_rotation_changes_nothing_but_with_few_slices_it_does(rng):
    F, Q = rng.normal(size=(10, 4)) * [2, 1, 0.5, 0.1], np.linalg.qr(rng.normal(size=(4, 4)))[0]
    with double_precision():
        change = [float(lejepa(F, 1.0, slices=s) - lejepa(F @ Q, 1.0, slices=s)) for s in (None, 8)]
    assert abs(change[0]) < 1e-12 < 1e-4 < abs(change[1])


def test_small_embeddings_feel_the_linear_force(rng):
    """−∇ = (1/d)(C₁ Z − C₂ mean) of each half; the force of squares alone would be lost below the root of rounding."""
    F = 1e-5 * (rng.normal(size=(12, 3)) + 1)
    C1, C2 = curvatures()
    means = np.concatenate([np.broadcast_to(half.mean(axis=0), half.shape) for half in (F[:6], F[6:])])
    with double_precision():
        force = -np.asarray(jax.grad(lambda F: sigreg(F, slices=None))(jnp.asarray(F)))
    np.testing.assert_allclose(force, (C1 * F - C2 * means) / 3, rtol=1e-6)


def test_gradients_are_those_of_finite_differences_also_at_equal_and_zero_rows(rng):
    F = rng.normal(size=(8, 3))
    F[1], F[2] = F[0], 0
    with double_precision():
        loss = jax.jit(lambda F: sigreg(F, slices=None))
        found = np.asarray(jax.grad(loss)(jnp.asarray(F)))
        numbers = np.zeros_like(F)
        for at in np.ndindex(*F.shape):
            step = np.zeros_like(F)
            step[at] = 1e-5
            numbers[at] = (loss(F + step) - loss(F - step)) / 2e-5
    np.testing.assert_allclose(found, numbers, atol=1e-8)
