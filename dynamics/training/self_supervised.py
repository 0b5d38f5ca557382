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
from dynamics.training.loop import Metrics, TrainState, Update, apply_gradient
from dynamics.typing import Array, Embedding
from dynamics.views import TwoViews

Loss = Callable[[Embedding], jax.Array]
Images = Float[Array, "n h w c"]
Views2 = Float[Array, "pairs 2 h w c"]


def batch_indices(
    key: Key[jax.Array, ""], step: Int[Array, ""] | int, num_images: int, batch: int
) -> Int[Array, " batch"]:
    """Images of one step: every epoch is a fresh permutation, cut into batches; what does not fill one is left out."""
    a_epoch = num_images // batch
    epoch, position = step // a_epoch, step % a_epoch
    order = jax.random.permutation(jax.random.fold_in(key, epoch), num_images)
    return jax.lax.dynamic_slice(order, (position * batch,), (batch,))


def draw_views(views: TwoViews, key: Key[jax.Array, ""], images: Images) -> Views2:
    """Two views of each image; those of image i depend on the key and on i alone."""

    def two(index: Array, image: Array) -> Array:
        first, second = jax.random.split(jax.random.fold_in(key, index))
        return jnp.stack([views.first(first, image), views.second(second, image)])

    return jax.vmap(two)(jnp.arange(len(images)), images)


def stacked(z: Float[Array, "views dim"]) -> Embedding:
    """Embeddings in the order x_1 … x_n, x'_1 … x'_n from those in the order x_1, x'_1, x_2, x'_2, …

    Images stay in the second order, in which partners lie on one device however the batch is divided.
    """
    return z.reshape(-1, 2, z.shape[-1]).swapaxes(0, 1).reshape(z.shape)


def self_supervised_update(
    encoder: Encoder,
    loss: Loss,
    optimiser: optax.GradientTransformation,
    views: TwoViews,
    *,
    batch: int,
    mean: Array,
    scale: Array,
    distribute: Callable[[Array], Array] = lambda x: x,
) -> Update:
    """Build the update (state, images) -> (state, {"loss", "gradient_norm"}).

    Parameters
    ----------
    encoder : Encoder
        Its batch statistics are `state.model_state`.
    loss : callable
        Of the embeddings (2n, d) in the order x_1 … x_n, x'_1 … x'_n.
    optimiser : optax.GradientTransformation
        Moves `state.params`.
    views : TwoViews
        How the two views of an image are made.
    batch : int
        Images n of an update.
    mean, scale : array (channels,)
        Taken off, and divided out of, the views.
    distribute : callable
        Lays an array (batch, …) over the devices (`dynamics.training.sharding.Placement`).
    """

    def embed(params: Any, model_state: Any, x: Array) -> tuple[Embedding, Any]:
        z, changed = encoder.apply({"params": params, **model_state}, x, train=True, mutable=["batch_stats"])
        return stacked(z), changed

    def update(state: TrainState, images: Images) -> tuple[TrainState, Metrics]:
        order_key, view_key = jax.random.split(state.key)
        index = distribute(batch_indices(order_key, state.step, len(images), batch))
        x = draw_views(views, jax.random.fold_in(view_key, state.step), images[index])
        x = distribute(((x - mean) / scale).reshape(2 * batch, *x.shape[2:]))

        def objective(params: Any) -> tuple[jax.Array, Any]:
            F, model_state = embed(params, state.model_state, x)
            return loss(F), model_state

        (value, model_state), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
        metrics = {"loss": value, "gradient_norm": optax.global_norm(gradient)}
        return apply_gradient(optimiser, state, gradient, model_state), metrics

    return update
