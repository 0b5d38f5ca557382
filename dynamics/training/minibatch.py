"""One update of a practical recipe: minibatch, fresh views, network, loss and optimiser in one compiled function.

Everything is drawn and computed on the device. The loss sees the embeddings of the whole batch, and batch statistics
are over both views of the whole batch, on however many devices it lies: nothing is accumulated over parts, which would
be another loss.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int, Key

from dynamics.networks.encoder import Encoder
from dynamics.objectives.predictor import moving_average
from dynamics.training.sharding import DeviceMesh
from dynamics.training.state import Metrics, TrainState, Update, apply_gradient
from dynamics.typing import Array, Embedding
from dynamics.views import TwoViews

ImageBatch = Float[Array, "n h w c"]
BATCH_STATS = "batch_stats"
TARGET = "target"


def batch_indices(
    key: Key[jax.Array, ""], step: Int[Array, ""] | int, num_images: int, batch: int
) -> Int[Array, " batch"]:
    """Indices of the images of one step.

    Every epoch is a fresh permutation that is cut into batches; images that do not fill a batch are left out.
    """
    in_epoch = num_images // batch
    epoch, position = step // in_epoch, step % in_epoch
    order = jax.random.permutation(jax.random.fold_in(key, epoch), num_images)
    return jax.lax.dynamic_slice(order, (position * batch,), (batch,))


def draw_views(views: TwoViews, key: Key[jax.Array, ""], images: ImageBatch) -> Float[Array, "n 2 h2 w2 c"]:
    """Draw two views of each image; the views of image i depend on the key and on i alone."""

    def two(index: Array, image: Array) -> Array:
        first, second = jax.random.split(jax.random.fold_in(key, index))
        return jnp.stack([views.first(first, image), views.second(second, image)])

    return jax.vmap(two)(jnp.arange(len(images)), images)


def deinterleave(z: Float[Array, "views dim"]) -> Embedding:
    """Bring embeddings that come as x_1, x'_1, x_2, x'_2 and so on into the order x_1 … x_n, x'_1 … x'_n.

    The images stay in the order in which they come, so that partners lie on one device however the batch is divided.
    """
    return z.reshape(-1, 2, z.shape[-1]).swapaxes(0, 1).reshape(z.shape)


def make_step(
    encoder: Encoder,
    loss: Callable[..., jax.Array],
    optimiser: optax.GradientTransformation,
    *,
    target_decay: Callable[[Array], Array] | None = None,
    random: bool = False,
    mesh: DeviceMesh | None = None,
) -> Update:
    """Build the step (state, x) -> (state, {"loss", "gradient_norm"}) on views x (2n, h, w, c), x_1, x'_1, x_2, x'_2 ….

    Parameters
    ----------
    encoder : Encoder
        The network, with its parameters in `state.params` and its batch statistics in
        `state.model_state["batch_stats"]`.
    loss : callable
        Loss of the embeddings (2n, d) in the order x_1 … x_n, x'_1 … x'_n. Where the encoder has a predictor it is a
        loss of the predictions and of the targets, both in this order; so it is with a moving target, where the
        embeddings are the predictions if there is no predictor.
    optimiser : optax.GradientTransformation
        Optimiser that moves `state.params`.
    target_decay : callable, optional
        Function step -> τ for BYOL's target network `state.model_state["target"]`. Without it the embeddings
        themselves are the targets.
    random : bool
        Whether the loss draws random numbers, with a `key` that is another one at every step.
    mesh : DeviceMesh, optional
        Devices over which the views are divided; one device by default.
    """
    mesh = mesh or DeviceMesh(jax.devices()[:1])

    objective = loss_of_views(encoder, loss, target_decay is not None)

    def step(state: TrainState, x: Array) -> tuple[TrainState, Metrics]:
        x = mesh.distribute(x)
        drawn = loss_key(state) if random else None
        compute = jax.value_and_grad(objective, has_aux=True)
        (value, stats), gradient = compute(state.params, state.model_state, x, drawn)
        following = apply_gradient(optimiser, state, gradient, {**state.model_state, BATCH_STATS: stats})
        if target_decay is not None:
            target = moving_average(state.model_state[TARGET], following.params, target_decay(state.step))
            following = following._replace(model_state={**following.model_state, TARGET: target})
        norm = jnp.sqrt(sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(gradient)))
        return mesh.gather((following, {"loss": value, "gradient_norm": norm}))

    return step


def loss_of_views(
    encoder: Encoder, loss: Callable[..., jax.Array], moving_target: bool = False
) -> Callable[..., tuple[jax.Array, Any]]:
    """(params, model state, views x, key=None) -> (loss, batch statistics), whose gradient `make_step` follows.

    Parameters
    ----------
    encoder, loss
        As in `make_step`.
    moving_target : bool
        Whether the targets are embeddings of the network `model_state["target"]`.
    """

    def embed(params: Any, stats: Any, x: Array) -> tuple[Embedding, Embedding | None, Any]:
        (z, p), changed = encoder.apply(
            {"params": params, BATCH_STATS: stats}, x, train=True, method="embed_and_predict", mutable=[BATCH_STATS]
        )
        return deinterleave(z), None if p is None else deinterleave(p), changed.get(BATCH_STATS, {})

    def objective(params: Any, model_state: Any, x: Array, key: Key[jax.Array, ""] | None = None) -> tuple:
        z, p, stats = embed(params, model_state[BATCH_STATS], x)
        if p is None and not moving_target:
            return loss(z) if key is None else loss(z, key=key), stats
        p = z if p is None else p
        targets = embed(model_state[TARGET], model_state[BATCH_STATS], x)[0] if moving_target else z
        return loss(p, targets), stats  # which stops the gradient into the targets

    return objective


def loss_key(state: TrainState) -> Key[jax.Array, ""]:
    """Key of the random numbers that a loss draws at this step; images and views are drawn with others."""
    return jax.random.fold_in(jax.random.split(state.key, 3)[2], state.step)


def on_minibatches(
    step: Update,
    views: TwoViews,
    *,
    batch: int,
    mean: Array,
    scale: Array,
    mesh: DeviceMesh | None = None,
) -> Update:
    """Build the update (state, images) -> (state, metrics) that takes a step on fresh views of the next minibatch.

    Parameters
    ----------
    step : callable
        Step (state, x) -> (state, metrics), as `make_step` returns it.
    views : TwoViews
        How the two views of an image are made.
    batch : int
        Number of images n in an update.
    mean, scale : array (channels,)
        Mean that is subtracted from the views, and scale by which they are then divided.
    mesh : DeviceMesh, optional
        Devices over which the images are divided before they are augmented; one device by default.
    """
    mesh = mesh or DeviceMesh(jax.devices()[:1])

    def update(state: TrainState, images: ImageBatch) -> tuple[TrainState, Metrics]:
        order_key, view_key = jax.random.split(state.key)
        index = mesh.distribute(batch_indices(order_key, state.step, len(images), batch))
        x = draw_views(views, jax.random.fold_in(view_key, state.step), images[index])
        return step(state, ((x - mean) / scale).reshape(2 * batch, *x.shape[2:]))

    return update
