"""Rung 1 for a finite network that learns in all layers: the flow of its matrix-valued tangent kernel.

At infinite width the tangent kernel is the same for every output and does not mix them, Θ = K ⊗ I_d, and everything
reduces to the modes of K. At finite width the outputs have different kernels and are coupled, which speeds the fastest
combination up: Θ_kl(x, y) = ∂_θ f_k(x) · ∂_θ f_l(y) keeps that and drops only the change of Θ during training:

    dF_ik/dt = − Σ_jl Θ_kl(x_i, x_j) ∂L/∂F_jl
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.flow.integrate import integrate
from dynamics.flow.start import finite_start
from dynamics.modes.contrastive import contrastive_modes
from dynamics.objectives.correlation import barlow_twins, cross_correlation
from dynamics.objectives.kinks import kinks_of, subgradient
from dynamics.objectives.registry import Loss, embedding_loss
from dynamics.support.compiled import compile_once
from dynamics.support.precision import double_precision
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array, Embedding

MatrixGram = Float[Array, "views views dim dim"]


def centred_matrix_kernel(theta: MatrixGram) -> MatrixGram:
    """Return Θ for embeddings whose mean over the 2n views is removed: HΘH for every pair of outputs."""
    theta = theta - theta.mean(axis=0, keepdims=True)
    return theta - theta.mean(axis=1, keepdims=True)


def matrix_growth_rate(theta: MatrixGram) -> float:
    """Largest eigenvalue γ of (1/2n) (J ⊗ I_d) Θ: gradient descent is stable for learning rates below about 1/(4γ).

    Parameters
    ----------
    theta : array (2n, 2n, d, d)
        Matrix-valued kernel among the views in the order x_1 … x_n, x'_1 … x'_n.
    """
    # views first, outputs second: the two halves of the rows are still the two views
    dim = theta.shape[-1]
    return dim * float(contrastive_modes(flat_matrix_kernel(theta), num_modes=1).eigenvalues[0])


def matrix_kernel_flow(
    theta: MatrixGram,
    initial_embeddings: Embedding,
    times: Float[np.ndarray, " times"],
    *,
    objective: Loss | str = barlow_twins,
    keep_embeddings: bool = False,
    tolerance: float = 1e-9,
    smallest_step: float = 0.0,
) -> Trajectory:
    """Integrate the gradient flow of a frozen matrix-valued kernel.

    A right-hand side takes O((2nd)²) memory and time.

    Parameters
    ----------
    theta : array (2n, 2n, d, d)
        Θ_kl(x_i, x_j), as `dynamics.kernels.full_empirical_ntk` gives it; centred if the embeddings are.
    initial_embeddings : array (2n, d)
        The network's function before training, on the training views.
    times : array (T,)
        Effective times (learning rate × step) to report, ascending from 0.
    objective : callable or str
        Loss of the embeddings (2n, d), or the name of one of `dynamics.objectives.OBJECTIVES`.
    keep_embeddings : bool
        Whether the trajectory has the embeddings at all times.
    tolerance : float
        Relative error of one step that the solver accepts.
    smallest_step : float
        Smallest step, as a share of the last time, which is taken although its error is larger. A loss whose gradient
        jumps at places that are not known beforehand, as where projections change their order, needs one.

    Raises
    ------
    DataError
        If the start or the kernel is not finite.
    DivergenceError
        If the solver cannot follow the flow to the last time.
    """
    loss = embedding_loss(objective)
    velocity, correlation, kinks = matrix_system(loss)
    F0 = finite_start(initial_embeddings, len(theta))
    C, F = integrate(
        velocity,
        F0,
        flat_matrix_kernel(theta),
        times,
        correlation,
        kinks=kinks,
        state_times=times,
        tolerance=tolerance,
        smallest_step=smallest_step,
    )
    with double_precision():
        losses = np.asarray(losses_along(loss)(jnp.asarray(F)))
    return Trajectory(
        times=np.asarray(times, np.float64),
        eigenvalues=np.linalg.eigvalsh(C)[:, ::-1],
        loss=losses,
        embeddings=np.asarray(F) if keep_embeddings else None,
        embedding_times=np.asarray(times, np.float64) if keep_embeddings else None,
        rung="matrix_ode",
        meta={"tolerance": tolerance},
    )


def flat_matrix_kernel(theta: MatrixGram) -> Float[np.ndarray, "entries entries"]:
    """Θ as a matrix (2nd, 2nd) over the entries of F, views first and outputs second."""
    theta = np.asarray(theta, np.float64)
    views, _, dim, _ = theta.shape
    return theta.transpose(0, 2, 1, 3).reshape(views * dim, views * dim)


@compile_once(maxsize=16)
def losses_along(objective: Callable) -> Callable:
    """Return embeddings (T, 2n, d) -> losses (T,), compiled, one time after the other."""
    return jax.jit(lambda F: jax.lax.map(objective, F))


@compile_once(maxsize=16)
def matrix_system(objective: Callable) -> tuple[Callable, Callable, Callable]:
    """dF/dt, C(F) and the kinks of a loss, with the flat Θ (2nd, 2nd) as the argument that the solver passes on."""
    gradient, kinks_of_loss = subgradient(objective), kinks_of(objective)

    def velocity(t, F, theta, shares=None):
        return -(theta @ gradient(F, shares).reshape(-1)).reshape(F.shape)

    def kinks(t, F, theta):
        return kinks_of_loss(F)

    def correlation(t, F, theta):
        return cross_correlation(F)

    return velocity, correlation, kinks
