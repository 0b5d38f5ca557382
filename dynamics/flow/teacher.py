"""The flow of a student that predicts its teacher: predictor, stopped gradient, moving average and weight decay.

Embeddings F follow a frozen kernel, a linear predictor P acts on them, and the targets T are a moving average of the
embeddings, whose age is a state of its own:

    dF/dt = −K̃ ∂_F ℓ(FP, T) − η F ,   dP/dt = −α ∂_P ℓ(FP, T) − η P ,   dT/dt = (F − T)/age .

For a linear network this is gradient descent with weight decay η, exactly up to the size of its steps: the moving
average of linear functions is the function of the averaged weights, and a decay of the weights is one of the function.
A teacher that keeps the share τ in steps of the learning rate h is 1/(1 − τ) steps old, so its age is h/(1 − τ).

>>> import numpy as np
>>> from dynamics.objectives import latent_prediction
>>> x = np.random.default_rng(0).normal(size=(12, 20))
>>> run = teacher_flow(x @ x.T / 20, 0.3 * x[:, :2], np.linspace(0, 9, 4), latent_prediction, predictor=np.eye(2))
>>> run.dim, run.rung
(2, 'teacher_flow')
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.flow.integrate import integrate
from dynamics.flow.start import finite_start
from dynamics.objectives.correlation import cross_correlation
from dynamics.objectives.registry import Loss, objective_loss
from dynamics.support.compiled import compile_once
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array, Embedding, SquareGram


def teacher_flow(
    kernel_gram: SquareGram,
    initial_embeddings: Embedding,
    times: Float[np.ndarray, " times"],
    objective: Loss | str,
    *,
    predictor: Float[Array, "dim dim"] | None = None,
    teacher_age: float = 0.0,
    predictor_rate: float = 1.0,
    weight_decay: float = 0.0,
    embedding_times: Float[np.ndarray, " snapshots"] | None = None,
    tolerance: float = 1e-9,
) -> Trajectory:
    """Integrate the flow of embeddings, predictor and teacher.

    Parameters
    ----------
    kernel_gram : array (2n, 2n)
        K̃ among the training views x_1 … x_n, x'_1 … x'_n.
    initial_embeddings : array (2n, d)
        The network's function before training, of which the teacher starts as a copy.
    times : array (T,)
        Effective times (learning rate × step) to report, ascending from 0.
    objective : callable or str
        Loss of predictions (2n, d) and targets (2n, d), or the name of an objective that is one.
    predictor : array (d, d), optional
        The predictor P at the start; without one the embeddings are the predictions, as in DINO.
    teacher_age : float
        Age of the teacher in effective time; 0 for targets from the network itself.
    predictor_rate : float
        Learning rate α of the predictor, as a multiple of that of the network.
    weight_decay : float
        Weight decay η of network and predictor.
    embedding_times : array (S,), optional
        Effective times at which to keep the embeddings, (S, 2n, d).
    tolerance : float
        Relative error of one step that the solver accepts.

    Returns
    -------
    Trajectory
        `eigenvalues` of the cross-correlation and `covariance` of the embeddings; the metric `predictor` is the
        Frobenius norm of P.

    Raises
    ------
    ConfigError
        If an age, a rate or a decay is negative or not finite.
    DataError
        If the start or the kernel is not finite.
    DivergenceError
        If the solver cannot follow the flow to the last time.
    """
    for name, value in (
        ("teacher_age", teacher_age),
        ("predictor_rate", predictor_rate),
        ("weight_decay", weight_decay),
    ):
        if not (np.isfinite(value) and value >= 0):
            raise ConfigError(f"`{name}` is {value}; give a number that is finite and not negative.")
    loss = objective_loss(objective) if isinstance(objective, str) else objective
    F = finite_start(initial_embeddings, len(kernel_gram))
    dim, parts = F.shape[1], [F]
    if teacher_age:
        parts.append(F)
    if predictor is not None:
        parts.append(np.asarray(predictor, np.float64))
    velocity, save = _system(loss, bool(teacher_age), predictor is not None)
    constants = np.array([teacher_age or 1.0, predictor_rate, weight_decay])
    start, parameters = np.concatenate(parts), (np.asarray(kernel_gram, np.float64), constants)
    saved, states = integrate(
        velocity, start, parameters, times, save, state_times=embedding_times, tolerance=tolerance
    )
    C, moments = np.moveaxis(saved[:, :-2].reshape(len(times), 2, dim, dim), 1, 0)
    return Trajectory(
        times=np.asarray(times, np.float64),
        eigenvalues=np.linalg.eigvalsh(C)[:, ::-1],
        loss=saved[:, -1],
        covariance=np.linalg.eigvalsh(moments)[:, ::-1],
        embeddings=None if states is None else states[:, : len(F)],
        embedding_times=None if embedding_times is None else np.asarray(embedding_times, np.float64),
        metrics={"predictor": saved[:, -2]},
        rung="teacher_flow",
        meta={"teacher_age": teacher_age, "predictor_rate": predictor_rate, "weight_decay": weight_decay},
    )


@compile_once(maxsize=16)
def _system(loss: Callable, lags: bool, predicts: bool) -> tuple[Callable, Callable]:
    """Velocity of the rows (F, T, P) of the state, and the record (C, FᵀF/N, ‖P‖, ℓ)."""

    def parts(y: Array, num_views: int) -> tuple[Array, Array, Array | None]:
        F = y[:num_views]
        return F, y[num_views : 2 * num_views] if lags else F, y[-y.shape[1] :] if predicts else None

    def predicted(learned: tuple[Array, Array | None], targets: Array) -> Array:
        F, P = learned
        return loss(F if P is None else F @ P, targets)

    def velocity(t: Array, y: Array, parameters: tuple) -> Array:
        rows, (age, rate, decay) = parameters
        F, T, P = parts(y, len(rows))
        of_F, of_P = jax.grad(predicted)((F, P), jax.lax.stop_gradient(T))
        moved = [-rows @ of_F - decay * F]
        if lags:
            moved.append((F - T) / age)
        if predicts:
            moved.append(-rate * of_P - decay * P)
        return jnp.concatenate(moved)

    def save(t: Array, y: Array, parameters: tuple) -> Array:
        F, T, P = parts(y, len(parameters[0]))
        C, moments = cross_correlation(F), F.T @ F / len(F)
        size = jnp.sqrt(jnp.square(jnp.eye(F.shape[1]) if P is None else P).sum())
        return jnp.concatenate([C.ravel(), moments.ravel(), jnp.stack([size, predicted((F, P), T)])])

    return velocity, save
