"""Rung 1 for any objective: dF/dt = −K̃ ∇_F L(F) by automatic differentiation, on training and test points.

>>> import numpy as np
>>> from dynamics.objectives import vicreg_squared
>>> views = np.random.default_rng(0).normal(size=(12, 20))
>>> start = 1e-3 * np.random.default_rng(1).normal(size=(12, 2))
>>> run = objective_flow(views @ views.T / 20, start, np.linspace(0, 40, 5), vicreg_squared)
>>> run.dim, bool(run.loss[-1] < run.loss[0])
(2, True)

Losses that see the embeddings through C = FᵀJF/2n alone have a faster way in the coordinates of the modes:
`dynamics.flow.kernel_flow`.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.flow.integrate import integrate
from dynamics.flow.start import finite_start
from dynamics.objectives.correlation import cross_correlation
from dynamics.objectives.kinks import kinks_of, subgradient
from dynamics.objectives.registry import Loss, embedding_loss
from dynamics.support.compiled import compile_once
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array, Embedding, SquareGram


def objective_flow(
    kernel_gram: SquareGram,
    initial_embeddings: Embedding,
    times: Float[np.ndarray, " times"],
    objective: Loss | str,
    *,
    graph: SquareGram | None = None,
    test_rows: Float[Array, "points views"] | None = None,
    test_start: Float[Array, "points dim"] | None = None,
    embedding_times: Float[np.ndarray, " snapshots"] | None = None,
    tolerance: float = 1e-9,
    smallest_step: float = 0.0,
) -> Trajectory:
    """Integrate the frozen-kernel gradient flow of any loss; a right-hand side takes O(N²d) operations.

    Parameters
    ----------
    kernel_gram : array (N, N)
        K̃ among the training views, in the order of the embeddings.
    initial_embeddings : array (N, d)
        The network's function before training, on the training views.
    times : array (T,)
        Effective times (learning rate × step) to report, ascending from 0.
    objective : callable or str
        Loss of the embeddings (N, d): a function of `dynamics.objectives` or one of your own, with its settings bound
        by `functools.partial`, or the name of one of `dynamics.objectives.OBJECTIVES`. A loss that is singular at zero
        needs a start away from zero. Along its kinks (hinges, absolute values, maxima) the flow slides.
    graph : array (N, N), optional
        Relation G between the views. The cross-correlation FᵀGF/Σ_ij G_ij is recorded; by default it is that of pairs,
        FᵀJF/2n.
    test_rows : array (b, N), optional
        Kernel values k(x, X̃) of b further points, whose embeddings move with the flow although they are not trained on.
    test_start : array (b, d), optional
        The function before training on the further points; zero by default.
    embedding_times : array (S,), optional
        Effective times at which to keep the embeddings, (S, N + b, d), training views first.
    tolerance : float
        Relative error of one step that the solver accepts.
    smallest_step : float
        Smallest step, as a share of the last time, which is taken although its error is larger. A loss whose gradient
        jumps at places that are not known beforehand, as where projections change their order, needs one.

    Returns
    -------
    Trajectory
        `eigenvalues` of the cross-correlation and `covariance` of the training views; `test_points` is b.

    Raises
    ------
    ValueError
        If N is odd, so that the views are no pairs, and no graph is given.
    DataError
        If the start or the kernel is not finite.
    DivergenceError
        If the solver cannot follow the flow to the last time.
    """
    K, F = np.asarray(kernel_gram, np.float64), finite_start(initial_embeddings, len(kernel_gram))
    N, dim = F.shape
    if graph is None and N % 2:
        raise ValueError(f"{N} views are no pairs; give the relation graph.")
    if test_rows is not None:
        K = np.concatenate([K, np.asarray(test_rows, np.float64)])
        more = np.zeros((len(test_rows), dim)) if test_start is None else np.asarray(test_start, np.float64)
        F = np.concatenate([F, more])
    velocity, save, kinks = _system(embedding_loss(objective))
    parameters = (K, None if graph is None else np.asarray(graph, np.float64))
    steps = {"tolerance": tolerance, "smallest_step": smallest_step}
    saved, states = integrate(velocity, F, parameters, times, save, kinks=kinks, state_times=embedding_times, **steps)
    C, moments = np.moveaxis(saved[:, :-1].reshape(len(times), 2, dim, dim), 1, 0)
    return Trajectory(
        times=np.asarray(times, np.float64),
        eigenvalues=np.linalg.eigvalsh(C)[:, ::-1],
        loss=saved[:, -1],
        covariance=np.linalg.eigvalsh(moments)[:, ::-1],
        embeddings=states,
        embedding_times=None if embedding_times is None else np.asarray(embedding_times, np.float64),
        rung="objective_flow",
        test_points=len(K) - N,
        meta={"tolerance": tolerance},
    )


@compile_once(maxsize=32)
def _system(objective: Callable) -> tuple[Callable, Callable, Callable]:
    """dF/dt, the record (C, FᵀF/N, L) and the kinks of a loss; the solver passes on (K̃ and the test rows, G)."""
    gradient, kinks_of_loss = subgradient(objective), kinks_of(objective)

    def velocity(t: Array, F: Array, parameters: tuple, shares: Array | None = None) -> Array:
        rows = parameters[0]
        return -rows @ gradient(F[: rows.shape[1]], shares)

    def kinks(t: Array, F: Array, parameters: tuple) -> Array:
        return kinks_of_loss(F[: parameters[0].shape[1]])

    def save(t: Array, F: Array, parameters: tuple) -> Array:
        rows, graph = parameters
        F = F[: rows.shape[1]]
        C, moments = cross_correlation(F, graph), F.T @ F / len(F)
        return jnp.concatenate([C.ravel(), moments.ravel(), objective(F)[None]])

    return velocity, save, kinks
