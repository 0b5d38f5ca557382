"""Drift of the tangent kernel: exponents, verdicts, the loss without a bound, and one network by brute force."""

import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.objectives import growth_matrix
from dynamics.studies import load_study
from dynamics.studies.kernel_drift.drifts import FIXED, OBJECTIVES, STEP, WIDTHS, dot_product_margin, drift, exponent
from dynamics.studies.kernel_drift.study import claims

WHEN = ("fixed", "half", "log", "end")


def power_law(slope, scatter=0.02):
    factors = 1 + scatter * np.random.default_rng(0).normal(size=4)
    return np.array(WIDTHS)[:, None] ** (slope * factors)


def test_the_exponent_of_a_power_law_lies_in_its_interval():
    slope, low, high = exponent(WIDTHS, power_law(-0.8))
    assert low < -0.8 < high and low < slope < high
    assert np.isnan(exponent(WIDTHS, np.where(np.eye(4), np.inf, power_law(-0.8)))).all()


@pytest.mark.parametrize(("slope", "expected"), [(-1.0, ("holds", "fails")), (0.0, ("fails", "holds"))])
def test_verdicts_follow_the_exponents(slope, expected):
    found = claims(WIDTHS, {name: dict.fromkeys(WHEN, power_law(slope)) for name in OBJECTIVES})
    constant = {claim.verdict for claim in found if "tends to a constant" in claim.claim}
    moving = {claim.verdict for claim in found if "does not tend" in claim.claim}
    assert (constant, moving) == ({expected[0]}, {expected[1]})


def test_the_margin_has_no_bound_and_grows_as_its_second_derivative_says():
    F = np.random.default_rng(0).normal(size=(8, 2))
    J = np.roll(np.eye(8), 4, axis=0)
    B = (J - 1 / 8) / 8
    assert float(dot_product_margin(jnp.asarray(3 * F))) == pytest.approx(-9 * np.trace(F.T @ B @ F), rel=1e-5)
    np.testing.assert_allclose(growth_matrix(dot_product_margin, 8, dim=2), B, atol=1e-12)


@pytest.mark.slow
def test_drift_of_a_narrow_network_by_descent_in_numpy():
    """Weights and kernel of a network with one hidden layer written out, its gradient by finite differences."""
    import jax
    import scipy.special

    from dynamics.networks import MLP

    rng = np.random.default_rng(0)
    views = rng.normal(size=(6, 3)).astype(np.float32)
    module = MLP(width=4, depth=1, activation="erf").module(3)
    params = module.init(jax.random.key(1), views[:1])
    leaves = jax.tree.leaves(params)
    V, W = (np.asarray(leaf, np.float64) for leaf in leaves)
    assert V.shape == (3, 4) and W.shape == (4, 3)
    gain = float(1 / np.sqrt(_mean_square_of_erf()))

    def function(weights):
        V, W = weights[:12].reshape(3, 4), weights[12:].reshape(4, 3)
        return scipy.special.erf(views.astype(float) @ V * gain / np.sqrt(3)) @ W / np.sqrt(4)

    weights = np.concatenate([V.ravel(), W.ravel()])
    if not np.allclose(function(weights), module.apply(params, views), atol=1e-5):
        pytest.fail("the network is not the one that is written out here")

    def jacobian(weights, h=1e-5):
        steps = h * np.eye(len(weights))
        return np.stack([(function(weights + e) - function(weights - e)) / (2 * h) for e in steps], axis=-1)

    def kernel(weights):
        D = jacobian(weights)
        return np.einsum("ikp,jkp->ij", D, D) / 3

    J = np.roll(np.eye(6), 3, axis=0)
    B = (J - 1 / 6) / 6
    start = kernel(weights)
    rate = np.linalg.eigvals(2 * start @ B).real.max()
    for _ in range(round(FIXED / STEP)):
        slope = np.einsum("ik,ikp->p", -2 * B @ function(weights), jacobian(weights))
        weights = weights - STEP / rate * slope
    expected = np.linalg.norm(kernel(weights) - start) / np.linalg.norm(start)
    found = drift(OBJECTIVES["dot-product"], 4, 1, jnp.asarray(views))["fixed"]
    assert found == pytest.approx(expected, rel=1e-2)


def _mean_square_of_erf():
    """E erf(z)² of a standard normal z."""
    return 2 / np.pi * np.arcsin(2 / 3)


def test_intervals_need_three_seeds(tmp_path):
    with pytest.raises(ConfigError, match="num_seeds is 2; give at least 3"):
        load_study("kernel-drift").run(tmp_path, num_seeds=2)
