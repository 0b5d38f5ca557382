"""Rungs 0 to 3 of an experiment: its forecasts, the run itself, and their comparison."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from dynamics.errors import CapacityError, DivergenceError
from dynamics.experiment.bilinear import bilinear_trajectory, relinearised_trajectory
from dynamics.experiment.driving_kernel import infinite_width, infinite_width_kernel
from dynamics.experiment.fingerprint import fingerprint
from dynamics.experiment.labels import LabelReader
from dynamics.experiment.preparation import Experiment, kernel_budget
from dynamics.flow.closed_form import closed_form
from dynamics.flow.descent import kernel_descent, matrix_kernel_descent
from dynamics.flow.matrix_ode import matrix_kernel_flow
from dynamics.flow.ode import kernel_flow
from dynamics.kernels import estimate_cost
from dynamics.support.progress import note
from dynamics.training import Checkpoints, gradient_descent
from dynamics.trajectories import Comparison, Trajectory, compare
from dynamics.trajectories.ladder import rung


def forecast_trajectories(experiment: Experiment, *, complete: bool = True) -> dict[str, Trajectory]:
    """Rungs 0 to 2¾.

    Those with a frozen kernel go on until it has learned all dimensions, which may be long after the run has ended
    (`Experiment.frozen_schedule`). They are `closed_form`, `ode`, `matrix_ode` where all layers learn, and
    `linearised`, which is descent with the best of these kernels. Where the kernel will move
    (`Experiment.kernel_moves`), `bilinear` and `relinearised` follow readout and features together; where there is no
    model of them (`Experiment.moving`), a note says so. Where all weights of an MLP start small, `saddle_to_saddle` is
    the one that predicts it. Where pairs are held out, `ode` and `bilinear` have the scores
    of probes among their metrics (`dynamics.experiment.labels`).

    Parameters
    ----------
    experiment : Experiment
        The prepared experiment.
    complete : bool
        Whether all of them are wanted. If not, `relinearised` is left out, which costs more than the others together,
        and where the kernel moves `ode` is, too: of its frozen kernel `linearised` says the same.
    """
    modes, matrix, F0 = experiment.kernel.modes, experiment.kernel.matrix, experiment.initial_embeddings
    schedule = experiment.frozen_schedule
    times, steps = schedule.times, (schedule.learning_rate, schedule.record_at)
    labels = None if experiment.held_out is None else LabelReader(experiment)
    trajectories = {"closed_form": closed_form(modes, F0, times)}
    if labels is not None:
        trajectories["ode"] = labels.frozen()
    elif complete or experiment.moving is None:
        trajectories["ode"] = kernel_flow(modes, F0, times)
    if matrix is None:
        trajectories["linearised"] = kernel_descent(modes, F0, *steps)
    else:
        trajectories["matrix_ode"] = matrix_kernel_flow(matrix, F0, times)
        trajectories["linearised"] = matrix_kernel_descent(matrix, F0, *steps)
    if experiment.saddles is not None:
        trajectories["saddle_to_saddle"] = experiment.saddles.trajectory
    return trajectories | moving_kernel_trajectories(experiment, labels, complete=complete)


def moving_kernel_trajectories(
    experiment: Experiment, labels: LabelReader | None = None, *, complete: bool = True
) -> dict[str, Trajectory]:
    """`bilinear` and `relinearised` with the steps of the run, where there is a model of a kernel that moves.

    A forecast that does not fit into the memory or does not stay finite is left out, and a note says so.
    """
    moving = experiment.moving
    if moving is None:
        return {}
    reduction = moving.reduction
    models = {
        "bilinear": lambda: (
            bilinear_trajectory(experiment, reduction) if labels is None else labels.bilinear(reduction)
        ),
    }
    if complete:
        models["relinearised"] = lambda: relinearised_trajectory(experiment, reduction, moving.network)
    forecasts = {}
    for name, forecast in models.items():
        try:
            forecasts[name] = forecast()
        except (CapacityError, DivergenceError) as error:
            note(f"The {rung(name).label} forecast is left out: {error}")
    return forecasts


def infinite_width_trajectory(experiment: Experiment) -> Trajectory:
    """Rung 1 with the kernel of the infinitely wide network, from the same initial function."""
    config = experiment.config
    kernel = infinite_width_kernel(
        experiment.random.architecture,
        experiment.pairs.stacked,
        config.init,
        dim=config.dim,
        center=config.center,
        budget=kernel_budget(config),
    )
    modes = kernel.scaled(experiment.multiplier**2).modes
    return kernel_flow(modes, experiment.initial_embeddings, experiment.frozen_schedule.times)


def infinite_width_cost(experiment: Experiment) -> float:
    """Seconds that the kernel of `infinite_width_trajectory` takes, from a short probe."""
    kernel, _ = infinite_width(experiment.random.architecture, experiment.config.init)
    return estimate_cost(kernel, experiment.pairs.stacked, dtype=experiment.config.kernel_dtype)


def train(
    experiment: Experiment,
    checkpoints: Checkpoints | None = None,
    *,
    report_cost: Callable[[float], None] | None = None,
    report_resumed: Callable[[int], None] | None = None,
    report_records: Callable[[Trajectory], None] | None = None,
) -> Trajectory:
    """Rung 3: the finite network under full-batch gradient descent; its `outcome` says whether it ended early.

    Parameters
    ----------
    experiment : Experiment
        The prepared experiment.
    checkpoints : Checkpoints, optional
        Checkpoints of the training, which goes on from the last of them.
    report_cost : callable, optional
        Function that is called after the first few updates with the seconds that all of them will take.
    report_resumed : callable, optional
        Function that is called with the step from which training goes on.
    report_records : callable, optional
        Function that is called every few seconds with what has been recorded so far, marked as interrupted.

    Raises
    ------
    ConfigError
        If the forecast needs more steps than a run can make.
    """
    experiment.schedule.require_feasible()
    network, views = experiment.fiber_training or (experiment.network, experiment.pairs)
    of = {"fingerprint": fingerprint(experiment)}
    trajectory = gradient_descent(
        network,
        views,
        learning_rate=experiment.schedule.learning_rate,
        steps=experiment.schedule.steps,
        center=experiment.config.center,
        checkpoints=checkpoints,
        report_cost=report_cost,
        report_resumed=report_resumed,
        report_records=None if report_records is None else lambda so_far: report_records(replace(so_far, **of)),
        measure=None if experiment.held_out is None else LabelReader(experiment).measure(),
    )
    return replace(trajectory, **of)


def compare_run(experiment: Experiment, measured: Trajectory, forecasts: Mapping[str, Trajectory]) -> Comparison:
    """The measured run against its forecasts."""
    return compare(measured, forecasts, experiment.kernel.modes, center=experiment.config.center)
