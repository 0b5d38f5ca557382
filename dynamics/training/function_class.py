"""Members of a function class trained on fresh positive pairs, many seeds at once.

>>> import jax, numpy as np
>>> from dynamics.function_classes import Linear
>>> from dynamics.training.function_class import train_functions
>>> from dynamics.views import SignedCube
>>> cube = SignedCube(dim=4, signal=2)
>>> draw = lambda key: cube.views(key, 64)[:2]
>>> W = train_functions(Linear(), draw, dim=2, steps=300, learning_rate=0.03, num_seeds=3)
>>> W.shape                                              # seeds, features, outputs
(3, 4, 2)
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Key

from dynamics.errors import ConfigError, DivergenceError
from dynamics.function_classes import FunctionClass
from dynamics.function_classes.base import Params
from dynamics.objectives.weighted_spectral import check_weight, generalised_spectral
from dynamics.training.loop import run
from dynamics.training.optimisers import optimiser
from dynamics.training.state import TrainState, apply_gradient, initial_state
from dynamics.typing import Embedding, Views
from dynamics.views import Pairs

Draw = Callable[[jax.Array], tuple[Views, Views]]
"""key -> two views of a batch of data, both (batch, …)."""


def batches(pairs: Pairs, batch: int) -> Draw:
    """Make a function that draws batches, with replacement, from fixed pairs such as your own.

    Raises
    ------
    ConfigError
        If the batch is empty.
    """
    if batch < 1:
        raise ConfigError(f"batch is {batch}; give at least 1.")
    x, x_prime = jnp.asarray(pairs.x), jnp.asarray(pairs.x_prime)

    def draw(key: jax.Array) -> tuple[Views, Views]:
        rows = jax.random.randint(key, (batch,), 0, len(pairs))
        return x[rows], x_prime[rows]

    return draw


def train_functions(
    functions: FunctionClass,
    draw: Draw,
    *,
    dim: int | Sequence[int],
    weight: float = 1.0,
    objective: Callable[[Embedding], jax.Array] | None = None,
    steps: int = 2000,
    learning_rate: float = 0.01,
    method: str = "adam",
    decay: str = "constant",
    num_seeds: int = 1,
    key: Key[jax.Array, ""] | None = None,
    steps_per_dispatch: int = 50,
) -> Params:
    """Minimise L_λ, or any loss of the stacked embeddings, over a class from random starts.

    Parameters
    ----------
    functions : FunctionClass
        Class of functions to train.
    draw : callable
        Traceable function key -> two views of a batch, such as those of `PairDistribution.views`, or `batches` of your
        own pairs.
    dim : int or sequence of int
        Number of outputs k. Several numbers are trained at once, in one compilation: every start has as many outputs
        as the largest and uses its first k.
    weight : float
        λ of the default objective.
    objective : callable, optional
        Loss of the embeddings (2 batch, k) in place of L_λ.
    steps, learning_rate, method, decay
        Number of updates, highest learning rate, and names of the optimiser and of the decay of the rate, as for
        `dynamics.training.optimisers.optimiser`.
    num_seeds : int
        Number of independent starts. All train on the same pairs, because drawing pairs costs more than training a
        small class on them.
    key : jax key, optional
        Key from which everything is drawn; key 0 by default.
    steps_per_dispatch : int
        Number of updates in one compiled loop; use 1 for functions with convolutions on a CPU.

    Returns
    -------
    pytree
        Trained parameters, with an axis of seeds in front. If `dim` has several numbers, their axis comes first.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    DivergenceError
        If the loss stops being finite.
    KeyboardInterrupt
        If the training is interrupted.
    """
    check_weight(weight)
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if num_seeds < 1 or steps < 1 or min(dims, default=0) < 1:
        raise ConfigError(f"dim ({dim}), steps ({steps}) and num_seeds ({num_seeds}) must be at least 1.")
    loss_of = partial(generalised_spectral, weight=weight) if objective is None else objective
    key = jax.random.key(0) if key is None else key
    init_key, run_key = jax.random.split(key)
    adjust = optimiser(method, learning_rate, steps=steps, decay=decay)

    # an output that is not in use is 0: it costs λ, whatever its parameters, and moves nothing
    used = np.repeat(np.arange(max(dims)) < np.array(dims)[:, None], num_seeds, axis=0)

    def loss(params: Params, used: jax.Array, views: Views) -> jax.Array:
        F = functions.apply(params, views)
        return loss_of(F if len(dims) == 1 else jnp.where(used, F, 0))

    def update(state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        views = jnp.concatenate(draw(jax.random.fold_in(state.key, state.step)))
        values, gradients = jax.vmap(jax.value_and_grad(loss), in_axes=(0, 0, None))(state.params, used, views)
        return apply_gradient(adjust, state, gradients), {"loss": values.mean()}

    like = jax.eval_shape(draw, run_key)[0]
    example = jnp.zeros(like.shape, like.dtype)
    init = jax.jit(jax.vmap(lambda key: functions.init(key, example, max(dims))))  # one compilation, not many
    params = init(jax.random.split(init_key, len(used)))
    state, outcome = run(
        update,
        initial_state(params, adjust, run_key),
        steps=steps,
        steps_per_dispatch=steps_per_dispatch,
        description=f"{type(functions).__name__}, {len(used)} starts",
    )
    if outcome.kind == "interrupted":
        raise KeyboardInterrupt(outcome.describe())
    if outcome.is_partial:
        raise DivergenceError(
            f"Training {type(functions).__name__} diverged: {outcome.describe()}; lower the learning rate."
        )
    if isinstance(dim, int):
        return state.params
    return jax.tree.map(lambda leaf: leaf.reshape(len(dims), num_seeds, *leaf.shape[1:]), state.params)
