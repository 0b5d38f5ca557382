"""Rung 1: gradient flow of the frozen kernel from the actual initial function, by an ODE solver in float64.

In mode coordinates a the flow dF/dt = −K̃ ∇_F L reads da/dt = 4 γ a M(C) with C = aᵀγa and M = −½ ∂L/∂C; for
Barlow Twins with λ = 1, M = I − C. γ is diagonal, so a right-hand side costs O(m d²): weights are never integrated.
A part of the start outside of the modes adds the constants of `dynamics.flow.start`.
"""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.flow.integrate import integrate
from dynamics.flow.start import finite_start, start_of
from dynamics.flow.truncation import truncate
from dynamics.modes.contrastive import ContrastiveModes
from dynamics.objectives.correlation import correlation_loss
from dynamics.objectives.kinks import kinks_of, subgradient
from dynamics.support.compiled import comparable, compile_once
from dynamics.support.precision import double_precision
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array, Embedding

CorrelationLoss = Callable[[Float[Array, "dim dim"]], Float[jax.Array, ""]]


def kernel_flow(
    modes: ContrastiveModes,
    initial_embeddings: Embedding,
    times: Float[np.ndarray, " times"],
    *,
    loss: CorrelationLoss = correlation_loss,
    embedding_times: Float[np.ndarray, " snapshots"] | None = None,
    truncation: float | None = None,
    tolerance: float = 1e-10,
) -> Trajectory:
    """Integrate the frozen-kernel gradient flow of a loss of the cross-correlation.

    Parameters
    ----------
    modes : ContrastiveModes
        All modes of the kernel on the training pairs. The part of the initial function outside of the given modes stays
        as it is. That is exact for what the kernel cannot change, and an approximation for modes that are not given.
    initial_embeddings : array (2n, d)
        The network's function before training, on the training views.
    times : array (T,)
        Effective times (learning rate × step) to report, ascending from 0.
    loss : callable, optional
        Loss as a function of C (d, d); Barlow Twins with λ = 1 by default.
    embedding_times : array (S,), optional
        Effective times at which to keep the embeddings themselves.
    truncation : float, optional
        Leave out modes whose contributions to C stay below this in sum until the last time (`truncate`). The trajectory
        says in `num_modes` how many modes were kept, and in `truncation_bound` how much may be lost. Only for the
        default loss.
    tolerance : float
        Relative error of one step that the solver accepts.

    Returns
    -------
    Trajectory
        The course of training, with the `embeddings` (S, 2n, d) of the training views if `embedding_times` is given.

    Raises
    ------
    ConfigError
        If `truncation` is given with another loss than the default.
    DataError
        If the initial embeddings are not finite, or there is not one for each view.
    DivergenceError
        If the solver cannot follow the flow to the last time.
    """
    num_modes, bound = None, None
    initial_embeddings = finite_start(initial_embeddings, 2 * modes.num_pairs)
    if truncation is not None:
        if loss is not correlation_loss:
            raise ConfigError(
                "truncation is possible only for the Barlow Twins loss with λ = 1; leave `loss` at its default."
            )
        end = max([times[-1], *([] if embedding_times is None else embedding_times)])
        cut = truncate(modes, initial_embeddings, float(end), tolerance=truncation)
        modes, num_modes, bound = cut.modes, len(cut.modes), cut.bound
    velocity, save_correlation, kinks = mode_system(loss)
    start = start_of(modes, initial_embeddings, complete=num_modes is None)
    C, a = integrate(
        velocity,
        start.coordinates,
        (modes.eigenvalues[:, None], start.source, start.constant),
        times,
        save_correlation,
        kinks=kinks,
        state_times=embedding_times,
        tolerance=tolerance,
    )
    return Trajectory(
        times=np.asarray(times, np.float64),
        eigenvalues=np.linalg.eigvalsh(C)[:, ::-1],
        loss=losses_of(loss, C),
        embeddings=None if a is None else modes.on_views @ a + start.remainder,
        embedding_times=None if embedding_times is None else np.asarray(embedding_times, np.float64),
        rung="ode",
        num_modes=num_modes,
        truncation_bound=bound,
        meta={"tolerance": tolerance},
    )


def losses_of(loss: CorrelationLoss, C: Float[np.ndarray, "times dim dim"]) -> Float[np.ndarray, " times"]:
    """A loss of C along a trajectory, in float64."""
    with double_precision():
        return np.asarray(_losses(comparable(loss), C))


@partial(jax.jit, static_argnums=0)
def _losses(loss, C):
    return jax.vmap(loss)(C)


@compile_once(maxsize=16)
def mode_system(loss):
    """Return da/dt, C(a) and the kinks of a loss, of (t, a, (γ, b, C_R)) with γ (m, 1) and the rest of `Start`."""
    gradient, kinks_of_loss = subgradient(loss), kinks_of(loss)

    def save_correlation(t, a, parameters):
        gamma, source, constant = parameters
        cross = a.T @ source
        return a.T @ (gamma * a) + cross + cross.T + constant

    def velocity(t, a, parameters, shares=None):
        gamma, source, _ = parameters
        M = -0.5 * gradient(save_correlation(t, a, parameters), shares)
        return 4.0 * (gamma * a + source) @ M

    def kinks(t, a, parameters):
        return kinks_of_loss(save_correlation(t, a, parameters))

    return velocity, save_correlation, kinks
