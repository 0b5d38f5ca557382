"""From saddle to saddle: a network all of whose weights start small, at a cost that hardly depends on how small.

A network of L layers without biases is homogeneous: if all weights are multiplied by α, its function is multiplied by
α^L. The force of the Barlow Twins loss on small embeddings is linear in them, −∇L = 2BF (`dynamics.objectives.growth`).
So the weights follow at first the gradient of U(θ) = tr F(θ)ᵀBF(θ), which is homogeneous of degree 2L, and

    θ(t; αθ₀) = α θ(α^{2L−2} t; θ₀) .

Growth is exponential for L = 1 and blows up in finite time for L ≥ 2: the first dimension takes a time ∝ α^{2−2L}. It
then ends where its eigenvalue of C is 1 and no force acts on it. That is a saddle, since all other directions of the
outputs are still small; they leave it by the same law, with what has been learned left out.

These are the alternating flows of Kunin et al. (2025): dormant parts grow until one of them has order one, then what is
active minimises the cost. There the force at a saddle is not zero, so that each unit grows alone, by its own utility.
Here it is linear in the sum of what all dormant units do, so no unit can be followed alone, and what is dormant is a
direction of the outputs instead: with P the learned ones and ⊥ the others,

    dθ/dt = −Π ∇L ,        C_PP = I ,  C_P⊥ = 0 .

Descent restores these entries of C within times of order one, and everything else takes times ∝ α^{2−2L}. Π takes the
gradients of these entries out of the motion, so the solver's steps are as long as what is slow allows. An event is that
another eigenvalue of C reaches `LEARNED`; from then on it is held at 1. Beside what is learned, float64 resolves what
is dormant while α^L is above about 1e-9.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from dynamics.errors import DataError, DivergenceError
from dynamics.objectives.correlation import cross_correlation
from dynamics.support.compiled import compile_once
from dynamics.support.one_line import one_line
from dynamics.support.precision import double_precision
from dynamics.support.progress import progress_bar
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array, Embedding

LEARNED = 0.99
"""Eigenvalue of C from which a dimension is held at 1."""

MAX_STEPS = 20_000
"""Largest number of steps of the solver."""

# The pair of orders 3 and 2 of Bogacki & Shampine (1989); the last stage is at the step's end.
_STAGES = np.array([[0, 0, 0, 0], [1 / 2, 0, 0, 0], [0, 3 / 4, 0, 0], [2 / 9, 1 / 3, 4 / 9, 0]])
_ERROR = np.array([-5 / 72, 1 / 12, 1 / 9, -1 / 8])

_SECONDS = 3.0  # of work without a word
_PATIENCE = 1e3  # times the time of the last event, after which no further one is waited for


@dataclass(frozen=True, eq=False)
class SaddlePath:
    """The path of a network from saddle to saddle.

    Parameters
    ----------
    trajectory : Trajectory
        Rung `saddle_to_saddle`, recorded at every step of the solver, with `covariance` and all embeddings.
    events : array (k,)
        Effective times at which a dimension was learned, and held from then on.
    stability_limit : float
        Largest learning rate at which descent is stable at all saddles of the path: 2 over the largest curvature.
        Infinite without an event.
    """

    trajectory: Trajectory
    events: Float[np.ndarray, " events"]
    stability_limit: float

    __repr__ = one_line


def saddle_to_saddle_flow(
    embed: Callable[[Any], Embedding],
    weights: Any,
    *,
    center: bool = False,
    until: float | None = None,
    tolerance: float = 3e-4,
) -> SaddlePath:
    """Follow a network under the Barlow Twins loss from event to event, in float64.

    Parameters
    ----------
    embed : callable
        Weights -> embeddings (2n, d) of the training views, x_1 … x_n, x'_1 … x'_n.
    weights : pytree of arrays
        All weights at their small start.
    center : bool
        Subtract the mean embedding over the 2n views before the objective.
    until : float, optional
        Effective time at which to stop. By default the path ends when all dimensions are learned, or when none is
        within a thousand times the time of the last one.
    tolerance : float
        Error of a weight in one step, relative to its size or to a tenth of the largest weight at the start.

    Returns
    -------
    SaddlePath

    Raises
    ------
    DataError
        If the start is not finite, or does not move.
    DivergenceError
        If the path needs more than `MAX_STEPS` steps.
    """
    with double_precision():
        weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), weights)
        leaves, treedef = jax.tree.flatten(weights)
        system = _system(embed, center, (treedef, tuple(leaf.shape for leaf in leaves)))
        theta = ravel_pytree(weights)[0]
        errors = tolerance * 0.1 * jnp.abs(theta).max(), tolerance
        dim = jax.eval_shape(embed, weights).shape[1]
        held = np.eye(dim), np.zeros(dim * (dim + 1) // 2)
        F, force = system.look(theta, *held)
        size, speed = float(jnp.linalg.norm(theta)), float(jnp.linalg.norm(force))
        if not np.isfinite(size + speed) or speed == 0:
            raise DataError("The weights at the start are not finite, or no force acts on them; give others.")
        path = _Path(np.asarray(F), held)
        _walk(system, path, theta, errors, size / speed, np.inf if until is None else until)
    return path.result(tolerance)


@dataclass(frozen=True, eq=False)
class _System:
    """The compiled parts.

    They are the embeddings and the force at the start, one step of the solver, and the return to what is held with the
    curvature there.
    """

    look: Callable
    step: Callable
    arrive: Callable


@dataclass(eq=False)
class _Path:
    """What was recorded so far, and which directions of the outputs are held: a basis Q (d, d) and the entries of C."""

    start: Embedding
    held: tuple[np.ndarray, np.ndarray]
    times: list[float] = field(init=False)
    embeddings: list[Embedding] = field(init=False)
    events: list[float] = field(default_factory=list)
    stability_limit: float = np.inf

    def __post_init__(self) -> None:
        self.times, self.embeddings = [0.0], [self.start]

    def record(self, t: float, F: Embedding) -> bool:
        """Keep a step; whether it ended in an event, after which more directions are held."""
        self.times.append(t)
        self.embeddings.append(F)
        values, Q = np.linalg.eigh(cross_correlation(F))
        count, dim = int((values > LEARNED).sum()), len(values)
        if count <= len(self.events):
            return False
        self.events += [t] * (count - len(self.events))
        rows = np.triu_indices(dim)[0]
        self.held = Q[:, ::-1], (rows < count).astype(float)
        return True

    def result(self, tolerance: float) -> SaddlePath:
        F = np.array(self.embeddings)
        C = np.array([cross_correlation(each) for each in F])
        times, identity = np.array(self.times), np.eye(F.shape[2])
        trajectory = Trajectory(
            times=times,
            eigenvalues=np.linalg.eigvalsh(C)[:, ::-1],
            loss=((identity - C) ** 2).sum(axis=(1, 2)),
            covariance=np.linalg.eigvalsh(np.einsum("tni,tnj->tij", F, F) / F.shape[1])[:, ::-1],
            embeddings=F,
            embedding_times=times,
            rung="saddle_to_saddle",
            meta={"tolerance": tolerance, "solver_steps": len(times) - 1},
        )
        return SaddlePath(trajectory, np.array(self.events), self.stability_limit)


def _walk(system: _System, path: _Path, theta: Array, errors: tuple[Array, float], scale: float, until: float) -> None:
    """Step from event to event; the size of a step follows its error."""
    dim, t, h = path.start.shape[1], 0.0, 1e-3 * scale
    with progress_bar("saddles", dim, after=_SECONDS) as tell:
        for _ in range(MAX_STEPS):
            if len(path.events) == dim or t >= min(until, _PATIENCE * max([scale, *path.events])):
                return
            h = min(h, until - t)
            reached, error, F = system.step(theta, *path.held, h, errors)
            error = float(error)
            if not error <= 1:  # or not a number
                h *= max(0.2, 0.9 * error ** (-1 / 3)) if np.isfinite(error) else 0.2
                if t + h == t:
                    break
                continue
            theta, t = reached, t + h
            h *= min(3.0, 0.9 * max(error, 1e-6) ** (-1 / 3))
            if path.record(t, np.asarray(F)):
                tell(len(path.events))
                theta, curvature = system.arrive(theta, *path.held)
                path.stability_limit = min(path.stability_limit, 2 / float(curvature))
                h *= 0.1  # what was learned is held now, and the rest has another pace
    raise DivergenceError(
        f"The path from saddle to saddle could not be followed beyond t = {t:.3g} within {MAX_STEPS:,} steps of the "
        "solver; start from larger weights, which float64 resolves better beside what is learned, or end earlier."
    )


@compile_once(maxsize=8)
def _system(embed: Callable[[Any], Embedding], center: bool, structure: tuple) -> _System:
    """Compile the flow of the weights θ (P,) of a function; the structure is that of its pytree of weights."""
    treedef, shapes = structure
    unravel = ravel_pytree(jax.tree.unflatten(treedef, [jnp.zeros(shape) for shape in shapes]))[1]

    def embedded(theta: Array) -> Array:
        F = embed(unravel(theta))
        return F - F.mean(axis=0) if center else F

    def entries(theta: Array, Q: Array) -> Array:
        """The entries of QᵀCQ on and above the diagonal (d (d + 1)/2,)."""
        C = Q.T @ cross_correlation(embedded(theta)) @ Q
        return C[jnp.triu_indices(len(Q))]

    def loss(theta: Array, Q: Array, held: Array) -> Array:
        """‖I − C‖² of the entries of C that are not held."""
        rows, columns = jnp.triu_indices(len(Q))
        weight = jnp.where(rows == columns, 1.0, 2.0) * (1 - held)
        return (weight * jnp.square((rows == columns) - entries(theta, Q))).sum()

    def look(theta: Array, Q: Array, held: Array) -> tuple[Array, Array]:
        return embedded(theta), -jax.grad(loss)(theta, Q, held)

    def normals(theta: Array, Q: Array, held: Array) -> tuple[Array, Array]:
        """The gradients A of the entries that are held, zero for the others, and AAᵀ with 1 on their diagonal."""
        size = len(held), len(theta)
        gradients = jax.lax.cond(held.any(), lambda: jax.jacrev(entries)(theta, Q), lambda: jnp.zeros(size))
        A = held[:, None] * gradients
        gram = A @ A.T
        return A, gram + jnp.diag(jnp.where(held > 0, 1e-13 * jnp.trace(gram), 1.0))

    def returned(theta: Array, Q: Array, held: Array, normal: tuple[Array, Array], times: int) -> Array:
        """Move along the normals to where the entries that are held are those of the identity."""
        aim, (A, gram) = jnp.eye(len(Q))[jnp.triu_indices(len(Q))], normal

        def correct(_: int | Array, theta: Array) -> Array:
            return theta + A.T @ jnp.linalg.solve(gram, held * (aim - entries(theta, Q)))

        return jax.lax.fori_loop(0, times, correct, theta)

    def step(theta: Array, Q: Array, held: Array, h: float | Array, errors: tuple) -> tuple[Array, Array, Array]:
        """One step of a Runge-Kutta pair: the weights, the error against the tolerance, and the embeddings.

        The normals are those at the start of the step, since they cost as much as d² backward passes.
        """
        A, gram = normal = normals(theta, Q, held)

        def stage(i: int | Array, slopes: Array) -> Array:
            force = -jax.grad(loss)(theta + h * jnp.asarray(_STAGES)[i] @ slopes, Q, held)
            return slopes.at[i].set(force - A.T @ jnp.linalg.solve(gram, A @ force))

        slopes = jax.lax.fori_loop(0, len(_STAGES), stage, jnp.zeros((len(_STAGES), len(theta))))
        reached = returned(theta + h * _STAGES[-1] @ slopes, Q, held, normal, 3)
        smallest, tolerance = errors
        share = h * _ERROR @ slopes / (smallest + tolerance * jnp.abs(reached))
        return reached, jnp.sqrt(jnp.square(share).mean()), embedded(reached)

    def arrive(theta: Array, Q: Array, held: Array) -> tuple[Array, Array]:
        """Return to what is held, and the largest curvature of ‖I − C‖² there, 2 λ_max(Σ ∇C_ij ∇C_ijᵀ)."""
        A, gram = normals(theta, Q, held)
        theta = returned(theta, Q, held, (A, gram), 6)
        rows, columns = jnp.triu_indices(len(Q))
        both = jnp.where(rows == columns, 1.0, 2.0**0.5)  # C_ij and C_ji both count
        return theta, 2 * jnp.linalg.eigvalsh(both[:, None] * (A @ A.T) * both)[-1]

    return _System(jax.jit(look), jax.jit(step), jax.jit(arrive))
