"""Rung 2: the linearised network, by discrete gradient descent in function space.

The same frozen kernel as rung 1, but with the steps of the real run: what is left between this rung and the network is
that the kernel changes during training. One step is one Euler step of the flow, because the embeddings of a linearised
network move by −η K̃ ∇_F L when its parameters descend by one step.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from dynamics.errors import DivergenceError
from dynamics.flow.matrix_ode import MatrixGram, flat_matrix_kernel, losses_along, matrix_system
from dynamics.flow.ode import CorrelationLoss, losses_of, mode_system
from dynamics.flow.start import finite_start, start_of
from dynamics.modes.contrastive import ContrastiveModes
from dynamics.objectives.correlation import barlow_twins, correlation_loss
from dynamics.objectives.registry import Loss, embedding_loss
from dynamics.support.precision import double_precision
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Embedding

_RECORDS_AT_ONCE = 128


def kernel_descent(
    modes: ContrastiveModes,
    initial_embeddings: Embedding,
    learning_rate: float,
    record_at: Int[np.ndarray, " records"],
    *,
    loss: CorrelationLoss = correlation_loss,
) -> Trajectory:
    """Run gradient descent with the frozen kernel of the given modes; a step takes O(m d²) operations.

    Parameters
    ----------
    modes : ContrastiveModes
        All modes of the kernel on the training pairs. The part of the start outside of them stays as it is.
    initial_embeddings : array (2n, d)
        The network's function before training, on the training views.
    learning_rate : float
        Learning rate η; step k is at effective time t = η k.
    record_at : array of int (T,)
        Steps to report, ascending from 0.
    loss : callable
        Loss as a function of C (d, d).

    Raises
    ------
    DivergenceError
        If the descent does not stay finite because the learning rate is too large.
    DataError
        If the initial embeddings are not finite, or there is not one for each view.
    """
    velocity, save, _ = mode_system(loss)
    start = start_of(modes, initial_embeddings)
    parameters = (modes.eigenvalues[:, None], start.source, start.constant)
    C, _ = descend(velocity, save, start.coordinates, parameters, learning_rate, record_at)
    return _trajectory(C, losses_of(loss, C), learning_rate, record_at)


def matrix_kernel_descent(
    theta: MatrixGram,
    initial_embeddings: Embedding,
    learning_rate: float,
    record_at: Int[np.ndarray, " records"],
    *,
    objective: Loss | str = barlow_twins,
) -> Trajectory:
    """Run gradient descent with a frozen matrix-valued kernel Θ (2n, 2n, d, d); a step takes O((2nd)²) operations.

    Parameters and errors are those of `kernel_descent`, with an objective of the embeddings (2n, d), given
    as a function or by its name in `dynamics.objectives.OBJECTIVES`.
    """
    loss = embedding_loss(objective)
    velocity, correlation, _ = matrix_system(loss)
    start = finite_start(initial_embeddings, len(theta))
    C, F = descend(velocity, correlation, start, flat_matrix_kernel(theta), learning_rate, record_at)
    with double_precision():
        losses = np.asarray(losses_along(loss)(jnp.asarray(F)))
    return _trajectory(C, losses, learning_rate, record_at)


def descend(
    velocity: Callable, save: Callable, start: np.ndarray, parameters: Any, learning_rate: float, record_at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Take Euler steps of dy/dt = velocity(t, y, parameters); used by every rung that descends in float64.

    Parameters
    ----------
    velocity, save : callable
        (t, y, parameters) -> dy/dt, and what to keep of y.
    start : array
        y before the first step.
    parameters : pytree of arrays
        Passed on to both.
    learning_rate : float
        η, the length of a step.
    record_at : array of int (T,)
        Steps to report, ascending from 0.

    Returns
    -------
    saved, states : array (T, …)
        What `save` makes of the state, and the state, at every recorded step.

    Raises
    ------
    DivergenceError
        If what is saved does not stay finite.
    """
    # repeated records at the end, so that descents of other lengths are not compiled anew
    gaps = np.pad(np.diff(record_at, prepend=0), (0, -len(record_at) % _RECORDS_AT_ONCE))
    with double_precision():
        saved, states = _run(velocity, save, start, parameters, learning_rate, gaps)
        saved, states = (np.asarray(each)[: len(record_at)] for each in (saved, states))
    if not np.isfinite(saved).all():
        raise DivergenceError(f"Gradient descent at learning rate {learning_rate:.3g} diverged; lower the rate.")
    return saved, states


@partial(jax.jit, static_argnums=(0, 1))
def _run(velocity, save, start, parameters, learning_rate, gaps):
    def step(_, y):
        return y + learning_rate * velocity(0.0, y, parameters)

    def to_next_record(y, gap):
        y = jax.lax.fori_loop(0, gap, step, y)
        return y, (save(0.0, y, parameters), y)

    return jax.lax.scan(to_next_record, start, gaps)[1]


def _trajectory(C: np.ndarray, losses: np.ndarray, learning_rate: float, record_at: np.ndarray) -> Trajectory:
    return Trajectory(
        times=learning_rate * np.asarray(record_at, np.float64),
        eigenvalues=np.linalg.eigvalsh(C)[:, ::-1],
        loss=losses,
        rung="linearised",
        meta={"learning_rate": learning_rate},
    )
