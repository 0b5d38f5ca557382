"""Rung 1: gradient flow of the frozen kernel from the actual initial function, by an ODE solver in float64.

In mode coordinates a = VᵀF the flow dF/dt = −K̃ ∇_F L reads da/dt = 4 γ a M(C) with C = aᵀγa and M = −½ ∂L/∂C; for
Barlow Twins with λ = 1, M = I − C. γ is diagonal, so a right-hand side costs O(m d²): weights are never integrated.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import DivergenceError
from dynamics.modes import ContrastiveModes
from dynamics.objectives.barlow_twins import correlation_loss
from dynamics.precision import double_precision
from dynamics.trajectory import Trajectory
from dynamics.typing import Array, Embedding

CorrelationLoss = Callable[[Float[Array, "dim dim"]], Float[jax.Array, ""]]


def kernel_flow(
    modes: ContrastiveModes,
    initial_embeddings: Embedding,
    times: Float[np.ndarray, " times"],
    *,
    loss: CorrelationLoss = correlation_loss,
    embedding_times: Float[np.ndarray, " snapshots"] | None = None,
    tolerance: float = 1e-10,
) -> Trajectory:
    """Integrate the frozen-kernel gradient flow of a loss of the cross-correlation.

    Parameters
    ----------
    modes : ContrastiveModes
        Modes of the kernel on the training pairs. Give all of them: what the initial function holds outside the given
        modes stays as it is and is not seen.
    initial_embeddings : array (2n, d)
        The network's function before training, on the training views.
    times : array (T,)
        Effective times (learning rate × step) to report, ascending from 0.
    loss : callable, optional
        Loss as a function of C (d, d); Barlow Twins with λ = 1 by default.
    embedding_times : array (S,), optional
        Effective times at which to keep the embeddings themselves.
    tolerance : float
        Relative error that the solver allows itself in one step.

    Returns
    -------
    Trajectory
        With `embeddings` (S, 2n, d) of the training views if `embedding_times` is given.

    Raises
    ------
    DivergenceError
        If the solver cannot follow the flow to the last time.
    """
    a, C = _solve(modes, initial_embeddings, times, loss, embedding_times, tolerance)
    with double_precision():
        losses = np.asarray(jax.vmap(loss)(jnp.asarray(C)))
    return Trajectory(
        times=np.asarray(times, np.float64),
        eigenvalues=np.linalg.eigvalsh(C)[:, ::-1],
        loss=losses,
        embeddings=None if a is None else modes.values @ a,
        embedding_times=None if embedding_times is None else np.asarray(embedding_times, np.float64),
        meta={"rung": "ode", "tolerance": tolerance},
    )


def _solve(modes, initial_embeddings, times, loss, embedding_times, tolerance):
    """a (S, m, d) at the embedding times (or None) and C (T, d, d) at the times."""
    import diffrax  # half a second of import, paid by those who integrate

    with double_precision():
        gamma = jnp.asarray(modes.eigenvalues)[:, None]
        a0 = jnp.asarray(modes.coordinates(initial_embeddings))

        def correlation(a):
            return a.T @ (gamma * a)

        def velocity(t, a, args):
            M = -0.5 * jax.grad(loss)(correlation(a))
            return 4.0 * gamma * (a @ M)

        saves = [diffrax.SubSaveAt(ts=jnp.asarray(times), fn=lambda t, a, args: correlation(a))]
        if embedding_times is not None:
            saves.append(diffrax.SubSaveAt(ts=jnp.asarray(embedding_times)))
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(velocity),
            diffrax.Dopri8(),
            t0=0.0,
            t1=float(times[-1]),
            dt0=None,
            y0=a0,
            saveat=diffrax.SaveAt(subs=saves),
            # a starts tiny and grows by many orders of magnitude: errors count against its size, not against 1
            stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance * float(jnp.abs(a0).max())),
            max_steps=None,
            throw=False,
        )
        C = np.asarray(solution.ys[0])
        a = np.asarray(solution.ys[1]) if embedding_times is not None else None
    if solution.result != diffrax.RESULTS.successful or not np.isfinite(C).all():
        raise DivergenceError(
            f"The flow could not be followed to t = {float(times[-1]):.3g} ({solution.result}); check the scale of the "
            "kernel and of the initial function."
        )
    return a, C
