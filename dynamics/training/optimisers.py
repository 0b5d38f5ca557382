"""Optimisers of the published recipes, with warm-up and cosine decay, as optax transformations.

>>> round(float(learning_rates(0.4, steps=100, warmup=10)(4)), 3)
0.2
"""

from collections.abc import Callable

import jax
import numpy as np
import optax
from jaxtyping import Float, Int

from dynamics.errors import ConfigError
from dynamics.support.compiled import compile_once


def learning_rates(learning_rate: float, *, steps: int, warmup: int = 0, decay: str = "cosine") -> optax.Schedule:
    """Make the schedule of the learning rate: η/w, 2η/w, …, η in w = `warmup` steps, then constant or decaying to 0.

    The decay is half a cosine (Loshchilov & Hutter 2017, without restarts).

    Parameters
    ----------
    learning_rate : float
        Highest learning rate η.
    steps : int
        Number of steps of the whole run, warm-up included.
    warmup : int
        Number of steps of the warm-up.
    decay : {"cosine", "constant"}
        How the learning rate goes on after the warm-up.

    Raises
    ------
    ConfigError
        If the learning rate is not positive, the warm-up does not fit into the run, or the decay is unknown.
    """
    if not 0 < learning_rate < float("inf"):
        raise ConfigError(f"The learning rate is {learning_rate}; give a positive number.")
    if not 0 <= warmup < max(steps, 1):
        raise ConfigError(
            f"A warm-up of {warmup} steps does not fit into {steps} steps of training; lower `warmup` or raise `steps`."
        )
    if decay == "cosine":
        after = optax.cosine_decay_schedule(learning_rate, steps - warmup)
    elif decay == "constant":
        after = optax.constant_schedule(learning_rate)
    else:
        raise ConfigError(f"There is no decay '{decay}'; choose cosine or constant.")
    if warmup == 0:
        return after
    rising = optax.linear_schedule(learning_rate / warmup, learning_rate, max(warmup - 1, 1))
    return optax.join_schedules([rising, after], [warmup])


def effective_times(schedule: optax.Schedule, at: Int[np.ndarray, " records"]) -> Float[np.ndarray, " records"]:
    """Sum the learning rates before each step of `at`: the time of a gradient flow, η × step where η is constant.

    With momentum μ, gradient descent moves 1/(1 − μ) times as far; that factor is not included.
    """
    at = np.asarray(at)
    rates = rates_of_steps(schedule, int(at.max(initial=0)) + 1).astype(np.float64)
    return np.concatenate([[0.0], np.cumsum(rates)])[at]


def rates_of_steps(schedule: optax.Schedule, steps: int) -> Float[np.ndarray, " steps"]:
    """Learning rates of the steps 0, 1, …, `steps` − 1, by one program."""
    return np.asarray(_at_every(schedule)(np.arange(steps)))


@compile_once(maxsize=8)
def _at_every(schedule: optax.Schedule) -> Callable[[Int[np.ndarray, " steps"]], Float[jax.Array, " steps"]]:
    return jax.jit(jax.vmap(schedule))


def optimiser(
    name: str,
    learning_rate: float | optax.Schedule,
    *,
    steps: int = 1,
    warmup: int = 0,
    decay: str = "cosine",
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    clip: float | None = None,
) -> optax.GradientTransformation:
    """Build an optimiser by name.

    Weight decay and the layer-wise rates of LARS are applied to weights only, not to biases and the parameters of
    normalisation (those with fewer than two axes), as in the released code of SimCLR, BYOL, Barlow Twins and VICReg.

    Parameters
    ----------
    name : {"sgd", "lars", "adamw", "adam"}
        `sgd` with momentum adds its weight decay to the gradient. `lars` (You et al. 2017) has trust coefficient 0.001.
        `adamw` decouples the weight decay (Loshchilov & Hutter 2019); `adam` has none.
    learning_rate, steps, warmup, decay
        Schedule of the learning rate, as for `learning_rates`; or a schedule alone, as that function returns it.
    weight_decay : float
        Strength of the weight decay.
    momentum : float
        Momentum μ of sgd and lars.
    clip : float, optional
        Largest global norm of the gradient; longer gradients are shortened to it.

    Raises
    ------
    ConfigError
        If the name is unknown, or a setting is out of range or does not belong to the optimiser.
    """
    if weight_decay < 0 or not 0 <= momentum < 1 or (clip is not None and not clip > 0):
        raise ConfigError(
            f"weight_decay ({weight_decay}) is at least 0, momentum ({momentum}) in [0, 1), clip ({clip}) positive."
        )
    if name == "adam" and weight_decay:
        raise ConfigError("adam has no weight decay; choose adamw.")
    schedule = learning_rate
    if not callable(schedule):
        schedule = learning_rates(schedule, steps=steps, warmup=warmup, decay=decay)
    if name == "sgd":
        chain = [optax.sgd(schedule, momentum or None)]
        if weight_decay:
            chain.insert(0, optax.add_decayed_weights(weight_decay, mask=_matrices))
    elif name == "lars":
        chain = [
            optax.lars(
                schedule,
                weight_decay,
                weight_decay_mask=_matrices,
                trust_ratio_mask=_matrices,
                momentum=momentum,
            )
        ]
    elif name == "adamw":
        chain = [optax.adamw(schedule, weight_decay=weight_decay, mask=_matrices)]
    elif name == "adam":
        chain = [optax.adam(schedule)]
    else:
        raise ConfigError(f"There is no optimiser '{name}'; choose sgd, lars, adamw or adam.")
    if clip is not None:
        chain.insert(0, optax.clip_by_global_norm(clip))
    return optax.chain(*chain)


def _matrices(params: optax.Params) -> optax.Params:
    """True for weights, false for biases and the scales and shifts of normalisation."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
