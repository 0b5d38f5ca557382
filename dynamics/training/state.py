"""The state of a training, from which it can go on, and the step of an optimiser.

>>> import jax, jax.numpy as jnp, optax
>>> optimiser = optax.sgd(0.5)
>>> state = initial_state(jnp.ones(()), optimiser, jax.random.key(0))
>>> state = apply_gradient(optimiser, state, jnp.ones(()))
>>> int(state.step), float(state.params)
(1, 0.5)
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax


class TrainState(NamedTuple):
    """Everything that the next update depends on.

    Parameters
    ----------
    step : int or int32 array ()
        Number of updates done so far.
    params : pytree
        Parameters, which the optimiser moves.
    model_state : pytree
        What else the network keeps, such as batch statistics; {} if there is nothing.
    opt_state : pytree
        State of the optimiser.
    key : jax key ()
        Random key of the run, which never changes. An update draws from `fold_in(key, step)`, so that a run that was
        stopped goes on exactly as it would have.
    """

    step: Any
    params: Any
    model_state: Any
    opt_state: Any
    key: Any


Metrics = Mapping[str, jax.Array | np.ndarray | np.generic]
"""Numbers of an update by name; `loss` is always among them."""

Update = Callable[..., tuple[TrainState, Metrics]]
"""(state, *data) -> (state after one update, metrics at the state that came in)."""


def initial_state(
    params: Any, optimiser: optax.GradientTransformation, key: jax.Array, model_state: Any = None
) -> TrainState:
    """State before the first update."""
    model_state = {} if model_state is None else model_state
    return TrainState(jnp.zeros((), jnp.int32), params, model_state, optimiser.init(params), key)


def apply_gradient(
    optimiser: optax.GradientTransformation, state: TrainState, gradient: Any, model_state: Any = None
) -> TrainState:
    """State after one step of the optimiser along a gradient; `model_state` replaces the old one if it is given."""
    updates, opt_state = optimiser.update(gradient, state.opt_state, state.params)
    return TrainState(
        state.step + 1,
        optax.apply_updates(state.params, updates),
        state.model_state if model_state is None else model_state,
        opt_state,
        state.key,
    )
