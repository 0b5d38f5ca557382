"""Rung 2½, exact: descent of a network whose features are linear in all of their own weights.

    F = u h W ,    h = h₀ + J δ ,    W ← W − η u hᵀ G ,    δ ← δ − η u Jᵀ(G Wᵀ)

Both are updated at once, as in gradient descent of the network itself. A step costs one derivative along a direction
and one gradient, about as much as a step of training. So it forecasts nothing cheaply; it says how much of an error is
left because the features are not linear in their weights.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from dynamics.errors import DivergenceError
from dynamics.flow.bilinear import trajectory_of_records
from dynamics.flow.readout_network import ReadoutNetwork
from dynamics.objectives.correlation import barlow_twins, cross_correlation
from dynamics.objectives.registry import Loss, embedding_loss
from dynamics.support.precision import double_precision
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array


def exact_bilinear_descent(
    network: ReadoutNetwork,
    learning_rate: float,
    record_at: Int[np.ndarray, " records"],
    *,
    center: bool = False,
    objective: Loss | str = barlow_twins,
    keep_embeddings: bool = False,
) -> Trajectory:
    """Descend with the product of readout and linear features.

    Parameters
    ----------
    network : ReadoutNetwork
        The network at its small start. Derivatives of the features are in the precision of its parameters, everything
        else in float64.
    learning_rate : float
        η; step k is at effective time t = η k.
    record_at : array of int (T,)
        Steps to report, ascending from 0.
    center : bool
        Subtract the mean embedding over the 2n training views before the objective.
    objective : callable or str
        Loss of the embeddings (2n, d) of the training views, or its name in `dynamics.objectives.OBJECTIVES`.
    keep_embeddings : bool
        Whether the trajectory has the embeddings (T, 2n + b, d) at every record.

    Returns
    -------
    Trajectory
        Rung `bilinear_exact`, with `covariance`.

    Raises
    ------
    DivergenceError
        If the descent does not stay finite.
    """
    eta, u, views, loss = learning_rate, network.scale, network.views, embedding_loss(objective)
    fixed = network.fixed_part

    def centred(F: Array) -> Array:
        return F - F[:views].mean(axis=0) if center else F

    def record(F: Array) -> Array:
        F = F[:views]
        return jnp.concatenate([cross_correlation(F).ravel(), (F.T @ F / views).ravel(), loss(F)[None]])

    @jax.jit
    def before(h0: Array, moved: Array, W: Array) -> tuple[Array, Array, Array]:
        """The features h, the update of the readout and the cotangent u G Wᵀ of the features."""
        h = h0 + moved
        G = jax.grad(lambda F: loss(centred(F)[:views]))(u * h @ W + fixed)
        return centred(u * h @ W + fixed), W - eta * u * h.T @ G, u * G @ W.T

    with double_precision():
        h0, W = jnp.asarray(network.hidden), jnp.asarray(network.readout, jnp.float64)
        record_at = np.asarray(record_at)
        delta = jax.tree.map(jnp.zeros_like, network.params)
        moved, embeddings, due = jnp.zeros_like(h0), [], set(record_at.tolist())
        for step in range(int(record_at[-1]) + 1):
            F, W_next, cotangent = before(h0, moved, W)
            if step in due:
                if not np.isfinite(F).all():
                    raise DivergenceError(
                        f"The bilinear model at learning rate {eta:.3g} diverged before step {step}; lower the rate."
                    )
                embeddings.append(F)
            if step == record_at[-1]:
                break
            gradient = network.pullback(cotangent)
            W, delta = W_next, jax.tree.map(lambda d, g: d - eta * g, delta, gradient)
            moved = network.tangent(delta).astype(h0.dtype)
        F = jnp.stack(embeddings)
        records = np.asarray(jax.jit(jax.vmap(record))(F))
    times = eta * record_at.astype(np.float64)
    run = trajectory_of_records(times, records, "bilinear_exact", {"learning_rate": eta})
    if not keep_embeddings:
        return run
    return replace(run, embeddings=np.asarray(F), embedding_times=times, test_points=F.shape[1] - views)
