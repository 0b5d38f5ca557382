"""Groups against NumPy's own turns and rolls, and the axioms."""

import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.networks.groups import GROUPS, PlaneGroup


def group_of(name):
    return PlaneGroup(name, 4, 4)


@pytest.mark.parametrize("name", GROUPS)
def test_acting_is_a_homomorphism(name, rng):
    """T_g T_h = T_gh for random elements, one for each image, and no two elements act alike."""
    group = group_of(name)
    x = rng.normal(size=(30, 4, 4, 2))
    g, h = rng.integers(group.order, size=(2, 30))
    np.testing.assert_array_equal(group.act(g, group.act(h, x)), group.act(group.compose(g, h), x))
    np.testing.assert_array_equal(group.act(group.inverse(g), group.act(g, x)), x)
    np.testing.assert_array_equal(group.act(0, x), x)
    one = np.arange(16.0).reshape(1, 4, 4, 1)
    images = {group.act(g, one).tobytes() for g in range(group.order)}
    assert len(images) == group.order


@pytest.mark.parametrize("name, order", [("translation", 24), ("cyclic", 6)])
def test_shifts_are_rolls_and_need_no_square(name, order, rng):
    group = PlaneGroup(name, 4, 6)
    x = rng.normal(size=(3, 4, 6, 1))
    assert group.order == order
    for g in range(order):
        shift = divmod(g, 6) if name == "translation" else (0, g)
        np.testing.assert_array_equal(group.act(g, x), np.roll(x, shift, axis=(1, 2)))


def test_turns_and_reflections_are_numpys(rng):
    group = PlaneGroup("d4", 5, 5)
    x = rng.normal(size=(3, 5, 5, 1))
    for g in range(8):
        reflected = x[:, :, ::-1] if g >= 4 else x
        np.testing.assert_array_equal(group.act(g, x), np.rot90(reflected, g % 4, axes=(1, 2)))


def test_jax_and_numpy_agree_and_keep_their_precision(rng):
    group = group_of("p4m")
    x, g = rng.normal(size=(9, 4, 4, 1)).astype(np.float32), rng.integers(group.order, size=9)
    assert group.act(g, x.astype(np.float64)).dtype == np.float64
    np.testing.assert_array_equal(group.act(jnp.asarray(g), jnp.asarray(x)), group.act(g, x))
    np.testing.assert_array_equal(group.compose(jnp.asarray(g), 7), group.compose(g, 7))


@pytest.mark.parametrize("name", GROUPS)
def test_distance_is_a_metric_that_transformations_leave_alone(name, rng):
    group = group_of(name)
    lengths = group.lengths
    u, v, h = rng.integers(group.order, size=(3, 200))

    def distance(u, v):
        return lengths[group.compose(group.inverse(u), v)]

    np.testing.assert_array_equal(distance(u, v), distance(v, u))
    np.testing.assert_array_equal(distance(group.compose(h, u), group.compose(h, v)), distance(u, v))
    assert (distance(u, v) <= distance(u, h) + distance(h, v)).all()
    assert (np.flatnonzero(lengths == 0) == [0]).all()


def test_distances_on_the_torus():
    assert PlaneGroup("translation", 4, 5).lengths.reshape(4, 5).tolist() == [
        [0, 1, 2, 2, 1],
        [1, 1, 2, 2, 1],
        [2, 2, 2, 2, 2],
        [1, 1, 2, 2, 1],
    ]
