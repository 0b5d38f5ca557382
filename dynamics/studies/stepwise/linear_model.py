"""The linear model f(x) = W x, trained in its weights by full-batch gradient descent: the experiment of Fig. 1A,B.

Written in float64 without kernels, modes or losses of the package, so that it tests them: for ‖C − I‖_F² with
C = WΓWᵀ and Γ = (1/2n) Σ (x xᵀ' + x' xᵀ), a step is W ← W + 4η (I − C) W Γ (Simon et al. 2023, section 4).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from dynamics.support.precision import double_precision
from dynamics.support.progress import progress_bar
from dynamics.training import recording_steps
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import Pairs, load_pairs

Weights = Float[np.ndarray, "dim features"]
Features = Float[np.ndarray, "views features"]


# Discrete steps of size η advance mode j late by a fraction 2ηγ_j: 1.5 % of the first step time at 0.03/(4γ_1).
LR_FRACTION = 0.03


def flattened(pairs: Pairs) -> Features:
    """Views X̃ (2n, m) as vectors, float64."""
    stacked = pairs.stacked
    return stacked.reshape(len(stacked), -1).astype(np.float64)


def pair_correlation(views: Features) -> Float[np.ndarray, "features features"]:
    """Γ = (1/2n) Σ (x xᵀ' + x' xᵀ) of views (2n, m); C, if the views are embeddings."""
    x, x_prime = np.split(views, 2)
    XtX = x.T @ x_prime
    return (XtX + XtX.T) / len(views)


def descend(
    views: Features, weights: Weights, learning_rate: float, record_at: Int[np.ndarray, " records"]
) -> Float[np.ndarray, "records dim features"]:
    """Gradient descent on W; its values at the steps `record_at`, ascending.

    Parameters
    ----------
    views : array (2n, m)
        Views X̃ in the order x_1 … x_n, x'_1 … x'_n.
    weights : array (d, m)
        Weights W before training.
    learning_rate : float
        Learning rate η; step k is at effective time t = η k.
    record_at : array of int
        Steps at which to record.
    """
    kept = []
    with double_precision(), progress_bar("linear model", total=int(record_at[-1])) as done:
        Gamma, W, step = jnp.asarray(pair_correlation(views)), jnp.asarray(weights), 0
        for target in record_at:
            W = _advance(Gamma, W, jnp.asarray(learning_rate), jnp.asarray(int(target) - step))
            step = int(target)
            kept.append(np.asarray(W))
            done(step)
    return np.array(kept)


@jax.jit
def _advance(Gamma: jax.Array, W: jax.Array, learning_rate: jax.Array, steps: jax.Array) -> jax.Array:
    # XLA multiplies this flat matrix some ten times faster than NumPy's BLAS

    def step(_: jax.Array, W: jax.Array) -> jax.Array:
        WGamma = W @ Gamma
        return W + 4 * learning_rate * (jnp.eye(len(W)) - WGamma @ W.T) @ WGamma

    return jax.lax.fori_loop(0, steps, step, W)


def descend_continuously(
    views: Features, weights: Weights, learning_rate: float, record_at: Int[np.ndarray, " records"]
) -> Float[np.ndarray, "records dim features"]:
    """`descend` extrapolated to zero learning rate: the error of gradient flow is then O(η²) instead of O(η)."""
    coarse = descend(views, weights, learning_rate, record_at)
    fine = descend(views, weights, learning_rate / 2, 2 * record_at)
    return 2 * fine - coarse


def trajectory(
    views: Features,
    weights: Float[np.ndarray, "records dim features"],
    times: Float[np.ndarray, " records"],
    rung: str = "linear_model",
) -> Trajectory:
    """Spectrum and loss along recorded weights."""
    C = np.array([pair_correlation(views @ W.T) for W in weights])
    return Trajectory(
        times=times,
        eigenvalues=np.linalg.eigvalsh(C)[:, ::-1],
        loss=np.square(C - np.eye(C.shape[1])).sum(axis=(1, 2)),
        rung=rung,
    )


def random_weights(dim: int, features: int, scale: float, rng: np.random.Generator) -> Weights:
    """W with entries N(0, α²/m), so that outputs start at the scale α of standardised inputs."""
    return scale * rng.normal(size=(dim, features)) / np.sqrt(features)


def digits(num_pairs: int, seed: int) -> Features:
    """Pairs of digits as vectors (2n, 64)."""
    return flattened(load_pairs("digits", num_pairs=num_pairs, seed=seed))


def top_eigenpairs(views: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """γ (count,) and Q (m, count) of Γ, in weight space."""
    gamma, Q = np.linalg.eigh(pair_correlation(views))
    return gamma[::-1][:count], Q[:, ::-1][:, :count]


def schedule(
    gamma: np.ndarray, initial: np.ndarray, *, lr_fraction: float = LR_FRACTION, beyond: float = 1.2
) -> tuple[float, np.ndarray]:
    """Learning rate as a fraction of the stability limit 1/(4γ_1), and steps to record until all modes are learned."""
    rate = lr_fraction / (4 * gamma[0])
    end = beyond * (np.log(1 / initial) / (8 * gamma)).max()
    return float(rate), recording_steps(int(np.ceil(end / rate)))
