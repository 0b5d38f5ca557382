"""Rung 3: the finite-width network under full-batch gradient descent on fixed pairs.

>>> import jax.numpy as jnp, numpy as np
>>> from dynamics.training import SmallNetwork, gradient_descent
>>> from dynamics.views import Pairs
>>> x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
>>> linear = SmallNetwork(apply=lambda W, x: x @ W, params=1e-3 * jnp.ones((4, 1)))
>>> trajectory = gradient_descent(linear, Pairs(x, x), learning_rate=0.02, steps=400)
>>> round(float(trajectory.eigenvalues[-1, 0]), 3)
1.0
"""

import time
from collections.abc import Callable

import jax
import numpy as np
import optax
from jaxtyping import Int

from dynamics.objectives.barlow_twins import barlow_twins, cross_correlation
from dynamics.progress import progress_bar
from dynamics.training.small_network import SmallNetwork
from dynamics.trajectory import Trajectory
from dynamics.typing import Embedding
from dynamics.views import Pairs

_EMBEDDING_BYTES = 64 * 2**20
_WARM_UP = 3  # steps after which everything is compiled


def recording_steps(steps: int, count: int = 200) -> Int[np.ndarray, " records"]:
    """Steps at which to look: `count` evenly spaced ones, and `count` evenly spaced on a logarithmic axis."""
    even = np.linspace(0, steps, min(count, steps) + 1)
    logarithmic = np.geomspace(1, max(steps, 1), min(count, steps))
    return np.unique(np.concatenate([even, logarithmic]).round().astype(int))


def gradient_descent(
    network: SmallNetwork,
    pairs: Pairs,
    *,
    learning_rate: float,
    steps: int,
    center: bool = False,
    objective: Callable[[Embedding], jax.Array] = barlow_twins,
    record_at: Int[np.ndarray, " records"] | None = None,
    report_cost: Callable[[float], None] | None = None,
) -> Trajectory:
    """Train on all pairs at every step, recording the spectrum.

    A run that stops being finite, or that the user interrupts, returns what it has, marked partial.

    Parameters
    ----------
    network : SmallNetwork
        The function to train and its initial parameters.
    pairs : Pairs
        n fixed pairs.
    learning_rate : float
        η; step k is at effective time t = η k.
    steps : int
        Number of updates.
    center : bool
        Subtract the mean embedding over the 2n views before the objective.
    objective : callable
        Loss of the embeddings (2n, d) of the views in the order x_1 … x_n, x'_1 … x'_n.
    record_at : array of int, optional
        Steps at which to record, ascending; `recording_steps(steps)` by default.
    report_cost : callable, optional
        Receives, after the first few steps, the seconds that the whole run will take.
    """
    record_at = recording_steps(steps) if record_at is None else np.asarray(record_at)
    embed = network.on(jax.numpy.asarray(pairs.stacked))
    optimiser = optax.sgd(learning_rate)

    def loss(params):
        F = embed(params)
        F = F - F.mean(axis=0) if center else F
        return objective(F), F

    def step(params):
        gradient, _ = jax.grad(loss, has_aux=True)(params)
        updates, _ = optimiser.update(gradient, optimiser.init(params))
        return optax.apply_updates(params, updates)

    recorder = _Recorder(learning_rate, record_at)
    advance = _advance(step)
    observe = jax.jit(loss)
    params, at, partial = network.params, 0, None
    with progress_bar("training", total=steps) as done:
        try:
            for target in record_at:
                began = time.perf_counter()
                params = advance(params, int(target) - at)
                value, F = observe(params)
                if not np.isfinite(value):
                    partial = f"the loss stopped being finite before step {int(target)}"
                    break
                recorder.record(value, F)
                if report_cost is not None and at <= _WARM_UP < target:
                    report_cost((time.perf_counter() - began) / (int(target) - at) * steps)
                at = int(target)
                done(at)
        except KeyboardInterrupt:
            partial = f"interrupted after step {at}"
    return recorder.trajectory({"rung": "network", "learning_rate": learning_rate, "steps": steps, "partial": partial})


def _advance(step: Callable) -> Callable:
    """(params, k) -> params after k steps, in whichever form the backend runs fast.

    XLA's CPU convolutions are tens of times slower inside a compiled loop; on an accelerator the loop saves dispatches.
    """
    if jax.default_backend() == "cpu":
        compiled = jax.jit(step)

        def repeat(params, k):
            for _ in range(k):
                params = compiled(params)
            return params

        return repeat
    return jax.jit(lambda params, k: jax.lax.fori_loop(0, k, lambda _, params: step(params), params))


class _Recorder:
    """Spectra at every recorded step, embeddings at as many as fit into a fixed amount of memory."""

    def __init__(self, learning_rate: float, record_at: np.ndarray):
        self.learning_rate, self.record_at = learning_rate, record_at
        self.losses: list[float] = []
        self.eigenvalues: list[np.ndarray] = []
        self.covariance: list[np.ndarray] = []
        self.embeddings: list[np.ndarray] = []
        self.embedding_times: list[float] = []

    def record(self, value: jax.Array, F: jax.Array) -> None:
        index = len(self.losses)
        F = np.asarray(F)
        stride = -(-F.nbytes * len(self.record_at) // _EMBEDDING_BYTES)
        if index % stride == 0:
            self.embeddings.append(F)
            self.embedding_times.append(self.learning_rate * self.record_at[index])
        F = F.astype(np.float64)
        self.losses.append(float(value))
        self.eigenvalues.append(np.linalg.eigvalsh(cross_correlation(F))[::-1])
        self.covariance.append(np.linalg.eigvalsh(F.T @ F / F.shape[0])[::-1])

    def trajectory(self, meta: dict) -> Trajectory:
        return Trajectory(
            times=self.learning_rate * self.record_at[: len(self.losses)].astype(np.float64),
            eigenvalues=np.array(self.eigenvalues),
            loss=np.array(self.losses),
            covariance=np.array(self.covariance),
            embeddings=np.array(self.embeddings),
            embedding_times=np.array(self.embedding_times),
            meta=meta,
        )
