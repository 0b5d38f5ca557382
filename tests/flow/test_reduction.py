"""Reduced models that are found from a network, against the exact form and against descent of the network itself."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import CapacityError, ConfigError
from dynamics.flow.bilinear import bilinear_descent
from dynamics.flow.bilinear_exact import exact_bilinear_descent
from dynamics.flow.readout_network import ReadoutNetwork
from dynamics.flow.reduction import reduced_model
from dynamics.flow.relinearised import relinearised_descent
from dynamics.objectives.correlation import barlow_twins, cross_correlation
from dynamics.support.precision import double_precision

PAIRS, INPUTS, UNITS, DIM, SCALE = 8, 4, 10, 2, 0.5
ETA, RECORDS = 0.02, np.arange(0, 301, 3)


def views_of(seed):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(PAIRS, INPUTS)) * np.array([1.6, 1.1, 0.8, 0.5])
    return np.concatenate([half, half + 0.2 * rng.normal(size=half.shape)])


def linear_features(x, V):
    return jnp.asarray(x) @ V


def tanh_features(x, V):
    return jnp.tanh(jnp.asarray(x) @ V)


def small_readout(features, seed):
    """A network whose features change by as much as they are during training."""
    rng = np.random.default_rng(seed + 100)
    V, W = 0.6 * rng.normal(size=(INPUTS, UNITS)), 1e-2 * rng.normal(size=(UNITS, DIM))
    return ReadoutNetwork(partial(features, views_of(seed)), V, W, SCALE)


def trained_eigenvalues(network):
    """Descent of all weights of the network, by automatic differentiation of the loss."""

    def embed(weights):
        V, W = weights
        F = SCALE * network.features(V) @ W
        return F - F.mean(axis=0)

    with double_precision():
        weights = (jnp.asarray(network.params), jnp.asarray(network.readout))
        gradient = jax.jit(jax.grad(lambda weights: barlow_twins(embed(weights))))
        spectrum = jax.jit(lambda weights: jnp.linalg.eigvalsh(cross_correlation(embed(weights)))[::-1])
        found = []
        for step in range(RECORDS[-1] + 1):
            if step in RECORDS:
                found.append(np.asarray(spectrum(weights)))
            weights = jax.tree.map(lambda w, g: w - ETA * g, weights, gradient(weights))
    return np.array(found)


def distance(run, eigenvalues):
    return np.abs(run.eigenvalues - eigenvalues).mean()


@pytest.fixture(scope="module")
def reductions():
    """Exact form, and reduced models of 0, 1 and 2 rounds, of networks with tanh features."""
    found = []
    for seed in range(3):
        network = small_readout(tanh_features, seed)
        exact = exact_bilinear_descent(network, ETA, RECORDS, center=True)
        models = [reduced_model(network, ETA, int(RECORDS[-1]), center=True, rounds=rounds) for rounds in range(3)]
        found.append((network, exact, models))
    return found


def test_every_round_comes_closer_to_the_exact_form(reductions):
    for _, exact, reductions_of_seed in reductions:
        frozen, first, second = (
            distance(bilinear_descent(reduction.model, ETA, RECORDS), exact.eigenvalues)
            for reduction in reductions_of_seed
        )
        # the features' motion is what the rounds find; each finds all of it but what its path got wrong
        assert second < 0.2 * first < 0.2 * frozen


def test_directions_are_orthonormal_and_tangents_are_derivatives(reductions):
    network, _, (_, _, reduction) = reductions[0]
    A, B = reduction.weight_directions, reduction.feature_directions
    found, used = A[A.any(axis=1)], B[:, B.any(axis=0)]
    np.testing.assert_allclose(found @ found.T, np.eye(len(found)), atol=1e-12)
    np.testing.assert_allclose(used.T @ used, np.eye(used.shape[1]), atol=1e-12)
    step, shape = 1e-5, np.shape(network.params)
    with double_precision():
        ahead, behind = (
            np.asarray(network.features(jnp.asarray(network.params + s * A[0].reshape(shape)))) for s in (step, -step)
        )
    # central differences: rounding 1e-16/1e-5 and the third derivative times 1e-10
    np.testing.assert_allclose(reduction.tangents[0], (ahead - behind) / (2 * step), atol=1e-8)


def test_the_start_is_that_of_the_network(reductions):
    network, _, models = reductions[1]
    F = network.initial_embeddings
    for reduction in models:
        np.testing.assert_allclose(reduction.model.initial_embeddings, F - F.mean(axis=0), atol=1e-14)


def test_linear_features_are_never_linearised_in_vain():
    """With features that are linear in their weights, all rungs are training, whatever the number of segments."""
    network = small_readout(linear_features, 0)
    expected = trained_eigenvalues(network)
    exact = exact_bilinear_descent(network, ETA, RECORDS, center=True)
    np.testing.assert_allclose(exact.eigenvalues, expected, rtol=1e-9, atol=1e-12)
    for segments in (1, 3):
        run = relinearised_descent(network, ETA, RECORDS, segments=segments, center=True)
        # what is left out of the directions is 1e-4 of the movement
        assert distance(run, expected) < 1e-3
        assert run.meta["segments"] == segments


def test_more_segments_come_closer_to_training(reductions):
    for network, exact, (*_, reduction) in reductions:
        expected = trained_eigenvalues(network)
        run = relinearised_descent(network, ETA, RECORDS, segments=6, center=True, first=reduction)
        assert distance(run, expected) < 0.5 * distance(exact, expected)


def test_test_points_follow_the_training_views():
    views = views_of(0)
    features = partial(linear_features, np.concatenate([views, views[:3]]))
    like = small_readout(linear_features, 0)
    network = ReadoutNetwork(features, like.params, like.readout, SCALE, num_views=len(views))
    reduction = reduced_model(network, ETA, 300)
    run = bilinear_descent(reduction.model, ETA, RECORDS, keep_embeddings=True)
    np.testing.assert_allclose(run.embeddings[:, len(views) :], run.embeddings[:, :3], atol=1e-12)


def test_bad_input():
    network = small_readout(linear_features, 0)
    with pytest.raises(ConfigError, match="rounds is -1"):
        reduced_model(network, ETA, 10, rounds=-1)
    with pytest.raises(ConfigError, match="steps 0"):
        reduced_model(network, ETA, 0)
    with pytest.raises(ConfigError, match="segments is 0"):
        relinearised_descent(network, ETA, RECORDS, segments=0)
    with pytest.raises(CapacityError, match="fewer directions"):
        reduced_model(network, ETA, 10, memory=1000)
