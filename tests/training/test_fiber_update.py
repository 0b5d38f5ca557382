"""One flag between A-SSL and H-SSL: the same parameters step by step for an exact network."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dynamics.networks.equivariant import EquivariantNetwork
from dynamics.networks.fiber_pairs import FiberPairs
from dynamics.networks.groups import PlaneGroup
from dynamics.objectives import generalised_spectral
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
