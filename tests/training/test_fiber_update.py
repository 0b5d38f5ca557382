"""One flag between A-SSL and H-SSL: the same parameters step by step for an exact network."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics.networks.equivariant import EquivariantNetwork
from dynamics.networks.fiber_pairs import FiberPairs
from dynamics.networks.groups import PlaneGroup
from dynamics.networks.projector import HeadNetwork
from dynamics.objectives import byol, generalised_spectral, simsiam
from dynamics.objectives.heads import Head
from dynamics.support.precision import double_precision
from dynamics.training import gradient_descent, initial_state, run, small_network
from dynamics.training.fiber_update import fiber_update
from dynamics.views import Pairs


def test_both_flags_take_the_same_course(rng):
    group = PlaneGroup("c4", 4, 4)
    network = EquivariantNetwork(group, width=3, dim=2, activation="erf")
    images = rng.normal(size=(20, 4, 4, 1))
    with double_precision():
        init = jax.jit(network.init)(jax.random.key(0), images[:1])
        params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), init)
        optimiser = optax.sgd(1e-2)
        ends = []
        for homomorphic in (False, True):
            update = fiber_update(
                network,
                FiberPairs.haar(group),
                images,
                generalised_spectral,
                optimiser,
                batch_size=8,
                homomorphic=homomorphic,
            )
            state = initial_state(jax.tree.map(jnp.array, params), optimiser, jax.random.key(1))
            ends.append(run(update, state, steps=10)[0].params)
        apart = max(float(jnp.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, ends), strict=True))
        moved = max(float(jnp.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (ends[0], params)), strict=True))
    assert apart < 1e-12 < 1e-3 < moved


@pytest.mark.parametrize("decay", [0.9, None])
def test_predicting_takes_the_same_course_and_follows_the_target(decay, rng):
    """With BYOL's moving target and SimSiam's own one; the target is the average of the networks before it."""
    group = PlaneGroup("c4", 4, 4)
    network = EquivariantNetwork(group, width=3, dim=2, activation="erf")
    head = HeadNetwork(Head(hidden=(3,), dim=2, norm="none", bias=True))
    images, optimiser = rng.normal(size=(20, 4, 4, 1)).astype(np.float32), optax.sgd(1e-2)
    params = {
        "network": network.init(jax.random.key(0), images[:1]),
        "predictor": head.init(jax.random.key(2), np.ones((1, 2))),
    }
    objective = simsiam if decay is None else byol
    ends = []
    for homomorphic in (False, True):
        update = fiber_update(
            network, FiberPairs.haar(group), images, objective, optimiser,
            batch_size=8, homomorphic=homomorphic, predictor=head, target_decay=decay,
        )  # fmt: skip
        state = initial_state(params, optimiser, jax.random.key(1), decay and {"target": params["network"]})
        target, step = params["network"], jax.jit(update)
        for _ in range(5):
            state, _ = step(state)
            if decay is not None:
                average = lambda xi, theta: decay * xi + (1 - decay) * theta  # noqa: E731 - a formula
                target = jax.tree.map(average, target, state.params["network"])
        ends.append(state)
    for a, h in zip(*(jax.tree.leaves(end.params) for end in ends), strict=True):
        np.testing.assert_allclose(h, a, atol=1e-6)
    for moved, start in zip(*map(jax.tree.leaves, (ends[0].params, params)), strict=True):
        assert np.abs(moved - start).max() > 1e-5
    if decay is not None:
        for found, expected in zip(*map(jax.tree.leaves, (ends[1].model_state["target"], target)), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_full_batch_descent_on_fibers_is_that_on_augmented_images(rng):
    """`gradient_descent` takes images and a network that pairs their fibers, or the augmented views."""
    group = PlaneGroup("c4", 4, 4)
    network, pairs = EquivariantNetwork(group, width=3, dim=2), FiberPairs.haar(group)
    images = rng.normal(size=(8, 4, 4, 1)).astype(np.float32)
    params = jax.jit(network.init)(jax.random.key(0), images[:1])
    drawn = np.asarray(pairs.draw(jax.random.key(1), 8))
    settings = {"learning_rate": 1e-2, "steps": 20, "record_at": np.array([0, 20])}
    one_pass = gradient_descent(small_network(pairs.bind(network, drawn), params), images, **settings)
    views = Pairs(*np.split(pairs.augment(images, drawn), 2))
    augmented = gradient_descent(small_network(network.apply, params), views, **settings)
    np.testing.assert_allclose(one_pass.embeddings, augmented.embeddings, atol=1e-6)
    np.testing.assert_allclose(one_pass.loss, augmented.loss, rtol=1e-5)
