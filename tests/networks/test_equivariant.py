"""Equivariance against direct evaluation: turned images, rolled images, filters written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.networks.equivariant import (
    EquivariantNetwork,
    GroupConv,
    Lifting,
    equivariance_error,
    to_fibers,
    untie,
)
from dynamics.networks.groups import PlaneGroup, PointGroup
from dynamics.support.precision import double_precision


def network(name, side=(6, 6), **settings):
    group = PlaneGroup(name, *side)
    module = EquivariantNetwork(group, **{"width": 3, "dim": 2, **settings})
    params = jax.jit(module.init)(jax.random.key(1), np.zeros((1, *side, 1)))
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.zeros(1).dtype), params)
    return group, module, params


CASES = [
    ("c4", {"padding": "circular"}),
    ("d4", {"head": "flatten", "depth": 3}),
    ("translation", {}),
    ("cyclic", {"head": "flatten", "size": 5}),
    ("p4m", {"width": 2}),
]


@pytest.mark.parametrize("name, settings", CASES, ids=str)
def test_exact_networks_are_exact(name, settings):
    with double_precision():
        group, module, params = network(name, **settings)
        assert equivariance_error(lambda x: module.apply(params, x, method="fibers"), group) < 1e-12


def test_pooling_over_the_group_is_invariant():
    with double_precision():
        group, module, params = network("d4")
        pooled = equivariance_error(lambda x: module.apply(params, x, method="pooled"), group, output="invariant")
        assert pooled < 1e-12


@pytest.mark.parametrize(
    "name, settings, least",
    [
        ("c4", {"tied": False}, 0.1),
        ("translation", {"padding": "zero"}, 0.03),
    ],
    ids=str,
)
def test_structure_removed_is_seen(name, settings, least):
    group, module, params = network(name, **settings)
    assert equivariance_error(lambda x: module.apply(params, x, method="fibers"), group) > least


def test_lifting_is_correlation_with_turned_filters(rng):
    """Against SciPy, with filters turned by np.rot90 and np.fliplr."""
    from scipy.signal import correlate2d

    x, filters = rng.normal(size=(6, 6)), rng.normal(size=(3, 3))
    layer = Lifting(PointGroup("d4"), 1)
    with double_precision():
        psi = jnp.asarray(filters.reshape(9, 1, 1))
        out = np.asarray(layer.apply({"params": {"kernel": psi}}, jnp.asarray(x)[None, :, :, None]))[0, ..., 0]
    for p in range(8):
        turned = np.rot90(np.fliplr(filters) if p >= 4 else filters, p % 4)
        np.testing.assert_allclose(out[..., p], correlate2d(x, turned, mode="same") / 3, atol=1e-13)


def test_group_convolution_is_its_formula(rng):
    """out[y, p] = Σ_{u,q} ψ[p⁻¹q](R_p⁻¹u) f[y + u, q], as loops."""
    point = PointGroup("d4")
    f, psi = rng.normal(size=(5, 5, 8)), rng.normal(size=(8, 3, 3))
    with double_precision():
        kernel = jnp.asarray(psi.reshape(8, 9, 1, 1))
        layer = GroupConv(point, 1, padding="circular")
        out = np.asarray(layer.apply({"params": {"kernel": kernel}}, jnp.asarray(f)[None, ..., None]))[0, ..., 0]
    for y in [(0, 0), (2, 4), (3, 1)]:
        for p in range(8):
            total = 0.0
            for q in range(8):
                for u in np.ndindex(3, 3):
                    row, column = point.matrices[point.inverse[p]] @ (np.array(u) - 1) + 1
                    pixel = (np.array(y) + np.array(u) - 1) % 5
                    total += psi[point.product[point.inverse[p], q], row, column] * f[*pixel, q]
            np.testing.assert_allclose(out[*y, p], total / np.sqrt(72), atol=1e-13)


@pytest.mark.parametrize("name", ["d4"])
def test_untied_network_can_be_the_tied_one(name, rng):
    with double_precision():
        group, module, params = network(name, depth=3)
        free = EquivariantNetwork(group, width=3, dim=2, depth=3, tied=False)
        x = jnp.asarray(rng.normal(size=(2, 6, 6, 1)))
        expected = module.apply(params, x, method="fibers")
        found = free.apply(untie(params, group.point), x, method="fibers")
        np.testing.assert_allclose(found, expected, atol=1e-13)


def test_fiber_zero_is_the_embedding(rng):
    _, module, params = network("c4")
    x = rng.normal(size=(4, 6, 6, 1)).astype("float32")
    np.testing.assert_array_equal(module.apply(params, x), module.apply(params, x, method="fibers")[:, 0])
    features = module.apply(params, x, method="features")
    readout = params["params"]["readout"]["kernel"]
    np.testing.assert_allclose(module.apply(params, x), features @ readout / 3**0.5, rtol=1e-5)


def test_unit_variance_from_layer_to_layer():
    """NTK parameterisation with He gain: pre-activations keep unit variance at circular padding."""
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 2)).astype("float32")
    point = PointGroup("c4")
    layer = Lifting(point, 200, padding="circular")
    lifted = layer.apply(layer.init(jax.random.key(0), x), x)
    assert np.var(lifted) == pytest.approx(1, rel=0.1)
    layer = GroupConv(point, 200, padding="circular", w_std=2**0.5)
    following = jax.nn.relu(lifted)
    assert np.var(layer.apply(layer.init(jax.random.key(1), following), following)) == pytest.approx(1, rel=0.1)


def test_bad_input_is_one_sentence():
    with pytest.raises(ConfigError, match="not square"):
        PlaneGroup("p4", 6, 8)
    with pytest.raises(ConfigError, match="known are translation"):
        PlaneGroup("p6", 6, 6)
    with pytest.raises(ConfigError, match="no pixel"):
        PlaneGroup("translation", 0, 6)
    with pytest.raises(ConfigError, match="known are c1"):
        PointGroup("c6")
    group, module, params = network("c4")
    with pytest.raises(ConfigError, match="made for 6×6 images"):
        module.apply(params, jnp.zeros((1, 8, 8, 1)))
    with pytest.raises(ConfigError, match="odd number"):
        network("c4", size=4)
    with pytest.raises(ConfigError, match="got a map with 4"):
        GroupConv(PointGroup("d4"), 2).init(jax.random.key(0), jnp.zeros((1, 6, 6, 4, 1)))
    with pytest.raises(ConfigError, match="return fibers"):
        equivariance_error(lambda x: module.apply(params, x), group)
    with pytest.raises(ConfigError, match="got shape"):
        to_fibers(jnp.zeros((1, 5, 5, 4, 1)), group)
