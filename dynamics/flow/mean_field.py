"""The bilinear network at large width, closed in function space: independent features whose kernel moves.

If the N features have one tangent kernel and are not coupled, Θ_h = K_hid ⊗ I_N, then the function F = u h W, the
readout's kernel K = u² h hᵀ and its Gram matrix S = u² WᵀW obey equations of their own. With G = ∇_F L

    dF/dt = −(K G + K_hid G S) ,
    dK/dt = −u² (K_hid G Fᵀ + F Gᵀ K_hid) ,
    dS/dt = −u² (Gᵀ F + Fᵀ G) .

With the output multiplier c, u² = c²/N, and K is proportional to c². So the kernel moves by a share 1/(c² N): a wide or
lazy network has a frozen kernel. Convolutions whose positions share weights do not have independent features.
"""

from collections.abc import Callable
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.flow.bilinear import trajectory_of_records
from dynamics.flow.integrate import integrate
from dynamics.objectives.correlation import barlow_twins, cross_correlation
from dynamics.objectives.kinks import kinks_of, subgradient
from dynamics.objectives.registry import Loss, embedding_loss
from dynamics.support.compiled import compile_once
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array


def mean_field_flow(
    kernel: Float[Array, "points views"],
    hidden_kernel: Float[Array, "points views"],
    scale: float,
    initial_embeddings: Float[Array, "points dim"],
    times: Float[np.ndarray, " times"],
    *,
    readout: Float[Array, "units dim"] | None = None,
    objective: Loss | str = barlow_twins,
    embedding_times: Float[np.ndarray, " snapshots"] | None = None,
    tolerance: float = 1e-9,
) -> Trajectory:
    """Integrate the mean-field closure; O(n² d) a right-hand side.

    Parameters
    ----------
    kernel : array (2n + b, 2n)
        K = u² h hᵀ before training between all points and the training views, which come first. Centred on both sides
        over the training views if the embeddings are.
    hidden_kernel : array (2n + b, 2n)
        K_hid = (1/N) Σ_a ∂h_a(x) · ∂h_a(y), the mean tangent kernel of the features (`empirical_ntk` of them), centred
        in the same way.
    scale : float
        u, the output multiplier times 1/√N.
    initial_embeddings : array (2n + b, d)
        F before training.
    times : array (T,)
        Effective times (learning rate × step) to report, ascending from 0.
    readout : array (N, d), optional
        W before training; zero by default, as it is small.
    objective : callable
        Loss of the embeddings (2n, d) of the training views.
    embedding_times : array (S,), optional
        Effective times at which to keep the embeddings, (S, 2n + b, d), training views first.
    tolerance : float
        Relative error that the solver allows itself in one step.

    Returns
    -------
    Trajectory
        Rung `mean_field`, with `covariance`.

    Raises
    ------
    ValueError
        If the shapes do not belong together.
    DivergenceError
        If the solver cannot follow the flow to the last time.
    """
    K, K_hid, F = (np.asarray(array, np.float64) for array in (kernel, hidden_kernel, initial_embeddings))
    points, views = K.shape
    if K_hid.shape != K.shape or len(F) != points or points < views or views % 2:
        raise ValueError(f"kernel {K.shape}, hidden_kernel {K_hid.shape} and initial embeddings {F.shape} do not fit.")
    dim = F.shape[1]
    W = np.zeros((1, dim)) if readout is None else np.asarray(readout, np.float64)
    # the state is F, what K has moved by and S: all small at the start, so that the solver's errors count against F
    start = np.concatenate([F.ravel(), np.zeros(K.size), scale**2 * (W.T @ W).ravel()])
    velocity, save, kinks = _system(embedding_loss(objective), dim)
    saved, states = integrate(
        velocity,
        start,
        (K, K_hid, scale**2),
        times,
        save,
        kinks=kinks,
        state_times=embedding_times,
        tolerance=tolerance,
    )
    run = trajectory_of_records(times, saved, "mean_field", {"tolerance": tolerance})
    if embedding_times is None or states is None:
        return run
    return replace(
        run,
        embeddings=states[:, : F.size].reshape(-1, *F.shape),
        embedding_times=np.asarray(embedding_times, np.float64),
        test_points=points - views,
    )


@compile_once(maxsize=32)
def _system(objective: Callable, dim: int) -> tuple[Callable, Callable, Callable]:
    """d(F, K − K₀, S)/dt, the record (C, FᵀF/2n, L) and the kinks of a loss; the solver passes on (K₀, K_hid, u²)."""
    gradient, kinks_of_loss = subgradient(objective), kinks_of(objective)

    def embeddings(y: Array, ingredients: tuple) -> Array:
        points, views = ingredients[0].shape
        return y[: points * dim].reshape(points, dim)[:views]

    def velocity(t: float | Array, y: Array, ingredients: tuple, shares: Array | None = None) -> Array:
        K0, K_hid, u2 = ingredients
        points, views = K0.shape
        F, moved, S = jnp.split(y, [points * dim, points * dim + K0.size])
        F, K, S = F.reshape(points, dim), K0 + moved.reshape(K0.shape), S.reshape(dim, dim)
        F_train = F[:views]
        G = gradient(F_train, shares)
        along = K_hid @ G
        dF = -(K @ G + along @ S)
        dK = -u2 * (along @ F_train.T + F @ (G.T @ K_hid[:views]))
        dS = -u2 * (G.T @ F_train + F_train.T @ G)
        return jnp.concatenate([dF.ravel(), dK.ravel(), dS.ravel()])

    def save(t: float | Array, y: Array, ingredients: tuple) -> Array:
        F = embeddings(y, ingredients)
        return jnp.concatenate([cross_correlation(F).ravel(), (F.T @ F / len(F)).ravel(), objective(F)[None]])

    def kinks(t: float | Array, y: Array, ingredients: tuple) -> Array:
        return kinks_of_loss(embeddings(y, ingredients))

    return velocity, save, kinks
