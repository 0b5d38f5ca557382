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

from dynamics.objectives.correlation import barlow_twins
from dynamics.support.progress import progress_bar
from dynamics.training.recorder import SpectrumRecorder, recording_steps
from dynamics.training.small_network import SmallNetwork
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Embedding, Views
from dynamics.views import Pairs

_WARM_UP = 3  # steps after which everything is compiled


def gradient_descent(
    network: SmallNetwork,
    pairs: Pairs | Views,
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
    pairs : Pairs, or array
        n fixed pairs; or inputs of any number from which the network makes the embeddings of both halves itself, as
        `FiberPairs.bind` does.
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
    embed = network.on(jax.numpy.asarray(pairs.stacked if isinstance(pairs, Pairs) else pairs))
    optimiser = optax.sgd(learning_rate)

    def loss(params):
        F = embed(params)
        F = F - F.mean(axis=0) if center else F
        return objective(F), F

    def step(params):
        gradient, _ = jax.grad(loss, has_aux=True)(params)
        updates, _ = optimiser.update(gradient, optimiser.init(params))
        return optax.apply_updates(params, updates)

    recorder = SpectrumRecorder(lambda F: F, record_at, learning_rate=learning_rate, center=False)
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
                recorder.record(int(target), F, loss=value)
                if report_cost is not None and at <= _WARM_UP < target:
                    report_cost((time.perf_counter() - began) / (int(target) - at) * steps)
                at = int(target)
                done(at)
        except KeyboardInterrupt:
            partial = f"interrupted after step {at}"
    return recorder.trajectory({"learning_rate": learning_rate, "steps": steps, "partial": partial})


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
