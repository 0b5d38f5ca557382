"""One update: its batches, its views, and that it is gradient descent on the loss of the whole batch."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from jax.flatten_util import ravel_pytree

from dynamics.networks.encoder import Encoder
from dynamics.objectives.heads import Head
from dynamics.objectives.registry import OBJECTIVES
from dynamics.recipe.config import Recipe
from dynamics.recipe.losses import recipe_loss
from dynamics.training.minibatch import batch_indices, deinterleave, draw_views, make_step, on_minibatches
from dynamics.training.state import initial_state
from dynamics.views import get_augmentation


class Small(nn.Module):
    """A backbone that compiles fast."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, train=False, taps=None):
        h = nn.Conv(6, (3, 3), dtype=self.dtype)(x)
        return nn.relu(nn.BatchNorm(not train, dtype=self.dtype)(h)).mean(axis=(1, 2))


def test_an_epoch_sees_every_image_once_and_epochs_differ():
    key = jax.random.key(3)
    epochs = [np.concatenate([batch_indices(key, epoch * 4 + step, 21, 5) for step in range(4)]) for epoch in range(2)]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == 20 and set(epoch.tolist()) <= set(range(21))
    assert not np.array_equal(*epochs)


def drawn(preset, images):
    return jax.jit(partial(draw_views, get_augmentation(preset, (8, 8, 1))))(jax.random.key(0), images)


def test_views_come_in_the_order_of_the_objectives(rng):
    images = rng.uniform(size=(6, 8, 8, 1)).astype(np.float32)
    x = drawn("none", images)
    F = deinterleave(x.reshape(12, 64))
    np.testing.assert_array_equal(F[:6], images.reshape(6, 64))
    np.testing.assert_array_equal(F[6:], images.reshape(6, 64))
    more, fewer = drawn("digits", images), drawn("digits", images[:2])
    np.testing.assert_array_equal(more[:2], fewer)
    assert not np.array_equal(more[0, 0], more[0, 1])


@pytest.mark.parametrize("method", ["plain", "simsiam", "byol"])
def test_an_update_is_a_step_along_the_gradient_of_the_loss(method, rng):
    images = rng.uniform(size=(12, 8, 8, 1)).astype(np.float32)
    predictor = None if method == "plain" else Head((8,), 4)
    encoder = Encoder(Small(), Head((8,), 4), predictor)
    views = get_augmentation("digits", (8, 8, 1))
    variables = jax.jit(lambda key: encoder.init(key, images[:2], method="embed_and_predict"))(jax.random.key(0))
    params, stats = variables["params"], variables["batch_stats"]
    model_state = {"batch_stats": stats}
    if method == "byol":
        model_state["target"] = jax.tree.map(lambda leaf: 0.9 * leaf, params)
    loss = recipe_loss(Recipe(objective="vicreg" if method == "plain" else method))
    step = make_step(encoder, loss, optax.sgd(0.1), target_decay=(lambda step: 0.99) if method == "byol" else None)
    update = on_minibatches(step, views, batch=8, mean=jnp.array([0.4]), scale=jnp.array([2.0]))
    state = initial_state(params, optax.sgd(0.1), jax.random.key(5), model_state)
    following, metrics = jax.jit(update)(state, images)

    order_key, view_key = jax.random.split(jax.random.key(5))
    index = batch_indices(order_key, 0, 12, 8)
    x = (draw_views(views, jax.random.fold_in(view_key, 0), images[index]) - 0.4) / 2.0
    x = jnp.concatenate([x[:, 0], x[:, 1]])  # the order of the objectives from the start

    def embed(params):
        variables = {"params": params, "batch_stats": stats}
        (z, p), _ = encoder.apply(variables, x, train=True, method="embed_and_predict", mutable=["batch_stats"])
        return z, p

    targets = embed(model_state["target"] if method == "byol" else params)[0]

    def by_hand(params):
        z, p = embed(params)
        if p is None:
            return loss(z)
        cosine = (p * jnp.roll(targets, 8, axis=0)).sum(axis=1)
        cosine = cosine / jnp.linalg.norm(p, axis=1) / jnp.linalg.norm(jnp.roll(targets, 8, axis=0), axis=1)
        return 4 - 4 * cosine.mean() if method == "byol" else -cosine.mean()

    value, gradient = jax.jit(jax.value_and_grad(by_hand))(params)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-4)
    np.testing.assert_allclose(metrics["gradient_norm"], np.linalg.norm(ravel_pytree(gradient)[0]), rtol=1e-3)
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient))
    for moved, was, along in zip(*map(jax.tree.leaves, (following.params, params, gradient)), strict=True):
        # float32, and the sums over the batch are taken in another order
        np.testing.assert_allclose((was - moved) / 0.1, along, rtol=2e-3, atol=1e-4 * largest)
    changed = [
        not np.array_equal(a, b)
        for a, b in zip(*map(jax.tree.leaves, (following.model_state["batch_stats"], stats)), strict=True)
    ]
    assert all(changed)
    if method == "byol":
        for target, old, new in zip(
            *map(jax.tree.leaves, (following.model_state["target"], model_state["target"], following.params)),
            strict=True,
        ):
            np.testing.assert_allclose(target, 0.99 * old + 0.01 * new, rtol=1e-5, atol=1e-7)


def test_every_objective_of_a_recipe_is_finite_and_sees_both_views(rng):
    F = jnp.asarray(rng.normal(size=(16, 4)), jnp.float32)
    for objective in [name for name, record in OBJECTIVES.items() if not record.takes_targets]:
        loss = recipe_loss(Recipe(objective=objective))
        gradient = jax.jit(jax.grad(loss))(F)
        assert np.isfinite(gradient).all() and (jnp.abs(gradient).sum(axis=1) > 0).all()
        np.testing.assert_allclose(loss(F), loss(jnp.roll(F, 8, axis=0)), rtol=1e-5)
