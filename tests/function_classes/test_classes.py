"""Function classes against their formulas, exact operators, and constants measured on points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from dynamics.errors import ConfigError, DataError
from dynamics.function_classes import (
    Linear,
    Lipschitz,
    PatchConvolution,
    ReLUUnits,
    Tabular,
    Units,
    lipschitz_constant,
    lipschitz_extension,
)
from dynamics.modes.restricted import restricted_modes
from dynamics.support.precision import double_precision
from dynamics.views import SignedCube

KEY = jax.random.key(0)


@pytest.mark.parametrize(("low", "mu"), [(0.5, 27 / 28), (0.0, 3 / 4)])
def test_linear_spectrum_is_exact(low, mu):
    cube = SignedCube(7, 3, low, 1.0)
    linear = restricted_modes(Linear().exact_moments(*cube.coordinate_moments()))
    np.testing.assert_allclose(linear.eigenvalues, [1] * 3 + [mu] * 4, atol=1e-13)
    biased = restricted_modes(Linear(bias=True).exact_moments(*cube.coordinate_moments()))
    np.testing.assert_allclose(biased.eigenvalues, [1] * 4 + [mu] * 4, atol=1e-13)


@pytest.mark.parametrize("bias", [False, True])
def test_exact_moments_are_what_samples_tend_to(bias):
    cube = SignedCube(4, 2)
    with double_precision():
        sampled = Linear(bias).moments(cube.pairs(100_000, KEY).stacked)
    exact = Linear(bias).exact_moments(*cube.coordinate_moments())
    for name in ("second", "pair", "mean"):
        np.testing.assert_allclose(getattr(sampled, name), getattr(exact, name), atol=0.01)
    np.testing.assert_allclose(restricted_modes(sampled).eigenvalues, restricted_modes(exact).eigenvalues, atol=0.002)


def test_universal_class_on_the_views_themselves():
    """Four views of each corner: 2^d functions on which partners agree, and all others average to zero."""
    cube, rng = SignedCube(3, 1), np.random.default_rng(0)
    clusters = np.repeat(np.arange(8), 4)
    views = cube.corners()[clusters] * np.where(np.arange(3) < 1, 1, rng.uniform(0.5, 1, size=(32, 3)))
    table = Tabular.of(views)
    assert table.num_cells == 32
    same = (clusters[:, None] == clusters).astype(float)
    np.testing.assert_allclose(restricted_modes(table.moments(views, same)).eigenvalues, [1] * 8 + [0] * 24, atol=1e-12)
    by_cluster = Tabular(cube.cluster_of, 8)
    np.testing.assert_allclose(restricted_modes(by_cluster.moments(views, same)).eigenvalues, np.ones(8), atol=1e-12)
    with pytest.raises(DataError, match="not among the 32"):
        table.features(views + 1)


def test_single_units(rng):
    x, U, b = rng.normal(size=(9, 5)), rng.normal(size=(3, 5)), rng.normal(size=3)
    with double_precision():
        found = ReLUUnits().apply(Units(jnp.asarray(U), jnp.asarray(b)), jnp.asarray(x))
    np.testing.assert_allclose(found, np.maximum(x @ U.T + b, 0), atol=1e-13)


def test_convolution_is_circular(rng):
    x, U, b = rng.normal(size=(4, 7)), rng.normal(size=(2, 3)), rng.normal(size=2)
    functions = PatchConvolution(3)
    with double_precision():
        params = Units(jnp.asarray(U), jnp.asarray(b))
        found = functions.apply(params, jnp.asarray(x))
        turned = functions.apply(params, jnp.asarray(np.roll(x, 2, axis=1)))
    for row in range(4):
        ring = np.concatenate([x[row], x[row, :2]])
        for unit in range(2):
            expected = np.maximum(scipy.signal.correlate(ring, U[unit], "valid") + b[unit], 0).sum()
            assert float(found[row, unit]) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(found, turned, rtol=1e-12)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_lipschitz_networks_never_exceed_their_constant(rng, scale):
    """Whatever the weights; at the orthogonal start they come close to it."""
    functions = Lipschitz(3.0, width=8, depth=3)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    params = functions.init(KEY, x, 2)
    params = jax.tree.map(lambda leaf: scale * leaf, params)
    assert lipschitz_constant(x, functions.apply(params, x)) <= 3.0 * (1 + 1e-5)
    near = functions.apply(functions.init(KEY, x, 4), x)
    if scale == 1.0:
        assert lipschitz_constant(x, near) > 1.5


def test_extension_agrees_and_stays_lipschitz(rng):
    x, new = rng.normal(size=(30, 2)), rng.normal(size=(400, 2))
    values = np.stack([np.sin(x[:, 0]), np.abs(x[:, 1])], axis=1)  # both 1-Lipschitz
    np.testing.assert_allclose(lipschitz_extension(x, values, 1.0, x), values, atol=1e-12)
    extended = lipschitz_extension(x, values, 1.0, new)
    for column in range(2):
        assert lipschitz_constant(new, extended[:, column : column + 1]) <= 1 + 1e-9
    with pytest.raises(ConfigError, match="raise it"):
        lipschitz_extension(x, 5 * values, 1.0, new)


def test_lipschitz_constant_of_a_linear_map(rng):
    x = rng.normal(size=(50, 3))
    assert lipschitz_constant(x, 2 * x) == pytest.approx(2)
    assert lipschitz_constant(np.zeros((2, 3)), np.array([[0.0], [1.0]])) == float("inf")


def test_random_members_have_the_right_shape(rng):
    x = rng.normal(size=(6, 5)).astype(np.float32)
    for functions in (Linear(), Linear(bias=True), ReLUUnits(), PatchConvolution(2), Lipschitz(1.0)):
        assert functions.apply(functions.init(KEY, x, 3), x).shape == (6, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: ReLUUnits().init(KEY, x, 0), "at least 1"),
        (lambda x: PatchConvolution(0), "at least 1 entry"),
        (lambda x: PatchConvolution(6).init(KEY, x, 1), "do not fit"),
        (lambda x: Lipschitz(0.0), "positive number"),
        (lambda x: Lipschitz(1.0, width=3), "even width"),
        (lambda x: Tabular(lambda x: x, 0), "at least 1"),
    ],
)
def test_what_a_user_may_get_wrong(make, message):
    with pytest.raises(ConfigError, match=message):
        make(np.ones((2, 5), np.float32))
