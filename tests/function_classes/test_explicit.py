"""Written-down minimisers: loss zero through the loss itself, on all clusters, for several sizes; heads as claimed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import CollapseError
from dynamics.function_classes import PatchConvolution, ReLUUnits, explicit, linear_head_error, lipschitz_constant
from dynamics.objectives import generalised_spectral
from dynamics.support.precision import double_precision
from dynamics.views import PlacedPatch, SeparatedManifolds, SignedCube

KEY = jax.random.key(3)


def views_of_all_clusters(data, x, cluster):
    first, second = jax.random.split(KEY)
    return jnp.concatenate([data.augment(first, x, cluster), data.augment(second, x, cluster)])


def ring_views(ring, repeats=16):
    cluster = jnp.tile(jnp.arange(ring.num_clusters), repeats)
    around = 2.0 * jax.random.bernoulli(KEY, shape=(len(cluster), ring.dim)) - 1
    return views_of_all_clusters(ring, ring.place(around, cluster), cluster), np.tile(ring.classes(cluster), 2)


@pytest.mark.parametrize("cube", [SignedCube(6, 2), SignedCube(5, 3, 0.1, 2.0), SignedCube(4, 4)], ids=str)
def test_relu_units_on_the_cube(cube):
    with double_precision():
        cluster = jnp.arange(cube.num_clusters)
        views = views_of_all_clusters(cube, jnp.asarray(cube.corners()), cluster)
        F = ReLUUnits().apply(explicit.cube_relu_minimiser(cube), views)
        # the loss at the minimiser is a difference of numbers of order k, so it is zero up to their rounding
        assert abs(float(generalised_spectral(F, 3.0))) < 1e-13
    classes = np.tile(np.arange(cube.num_clusters) % cube.num_classes, 2)
    np.testing.assert_allclose(F, np.sqrt(cube.num_classes) * np.eye(cube.num_classes)[classes], atol=1e-12)


@pytest.mark.parametrize("ring", [PlacedPatch(10, 2, 2.0), PlacedPatch(7, 3, 1.2), PlacedPatch(5, 1, 4.0)], ids=str)
def test_filters_on_the_ring(ring):
    with double_precision():
        views, classes = ring_views(ring)
        F = PatchConvolution(ring.size).apply(explicit.patch_convolution_minimiser(ring), views)
        assert float(generalised_spectral(F)) < 1e-10
    np.testing.assert_allclose(F, np.sqrt(ring.num_classes) * np.eye(ring.num_classes)[classes], atol=1e-10)


@pytest.mark.parametrize("dim", [1, 7, 19])
def test_misled_units_on_the_ring(dim):
    ring = PlacedPatch(10, 2, 2.0)
    with double_precision():
        views, classes = ring_views(ring)
        F = ReLUUnits().apply(explicit.placed_relu_minimiser(ring, dim), views)
        assert float(generalised_spectral(F)) < 1e-20
    assert linear_head_error(np.asarray(F), np.eye(4)[classes]) == pytest.approx(1 - dim / 40, abs=1e-10)


def covariance_error(table):
    return np.abs(table.T @ table / len(table) - np.eye(table.shape[1])).max()


def test_misled_tables_of_a_universal_class():
    cube = SignedCube(6, 2)
    corners = cube.corners()
    for dim in (1, 20, 32):
        table = explicit.misled_cube_minimiser(cube, dim)
        assert covariance_error(table) < 1e-13
        assert linear_head_error(table, corners[:, :1]) == pytest.approx(1, abs=1e-12)
    table = explicit.misled_cube_minimiser(cube, 16, hidden=2)
    assert covariance_error(table) < 1e-13
    assert linear_head_error(table, np.eye(2)[np.arange(64) % 2]) == pytest.approx(0.5, abs=1e-12)
    circles = SeparatedManifolds(4, 4)
    table = explicit.misled_manifold_minimiser(circles, 8)
    assert covariance_error(table) < 1e-13
    assert linear_head_error(table, np.eye(4)[np.arange(16) // 4]) == pytest.approx(0.5, abs=1e-12)


def test_the_manifold_itself():
    circles = SeparatedManifolds(5, 3, 0.05, 0.7)
    table = explicit.manifold_minimiser(circles)
    assert covariance_error(table) < 1e-13
    x, _, cluster = circles.views(KEY, 2000)
    steepest = lipschitz_constant(np.asarray(x), table[np.asarray(cluster)])
    assert 0.9 < steepest / (np.sqrt(10) / 0.7) <= 1 + 1e-5


def test_what_a_user_may_get_wrong():
    with pytest.raises(CollapseError, match="there are 40 places and patches"):
        explicit.placed_relu_minimiser(PlacedPatch(10, 2), 41)
    with pytest.raises(CollapseError, match="32 functions of 5 signs"):
        explicit.misled_cube_minimiser(SignedCube(6, 2), 33)
    with pytest.raises(CollapseError, match="16 arcs"):
        explicit.misled_manifold_minimiser(SeparatedManifolds(), 0)
