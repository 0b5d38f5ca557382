"""Rung 2½, reduced: readout and features learn together, in a few directions each.

A network F = u h W starts with a small readout W (N, d). Its features h (2n, N) are linear in their own weights near
the start, and the product with the readout is kept. The features move in q orthonormal directions of weight space with
amplitudes s (q,), and the readout moves in r orthonormal directions B (N, r) of feature space, W = B ω + W⊥. With
p = u h B (2n, r), its tangents P_k = ∂p/∂s_k and the part R = u h₀ W⊥ of the function that stays,

    p = p₀ + Σ_k s_k P_k ,    F = p ω + R ,    G = ∇_F L ,
    dω/dt = −pᵀG ,            ds_k/dt = −⟨P_k, G ωᵀ⟩ .

This is the gradient flow of L over (s, ω) alone, so descent with rate η is one Euler step of it. Seen from p it reads
dp/dt = −Θ[G ωᵀ] with Θ = Σ_k P_k ⊗ P_k: with all directions of weight space Θ is the tangent kernel of the hidden
layers under the readout B (`dynamics.kernels.hidden_kernel`), and with none it is zero and the kernel u² h₀h₀ᵀ is
frozen.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from dynamics.flow.descent import descend
from dynamics.flow.integrate import integrate
from dynamics.modes.factor import semidefinite_factor
from dynamics.objectives.correlation import barlow_twins, cross_correlation
from dynamics.objectives.kinks import kinks_of, subgradient
from dynamics.objectives.registry import Loss, embedding_loss
from dynamics.support.compiled import compile_once
from dynamics.support.one_line import one_line
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array, Embedding


@dataclass(frozen=True, eq=False)
class BilinearModel:
    """What the reduced model needs of a network at its start.

    Parameters
    ----------
    features : array (2n + b, r)
        p₀ = u h₀ B on the training views, in the order x_1 … x_n, x'_1 … x'_n, and after them on b test points.
    tangents : array (q, 2n + b, r)
        P, the derivatives of p along the q directions of weight space.
    readout : array (r, d)
        ω₀, the readout in the directions B.
    remainder : array (2n + b, d)
        R, the part of the initial function that B does not hold.
    num_views : int
        2n, the number of training views.

    Raises
    ------
    ValueError
        If the shapes do not belong together.
    """

    features: Float[np.ndarray, "points rank"]
    tangents: Float[np.ndarray, "directions points rank"]
    readout: Float[np.ndarray, "rank dim"]
    remainder: Float[np.ndarray, "points dim"]
    num_views: int

    __repr__ = one_line

    def __post_init__(self) -> None:
        points, rank = self.features.shape
        fits = self.tangents.shape[1:] == (points, rank) and self.readout.shape[0] == rank
        if not fits or self.remainder.shape != (points, self.readout.shape[1]):
            raise ValueError(
                f"features {self.features.shape}, tangents {self.tangents.shape}, readout {self.readout.shape} and "
                f"remainder {self.remainder.shape} do not belong to one model."
            )
        if not 0 < self.num_views <= points or self.num_views % 2:
            raise ValueError(f"num_views is {self.num_views}; give the even number of training views among {points}.")

    @property
    def initial_embeddings(self) -> Embedding:
        """F (2n + b, d) before training, exactly that of the network."""
        return self.features @ self.readout + self.remainder

    def centred(self) -> "BilinearModel":
        """The model of embeddings whose mean over the training views is removed at every moment."""
        views = slice(self.num_views)
        return replace(
            self,
            features=self.features - self.features[views].mean(axis=0),
            tangents=self.tangents - self.tangents[:, views].mean(axis=1, keepdims=True),
            remainder=self.remainder - self.remainder[views].mean(axis=0),
        )

    def scaled(self, multiplier: float) -> "BilinearModel":
        """The model of the function multiplied by c, with a readout that starts c times smaller."""
        c = multiplier
        return replace(self, features=c * self.features, tangents=c * self.tangents, readout=self.readout / c)

    def embeddings(self, states: Float[np.ndarray, "times state"]) -> Float[np.ndarray, "times points dim"]:
        """F on the training views and test points for states (s, ω) of the model."""
        q = len(self.tangents)
        p = self.features + np.tensordot(states[:, :q], self.tangents, 1)
        return p @ states[:, q:].reshape(-1, *self.readout.shape) + self.remainder

    def with_embeddings(self, run: Trajectory, states: np.ndarray, times: np.ndarray) -> Trajectory:
        """A trajectory together with the embeddings of these states at these times."""
        test_points = len(self.features) - self.num_views
        return replace(run, embeddings=self.embeddings(states), embedding_times=times, test_points=test_points)


def model_of_kernel(
    features: Float[Array, "points rank"],
    theta: Float[Array, "points views rank rank"],
    readout: Float[Array, "rank dim"],
    remainder: Float[Array, "points dim"] | None = None,
) -> BilinearModel:
    """Make the reduced model of the hidden layers' tangent kernel, with all directions of weight space.

    Parameters
    ----------
    features : array (2n + b, r)
        p₀ = u h₀ B, training views first.
    theta : array (2n + b, 2n, r, r)
        Θ^B_jk(x, y) = u² Σ_ab B_aj B_bk ∂h_a(x) · ∂h_b(y) between all points and the training views.
    readout : array (r, d)
        ω₀.
    remainder : array (2n + b, d), optional
        u h₀ W⊥; zero by default.

    Raises
    ------
    KernelError
        If Θ^B among the training views is not symmetric and positive semidefinite to rounding.
    """
    p0, theta = np.asarray(features, np.float64), np.asarray(theta, np.float64)
    points, views, rank, _ = theta.shape
    flat = theta.transpose(0, 2, 1, 3).reshape(points * rank, views * rank)
    # with Θ = ΦΦᵀ and ΘV = Φ among the training views, ΘV at all points
    duals = semidefinite_factor(flat[: views * rank], name="theta").duals
    tangents = flat @ duals
    tangents = tangents.reshape(points, rank, -1).transpose(2, 0, 1)
    omega0 = np.asarray(readout, np.float64)
    R = np.zeros((points, omega0.shape[1])) if remainder is None else np.asarray(remainder, np.float64)
    return BilinearModel(p0, tangents, omega0, R, views)


def bilinear_flow(
    model: BilinearModel,
    times: Float[np.ndarray, " times"],
    *,
    objective: Loss | str = barlow_twins,
    embedding_times: Float[np.ndarray, " snapshots"] | None = None,
    tolerance: float = 1e-9,
) -> Trajectory:
    """Integrate the gradient flow of the reduced model in float64; O(q n r) a right-hand side.

    Parameters
    ----------
    model : BilinearModel
        Centred (`BilinearModel.centred`) if the embeddings are.
    times : array (T,)
        Effective times (learning rate × step) to report, ascending from 0.
    objective : callable or str
        Loss of the embeddings (2n, d) of the training views, or its name in `dynamics.objectives.OBJECTIVES`.
    embedding_times : array (S,), optional
        Effective times at which to keep the embeddings, (S, 2n + b, d), training views first.
    tolerance : float
        Relative error that the solver allows itself in one step.

    Returns
    -------
    Trajectory
        Rung `bilinear_flow`, with `covariance`.

    Raises
    ------
    DivergenceError
        If the solver cannot follow the flow to the last time.
    """
    velocity, save, kinks = _system(embedding_loss(objective))
    saved, states = integrate(
        velocity,
        _start(model),
        _ingredients(model),
        times,
        save,
        kinks=kinks,
        state_times=embedding_times,
        tolerance=tolerance,
    )
    run = trajectory_of_records(times, saved, "bilinear_flow", {"tolerance": tolerance})
    if embedding_times is None or states is None:
        return run
    embedding_times = np.asarray(embedding_times, np.float64)
    return model.with_embeddings(run, states, embedding_times)


def bilinear_descent(
    model: BilinearModel,
    learning_rate: float,
    record_at: Int[np.ndarray, " records"],
    *,
    objective: Loss | str = barlow_twins,
    keep_embeddings: bool = False,
) -> Trajectory:
    """Descend with the steps of the real run; O(q n r) a step.

    Parameters
    ----------
    model, objective
        As in `bilinear_flow`.
    learning_rate : float
        η; step k is at effective time t = η k.
    record_at : array of int (T,)
        Steps to report, ascending from 0.
    keep_embeddings : bool
        Whether the trajectory has the embeddings (T, 2n + b, d) at every record.

    Returns
    -------
    Trajectory
        Rung `bilinear`, with `covariance`.

    Raises
    ------
    DivergenceError
        If the descent does not stay finite: the learning rate is too large.
    """
    saved, states = descend_records(model, learning_rate, record_at, objective)
    times = learning_rate * np.asarray(record_at, np.float64)
    run = trajectory_of_records(times, saved, "bilinear", {"learning_rate": learning_rate})
    return model.with_embeddings(run, states, times) if keep_embeddings else run


def descend_records(
    model: BilinearModel, learning_rate: float, record_at: Int[np.ndarray, " records"], objective: Loss | str
) -> tuple[Float[np.ndarray, "records record"], Float[np.ndarray, "records state"]]:
    """The records (C, FᵀF/2n, L) and the states (s, ω) of `bilinear_descent`, each flattened to one row a record."""
    velocity, save, _ = _system(embedding_loss(objective))
    return descend(velocity, save, _start(model), _ingredients(model), learning_rate, record_at)


def _start(model: BilinearModel) -> np.ndarray:
    """y = (s, ω) before training; the features have not moved, and their weights count from their start."""
    return np.concatenate([np.zeros(len(model.tangents)), model.readout.ravel()])


def _ingredients(model: BilinearModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p₀, P as a matrix (q, 2n r) and R on the training views."""
    views = slice(model.num_views)
    p0, P = model.features[views], model.tangents[:, views]
    return p0, P.reshape(len(P), p0.size), model.remainder[views]


