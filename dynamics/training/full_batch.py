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

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Int

from dynamics.objectives.correlation import barlow_twins
from dynamics.objectives.registry import Loss, embedding_loss
from dynamics.support.compiled import compile_once
from dynamics.training.checkpoints import Checkpoints
from dynamics.training.in_progress import InProgress
from dynamics.training.loop import run
from dynamics.training.recorder import SpectrumRecorder, recording_steps
from dynamics.training.small_network import Apply, Params, SmallNetwork
from dynamics.training.state import Metrics, TrainState, Update, apply_gradient, initial_state
from dynamics.trajectories.outcome import Outcome
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Views
from dynamics.views import Pairs


def gradient_descent(
    network: SmallNetwork,
    pairs: Pairs | Views,
    *,
    learning_rate: float,
    steps: int,
    center: bool = False,
    objective: Loss | str = barlow_twins,
    record_at: Int[np.ndarray, " records"] | None = None,
    checkpoints: Checkpoints | None = None,
    report_cost: Callable[[float], None] | None = None,
    report_resumed: Callable[[int], None] | None = None,
    report_records: Callable[[Trajectory], None] | None = None,
    measure: Callable[[int, Params], Mapping[str, float]] | None = None,
) -> Trajectory:
    """Train on all pairs at every step, recording the spectrum.

    A run whose loss stops being finite, or that is ended by Ctrl-C or SIGTERM, returns what it has recorded so far;
    the `outcome` of the trajectory says how it ended.

    Parameters
    ----------
    network : SmallNetwork
        The function to train and its initial parameters.
    pairs : Pairs, or array
        n fixed pairs; or inputs from which the network makes the embeddings of both views itself, as with
        `FiberPairs.bind`.
    learning_rate : float
        Learning rate η; step k is at effective time t = η k.
    steps : int
        Number of updates.
    center : bool
        Whether to subtract the mean embedding over the 2n views before the objective.
    objective : callable or str
        Loss of the embeddings (2n, d) of the views in the order x_1 … x_n, x'_1 … x'_n, or the name of one of
        `dynamics.objectives.OBJECTIVES`.
    record_at : array of int, optional
        Steps at which to record, ascending; `recording_steps(steps)` by default.
    checkpoints : Checkpoints, optional
        Checkpoints of the training, which goes on from the last of them.
    report_cost : callable, optional
        Function that is called after the first few steps with the seconds that the whole run will take.
    report_resumed : callable, optional
        Function that is called with the step from which training goes on.
    report_records : callable, optional
        Function that is called every few seconds with what has been recorded so far, marked as interrupted.
    measure : callable, optional
        Function of step and parameters that is called at every record; the numbers that it returns by name are kept
        among the trajectory's metrics.

    Raises
    ------
    DataError
        If the checkpoints are damaged or belong to another network.
    """
    record_at = recording_steps(steps) if record_at is None else np.asarray(record_at)
    x = jnp.asarray(pairs.stacked if isinstance(pairs, Pairs) else pairs)
    data = (x, network.fixed_part(x))
    look, update = _compiled(network.apply, embedding_loss(objective), center, learning_rate)
    recorder = SpectrumRecorder(lambda F: F, record_at, learning_rate=learning_rate, center=False)
    state = initial_state(network.params, optax.sgd(learning_rate), jax.random.key(0))
    found = checkpoints.latest(state) if checkpoints is not None else None
    if found is not None:
        state, recorded = found
        recorder.restore(recorded)
        if report_resumed is not None:
            report_resumed(int(state.step))

    name = None if objective is barlow_twins else _name(objective)
    in_progress = InProgress(report_records)

    def so_far(outcome: Outcome) -> Trajectory:
        return recorder.trajectory({"learning_rate": learning_rate, "steps": steps}, outcome=outcome, objective=name)

    def observe(state: TrainState, _: Metrics) -> None:
        value, F = look(state.params, *data)
        step = int(state.step)
        recorder.record(step, F, loss=value, metrics=None if measure is None else measure(step, state.params))
        in_progress(lambda: so_far(Outcome.interrupted(step)))

    _, outcome = run(
        update,
        state,
        steps=steps,
        data=data,
        observe=observe,
        observe_at=record_at,
        checkpoints=checkpoints,
        recorder_state=recorder.state,
        report_cost=report_cost,
        status=recorder.describe,
    )
    return so_far(outcome)


@compile_once(maxsize=8)
def _compiled(apply: Apply, objective: Loss, center: bool, learning_rate: float) -> tuple[Callable, Update]:
    """What gives loss and embeddings of parameters, and the update; both take the views and `fixed_part` of them."""
    optimiser = optax.sgd(learning_rate)

    def loss(params: Params, x: jax.Array, fixed: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        F = apply(params, x) if fixed is None else apply(params, x) + fixed
        F = F - F.mean(axis=0) if center else F
        return objective(F), F

    def update(state: TrainState, x: jax.Array, fixed: jax.Array | None) -> tuple[TrainState, Metrics]:
        (value, _), gradient = jax.value_and_grad(loss, has_aux=True)(state.params, x, fixed)
        return apply_gradient(optimiser, state, gradient), {"loss": value}

    return jax.jit(loss), update


def _name(objective: Loss | str) -> str:
    if isinstance(objective, str):
        return objective
    function = objective.func if isinstance(objective, functools.partial) else objective
    return getattr(function, "__name__", type(function).__name__)
