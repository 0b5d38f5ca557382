"""Training of a practical run: its spectrum recorded, stopped and resumed at will, gone back where it diverges."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from dynamics.recipe.config import Recipe
from dynamics.recipe.preparation import PreparedRecipe
from dynamics.training.checkpoints import Checkpoints
from dynamics.training.class_probes import class_accuracy, labelled_images
from dynamics.training.in_progress import InProgress
from dynamics.training.loop import run
from dynamics.training.optimisers import effective_times, rates_of_steps
from dynamics.training.recorder import SpectrumRecorder, recording_steps
from dynamics.training.stability import lowered, next_measurement
from dynamics.training.state import Metrics, TrainState
from dynamics.trajectories.outcome import Outcome
from dynamics.trajectories.trajectory import Trajectory

log = logging.getLogger(__name__)

TIMES_BACK = 3
"""How often a run that diverges at an automatic learning rate goes back and tries a lower one."""

STEPS_BACK = 20
"""A state so shortly before a divergence is not gone back to: the run has mostly left the stable course by then."""


def train(
    prepared: PreparedRecipe,
    checkpoints: Checkpoints | None = None,
    *,
    embed: Callable[[Any, Any], Mapping[str, jax.Array]] | None = None,
    description: str = "training",
    report_cost: Callable[[float], None] | None = None,
    report_resumed: Callable[[int], None] | None = None,
    report_records: Callable[[Trajectory], None] | None = None,
    report_end: Callable[[TrainState], None] | None = None,
) -> Trajectory:
    """Train and record the spectrum; marked partial if the training ends early.

    At an automatic learning rate a run that diverges goes back to a checkpoint before that, or to its start without
    one, and on from there at half the rate; it gives up when it diverges for the fourth time.

    Parameters
    ----------
    prepared : PreparedRecipe
        The run.
    checkpoints : Checkpoints, optional
        Where states are kept, the first of them before the first update; training goes on from the last.
    embed : callable, optional
        Function (params, model state) -> layers whose spectra are recorded, `embeddings` (2n, d) among them; by default
        `prepared.embed`, embeddings and features of the probe batch.
    description : str
        Name of the training beside its progress.
    report_cost : callable, optional
        Receives, after the first few updates, the seconds that all of them take.
    report_resumed : callable, optional
        Receives the step from which training goes on.
    report_records : callable, optional
        Receives every few seconds what has been recorded so far, marked as interrupted.
    report_end : callable, optional
        Receives the state with which the training ended.

    Raises
    ------
    DataError
        If the checkpoints are damaged or of another network.
    """
    recipe = prepared.recipe
    observer, in_progress = (
        _Observer.of(prepared, prepared.embed if embed is None else embed),
        InProgress(report_records),
    )
    state = prepared.state
    found = checkpoints.latest(state) if checkpoints is not None else None
    if found is not None:
        state, recorded = found
        observer.recorder.restore(recorded)
        if report_resumed is not None:
            report_resumed(int(state.step))
    else:
        _keep(checkpoints, state, observer.recorder)

    def so_far(outcome: Outcome) -> Trajectory:
        settings = {"learning_rate": recipe.learning_rate, "steps": recipe.steps}
        return observer.recorder.trajectory(settings, rung="recipe", outcome=outcome, objective=recipe.objective)

    def observe(state: TrainState, metrics: Metrics) -> None:
        observer(state, metrics)
        in_progress(lambda: so_far(Outcome.interrupted(int(state.step))))

    while True:
        ended, outcome = run(
            prepared.update,
            state,
            steps=recipe.steps,
            data=(prepared.images,),
            observe=observe,
            observe_at=observer.recorder.steps,
            checkpoints=checkpoints,
            recorder_state=observer.recorder.state,
            report_cost=report_cost,
            adjust=prepared.measure,
            adjust_due=next_measurement,
            status=observer.recorder.describe,
            description=description,
        )
        gone_back = None
        if outcome.kind == "diverged" and prepared.measure is not None:
            gone_back = _gone_back(prepared, ended, outcome, checkpoints, observer.recorder)
        if gone_back is None:
            break
        state = gone_back
    if report_end is not None:
        report_end(ended)
    return so_far(outcome)


@dataclass(frozen=True)
class _Observer:
    """What looks at a run at the steps that are recorded."""

    prepared: PreparedRecipe
    recorder: SpectrumRecorder
    times: dict[int, float]
    rates: np.ndarray
    probed: set[int]
    labelled: Any
    features: Callable[..., jax.Array]

    @staticmethod
    def of(prepared: PreparedRecipe, embed: Callable[[Any, Any], Mapping[str, jax.Array]]) -> "_Observer":
        """The observer of a run by its embeddings, which has seen nothing yet."""
        recipe = prepared.recipe
        steps = recording_steps(recipe.steps, recipe.records // 2)
        compiled = jax.jit(embed)
        return _Observer(
            prepared,
            SpectrumRecorder(lambda variables: compiled(*variables), steps, center=True),
            dict(zip(steps.tolist(), effective_times(prepared.schedule, steps), strict=True)),
            rates_of_steps(prepared.schedule, recipe.steps + 1),
            probe_steps(recipe, steps),
            labelled_images(recipe.dataset, recipe.data_dir, recipe.image_size) if recipe.probes else None,
            jax.jit(prepared.features),
        )

    def __call__(self, state: TrainState, metrics: Metrics) -> None:
        """Record a state that is due, its learning rate and, where they are due, the probes."""
        step = int(state.step)
        if not self.recorder.due(step):
            return
        variables = (state.params, state.model_state)
        time, rate = self.times[step], float(self.rates[step])
        if self.prepared.measure is not None:
            time, rate = state.opt_state.effective_time, rate * float(state.opt_state.rate)
        more = {"gradient_norm": metrics["gradient_norm"], "learning_rate": rate}
        if self.labelled is not None and step in self.probed:
            self.recorder.wait()  # scikit-learn sets the number of threads of BLAS for all that runs meanwhile
            more |= class_accuracy(partial(self.features, *variables), self.labelled)
        self.recorder.record(step, variables, loss=metrics["loss"], time=time, metrics=more)


def probe_steps(recipe: Recipe, steps: Int[np.ndarray, " records"]) -> set[int]:
    """Those of the recorded steps that are nearest to `recipe.probes` evenly spaced ones, the last among them."""
    wanted = np.linspace(recipe.steps, 0, recipe.probes, endpoint=recipe.probes > 1)
    return {int(steps[np.abs(steps - step).argmin()]) for step in wanted}


def _gone_back(
    prepared: PreparedRecipe,
    ended: TrainState,
    outcome: Outcome,
    checkpoints: Checkpoints | None,
    recorder: SpectrumRecorder,
) -> TrainState | None:
    """The state to go on from at half the rate, with what had been recorded by then; None after the last time."""
    times = int(ended.opt_state.lowered) + 1
    if times > TIMES_BACK:
        log.warning("The learning rate was halved %d times, and the training diverged again; it ends here.", TIMES_BACK)
        return None
    assert outcome.step is not None
    found = None if checkpoints is None else checkpoints.before(prepared.state, outcome.step - STEPS_BACK)
    state, recorded = found or (prepared.state, {})
    recorder.restore(recorded)
    state = lowered(state, times)
    _keep(checkpoints, state, recorder)
    log.warning(
        "The loss stopped being finite at step %d; the training goes back to step %d, at half the learning rate.",
        outcome.step,
        int(state.step),
    )
    return state


def _keep(checkpoints: Checkpoints | None, state: TrainState, recorder: SpectrumRecorder) -> None:
    """Begin to write a state; the loop reports what keeps it from being written."""
    if checkpoints is not None:
        checkpoints.save(state, recorder.state(), wait=False)