@compile_once(maxsize=32)
def _system(objective: Callable) -> tuple[Callable, Callable, Callable]:
    """d(s, ω)/dt, the record (C, FᵀF/2n, L) and the kinks of a loss; the solver passes on (p₀, P, R)."""
    gradient, kinks_of_loss = subgradient(objective), kinks_of(objective)

    def unpack(y: Array, ingredients: tuple) -> tuple[Array, Array]:
        p0, P, R = ingredients
        q = len(P)
        return p0 + (y[:q] @ P).reshape(p0.shape), y[q:].reshape(p0.shape[1], R.shape[1])

    def velocity(t: float | Array, y: Array, ingredients: tuple, shares: Array | None = None) -> Array:
        _, P, R = ingredients
        p, omega = unpack(y, ingredients)
        G = gradient(p @ omega + R, shares)
        return -jnp.concatenate([P @ (G @ omega.T).ravel(), (p.T @ G).ravel()])

    def save(t: float | Array, y: Array, ingredients: tuple) -> Array:
        p, omega = unpack(y, ingredients)
        F = p @ omega + ingredients[2]
        return jnp.concatenate([cross_correlation(F).ravel(), (F.T @ F / len(F)).ravel(), objective(F)[None]])

    def kinks(t: float | Array, y: Array, ingredients: tuple) -> Array:
        p, omega = unpack(y, ingredients)
        return kinks_of_loss(p @ omega + ingredients[2])

    return velocity, save, kinks


def trajectory_of_records(
    times: Float[np.ndarray, " times"], records: Float[np.ndarray, "times record"], rung: str, meta: dict
) -> Trajectory:
    """The trajectory of records (C, FᵀF/2n, L), each flattened to one row."""
    dim = math.isqrt(records.shape[1] // 2)
    C, moments = np.moveaxis(records[:, :-1].reshape(len(records), 2, dim, dim), 1, 0)
    return Trajectory(
        times=np.asarray(times, np.float64),
        eigenvalues=np.linalg.eigvalsh(C)[:, ::-1],
        loss=records[:, -1],
        covariance=np.linalg.eigvalsh(moments)[:, ::-1],
        rung=rung,
        meta=meta,
    )
