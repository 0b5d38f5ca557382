"""The hidden layers' tangent kernel under a few readout directions, against an explicit Jacobian."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import CapacityError, ConfigError
from dynamics.flow import bilinear_descent, exact_bilinear_descent, model_of_kernel
from dynamics.flow.readout_network import ReadoutNetwork
from dynamics.kernels.hidden import hidden_kernel, readout_directions
from dynamics.modes import contrastive_modes_from_features
from dynamics.networks import MLP
from dynamics.support.precision import double_precision

SCALE = 0.6


@pytest.fixture
def views(rng):
    half = rng.normal(size=(5, 4))
    return np.concatenate([half, half + 0.2 * rng.normal(size=half.shape)])


@pytest.fixture
def network(views):
    """Features of an MLP, its hidden weights, and h₀, in float64."""
    module = MLP(width=6, depth=2, activation="erf").module(2)
    params = module.init(jax.random.key(0), jnp.asarray(views[:1], jnp.float32))["params"]
    body = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["body"])

    def features(body, x):
        return module.apply({"params": {"body": body, "readout": params["readout"]}}, x, method="features")

    with double_precision():
        return features, body, np.asarray(features(body, jnp.asarray(views)))


def test_the_kernel_is_that_of_the_explicit_jacobian(network, views, rng):
    features, body, h0 = network
    B = np.linalg.qr(rng.normal(size=(h0.shape[1], 3)))[0]
    with double_precision():
        jacobian = jax.jacobian(lambda body: features(body, jnp.asarray(views)))(body)
        J = np.concatenate([np.asarray(leaf).reshape(*h0.shape, -1) for leaf in jax.tree.leaves(jacobian)], axis=2)
    along = np.einsum("xap,aj->xjp", J, B)
    expected = SCALE**2 * np.einsum("xjp,ykp->xyjk", along, along)
    np.testing.assert_allclose(hidden_kernel(features, body, B, views, scale=SCALE), expected, atol=1e-10)
    cross = hidden_kernel(features, body, B, views[:3], views, scale=SCALE)
    np.testing.assert_allclose(cross, expected[:3], atol=1e-10)


def test_with_all_directions_the_reduced_model_is_the_exact_form(network, views, rng):
    features, body, h0 = network
    W, steps = 1e-2 * rng.normal(size=(h0.shape[1], 2)), np.array([0, 1, 40, 80])
    theta = hidden_kernel(features, body, np.eye(len(W)), views, scale=SCALE)
    model = model_of_kernel(SCALE * h0, theta, W).centred()
    reduced = bilinear_descent(model, 0.05, steps, keep_embeddings=True)
    on_views = partial(_on, features, views)
    exact = exact_bilinear_descent(
        ReadoutNetwork(on_views, body, W, SCALE), 0.05, steps, center=True, keep_embeddings=True
    )
    assert np.abs(exact.embeddings[-1]).max() > 10 * np.abs(exact.embeddings[0]).max()
    np.testing.assert_allclose(reduced.embeddings, exact.embeddings, rtol=1e-8, atol=1e-10)


def _on(features, views, body):
    return features(body, jnp.asarray(views))


def test_directions_span_what_the_leading_modes_need(network):
    _, _, h0 = network
    modes = contrastive_modes_from_features(h0)
    B = readout_directions(h0, modes.duals, 3)
    np.testing.assert_allclose(B.T @ B, np.eye(3), atol=1e-12)
    needed = h0.T @ modes.duals[:, :3]
    np.testing.assert_allclose(B @ (B.T @ needed), needed, atol=1e-10)


def test_bad_input(network, views):
    features, body, h0 = network
    modes = contrastive_modes_from_features(h0)
    with pytest.raises(ConfigError, match="rank is 7"):
        readout_directions(h0, modes.duals, 7)
    with pytest.raises(ConfigError, match="dependent"):
        readout_directions(h0, modes.duals[:, [0, 0]], 2)
    with pytest.raises(CapacityError, match="fewer directions"):
        hidden_kernel(features, body, np.eye(6), views, memory=1000)
