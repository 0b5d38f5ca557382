"""The flow of rung 1 from many initial functions at once, and carried to points that were not trained on."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.flow.integrate import integrate_batch
from dynamics.flow.ode import CorrelationLoss, mode_system
from dynamics.flow.start import finite_start, start_of
from dynamics.flow.truncation import truncate
from dynamics.modes.contrastive import ContrastiveModes
from dynamics.objectives.correlation import correlation_loss
from dynamics.support.precision import double_precision
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array, Embedding, Gram


def kernel_flow_batch(
    modes: ContrastiveModes,
    initial_embeddings: Sequence[Float[Array, "views _"]],
    times: Float[np.ndarray, " times"],
    *,
    loss: CorrelationLoss = correlation_loss,
    truncation: float | None = None,
    tolerance: float = 1e-10,
) -> list[Trajectory]:
    """Integrate `kernel_flow` from several initial functions, such as seeds, scales α or dimensions d, as one batch.

    Parameters
    ----------
    modes : ContrastiveModes
        Modes of the one kernel that all flows share.
    initial_embeddings : sequence of array (2n, d)
        Initial functions on the training views. With the default loss, d may differ between them.
    times, loss, truncation, tolerance
        Effective times, loss, bound on the truncation and tolerance of the solver, as for `kernel_flow`. All flows keep
        the modes that the most demanding start needs.

    Returns
    -------
    list of Trajectory
        One trajectory for each start, in their order and without embeddings.

    Raises
    ------
    ConfigError
        If there is no start, or `truncation` or starts of different d are given with another loss than the default.
    DataError
        If an initial embedding is not finite.
    DivergenceError
        If one of the flows cannot be followed to the last time.
    """
    if not initial_embeddings:
        raise ConfigError("initial_embeddings is empty; give at least one initial function.")
    dims = [F.shape[1] for F in initial_embeddings]
    if loss is not correlation_loss and (len(set(dims)) > 1 or truncation is not None):
        raise ConfigError(
            "Different d, and truncation, are only possible for the Barlow Twins loss with λ = 1; leave `loss` at its "
            "default."
        )
    initial_embeddings = [finite_start(F, 2 * modes.num_pairs) for F in initial_embeddings]
    bounds: list[float | None] = [None] * len(dims)
    if truncation is not None:
        end = float(times[-1])
        cuts = [truncate(modes, F, end, tolerance=truncation) for F in initial_embeddings]
        kept = max(len(cut.modes) for cut in cuts)
        cuts = [truncate(modes, F, end, num_modes=kept) for F in initial_embeddings]
        modes, bounds = cuts[0].modes, [cut.bound for cut in cuts]
    # an output that is zero stays zero and leaves the others alone, so smaller functions are filled up with zeros
    starts = [
        start_of(modes, np.pad(F, ((0, 0), (0, max(dims) - d))), complete=truncation is None)
        for F, d in zip(initial_embeddings, dims, strict=True)
    ]
    velocity, save, _ = mode_system(loss)
    gamma = np.broadcast_to(modes.eigenvalues[:, None], (len(starts), len(modes), 1))
    a, source, constant = (np.stack(values) for values in list(zip(*starts, strict=True))[:3])
    C = integrate_batch(velocity, a, (gamma, source, constant), times, save, tolerance=tolerance)
    return [
        _trajectory(C_b[:, :d, :d], times, loss, tolerance, len(modes), bound)
        for C_b, d, bound in zip(C, dims, bounds, strict=True)
    ]


def embeddings_at(
    modes: ContrastiveModes, trajectory: Trajectory, rows: Gram, initial: Embedding | None = None
) -> Float[np.ndarray, "snapshots points dim"]:
    """Embeddings of new points along a forecast: dF/dt = (2/n) k(x, X̃) J F (I − C) moves them with the training views.

    Parameters
    ----------
    modes : ContrastiveModes
        The modes with which the trajectory was made.
    trajectory : Trajectory
        Trajectory that has the `embeddings` (S, 2n, d) of the training views (`embedding_times` of `kernel_flow`).
    rows : array (b, 2n)
        Kernel values k(x, X̃) between b new points and the training views.
    initial : array (b, d), optional
        The network's function before training on the new points; the first snapshot must then be at t = 0. Training
        does not change the part of it outside the modes. By default that part is zero.

    Raises
    ------
    ConfigError
        If the trajectory has no embeddings, or none at t = 0 where `initial` needs it.
    """
    if trajectory.embeddings is None or trajectory.embedding_times is None:
        raise ConfigError("The trajectory has no embeddings; give embedding_times to kernel_flow.")
    φ = modes.functions(rows)
    values = np.stack([φ @ modes.coordinates(F) for F in trajectory.embeddings])
    if initial is None:
        return values
    if trajectory.embedding_times[0] != 0:
        raise ConfigError("With `initial`, the first of the trajectory's embedding_times must be 0.")
    return values + (np.asarray(initial, np.float64) - values[0])


def _trajectory(
    C: np.ndarray, times: np.ndarray, loss: CorrelationLoss, tolerance: float, num_modes: int, bound: float | None
) -> Trajectory:
    with double_precision():
        losses = np.asarray(jax.vmap(loss)(jnp.asarray(C)))
    return Trajectory(
        times=np.asarray(times, np.float64),
        eigenvalues=np.linalg.eigvalsh(C)[:, ::-1],
        loss=losses,
        rung="ode",
        num_modes=None if bound is None else num_modes,
        truncation_bound=bound,
        meta={"tolerance": tolerance},
    )
