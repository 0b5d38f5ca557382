"""Minibatch training on pairs that a group makes, either of images (A-SSL) or of fibers (H-SSL).

>>> import jax, jax.numpy as jnp, optax
>>> from dynamics.networks.equivariant import EquivariantNetwork
>>> from dynamics.networks.fiber_pairs import FiberPairs
>>> from dynamics.networks.groups import PlaneGroup
>>> from dynamics.objectives import spectral_contrastive
>>> from dynamics.training.loop import run
>>> from dynamics.training.state import initial_state
>>> group = PlaneGroup("c4", 6, 6)
>>> network, optimiser = EquivariantNetwork(group, width=2, dim=2), optax.adam(1e-2)
>>> images = jax.random.normal(jax.random.key(0), (20, 6, 6, 1))
>>> update = fiber_update(network, FiberPairs.haar(group), images, spectral_contrastive, optimiser, batch_size=8)
>>> state = initial_state(network.init(jax.random.key(1), images[:1]), optimiser, jax.random.key(2))
>>> state, outcome = run(update, state, steps=3)
>>> int(state.step), outcome.kind
(3, 'finished')
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Shaped

from dynamics.networks.fiber_pairs import FiberPairs
from dynamics.objectives.predictor import moving_average
from dynamics.training.state import TrainState, Update, apply_gradient
from dynamics.typing import Array


def fiber_update(
    network: Any,
    pairs: FiberPairs,
    images: Shaped[Array, "n h w c"],
    objective: Callable[..., Float[jax.Array, ""]],
    optimiser: optax.GradientTransformation,
    *,
    batch_size: int = 64,
    homomorphic: bool = True,
    predictor: Any = None,
    target_decay: float | None = None,
) -> Update:
    """Make the update of `dynamics.training.loop.run` for fresh images and fresh pairs at every step.

    From one state, A-SSL and H-SSL draw the same images and the same group elements, so that for an exactly equivariant
    network they differ by rounding alone.

    Parameters
    ----------
    network : EquivariantNetwork, or a module with its methods `__call__` and `fibers`
        The network f.
    pairs : FiberPairs
        The law of the pairs.
    images : array (n, h, w, c)
        Images to draw from, with replacement.
    objective : callable
        Loss of the embeddings (2·batch_size, d), first views and then their partners; with a predictor, a loss of the
        predictions and of the targets, both of this shape, such as `byol` and `simsiam`.
    optimiser : optax.GradientTransformation
        Optimiser that moves the parameters.
    batch_size : int
        Number of images in a step.
    homomorphic : bool
        True for H-SSL, pairs of fibers of one pass. False for A-SSL, pairs of augmented images.
    predictor : Flax module, optional
        Predictor of one view's embedding from the other's. `state.params` then has the parts `network` and `predictor`.
    target_decay : float, optional
        Factor τ of a moving average of the network, `state.model_state["target"]`, whose embeddings are the targets of
        the predictor. Without it the network's own embeddings are.
    """
    images = jnp.asarray(images)

    def update(state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        image_key, pair_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        batch = images[jax.random.randint(image_key, (batch_size,), 0, len(images))]
        embed = pairs.bind(network, pairs.draw(pair_key, batch_size), homomorphic=homomorphic)

        def loss(params: Any) -> jax.Array:
            if predictor is None:
                return objective(embed(params, batch))
            z = embed(params["network"], batch)
            targets = z if target_decay is None else embed(state.model_state["target"], batch)
            return objective(predictor.apply(params["predictor"], z), targets)

        value, gradient = jax.value_and_grad(loss)(state.params)
        following = apply_gradient(optimiser, state, gradient)
        if target_decay is not None:
            target = moving_average(state.model_state["target"], following.params["network"], target_decay)
            following = following._replace(model_state={"target": target})
        return following, {"loss": value}

    return update
