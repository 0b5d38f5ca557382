"""Another objective than the theory's on the pairs, the kernel and the start of an experiment.

>>> from dynamics.experiment.config import Config
>>> from dynamics.experiment.preparation import prepare
>>> experiment = prepare(Config(num_pairs=8, dim=2, network="mlp", width=16, depth=1))
>>> trajectory = forecast_objective("spectral-contrastive", experiment)
>>> trajectory.objective, trajectory.dim
('spectral-contrastive', 2)
"""

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError, DivergenceError
from dynamics.experiment.preparation import Experiment
from dynamics.flow.learned_first import LearnedFirst, learned_first
from dynamics.flow.matrix_ode import matrix_kernel_flow
from dynamics.flow.objective_flow import objective_flow
from dynamics.flow.teacher import teacher_flow
from dynamics.objectives.escape import escape_law
from dynamics.objectives.registry import flow_loss, get_objective
from dynamics.support.precision import double_precision
from dynamics.support.progress import note
from dynamics.trajectories.trajectory import Trajectory

RECORDS = 300
TEACHER_STEPS = 250
"""Age of a moving average in steps, 1/(1 − 0.996) as in the released code of BYOL, DINO and I-JEPA."""

_BEYOND = 1.5  # how far a forecast goes on after the last mode is due
_LONGER, _LONGER_THAN_RATES, _FACTOR = 12, 3, 4.0  # how often a flow that still moves is followed for longer
_FACTOR_OF_SHRINKING = 1.5  # one that shrinks ends in finite time, and is stiff before it does
_STILL, _STILL_ACROSS_JUMPS, _SHRUNK = 0.01, 0.03, 0.1
_STEPS_ACROSS_JUMPS = {"tolerance": 1e-2, "smallest_step": 1e-3}
"""How a solver steps where a gradient jumps at places that it does not know; courses keep about two digits."""


def first_of_experiment(name: str, experiment: Experiment) -> LearnedFirst | None:
    """What the objective learns first with the experiment's kernel, or None where no such rates exist."""
    get_objective(name)
    try:
        return learned_first(name, _gram(experiment), dim=experiment.config.dim)
    except ConfigError:
        return None


def forecast_objective(name: str, experiment: Experiment) -> Trajectory:
    """Kernel flow of an objective from the start of an experiment, until its modes are learned or nothing moves.

    An objective with a predictor gets a linear one that starts as the identity, and one with a moving target a teacher
    that is `TEACHER_STEPS` steps of the experiment old. The spectra of an objective that sees directions alone are
    those of the normalised embeddings, as in a training.

    Raises
    ------
    ConfigError
        If there is no such objective.
    DivergenceError
        If the solver cannot follow the flow.
    """
    record = get_objective(name)
    first, shortest = first_of_experiment(name, experiment), _first_time(name, experiment)
    end, longer = shortest, _LONGER
    if first is not None and first.about == "zero":
        rates = first.modes.rates[: experiment.config.dim]
        growing = rates[rates > 0]
        factor = max(float(-np.log(np.abs(experiment.initial_embeddings).max())), 1.0)
        longer = _LONGER_THAN_RATES
        end = _BEYOND * factor / float(growing[-1] if growing.size else np.abs(rates).max())
    try:
        # an objective with rates has another law, which `learned_first` has measured
        inward = first is None and escape_law(name, dim=max(experiment.config.dim, 2)).law == "inward"
        still = _STILL_ACROSS_JUMPS if record.jumps else _STILL
        gone = _SHRUNK if inward else _STILL
        followed = _until_still(_flow(name, experiment), end, shortest, longer, still, gone)
    except DivergenceError as error:
        if not record.scale_free:
            raise
        size = np.linalg.norm(experiment.initial_embeddings, axis=1).mean()
        raise DivergenceError(
            f"Objective {name} sees directions alone, and embeddings as short as {size:.1g} turn faster than a solver "
            "can follow; raise `init_scale`, to 1 for example."
        ) from error
    return replace(followed, objective=name)


def _flow(name: str, experiment: Experiment) -> Callable[[np.ndarray], Trajectory]:
    """Times -> trajectory of the experiment under an objective."""
    if get_objective(name).scale_free:
        return lambda times: of_directions(_flow_of_embeddings(name, experiment, times, keep=True))
    return lambda times: _flow_of_embeddings(name, experiment, times, keep=False)


def _flow_of_embeddings(name: str, experiment: Experiment, times: np.ndarray, keep: bool) -> Trajectory:
    F0, theta, record = experiment.initial_embeddings, experiment.kernel.matrix, get_objective(name)
    loss, kept = flow_loss(name), times if keep else None
    if record.takes_targets:
        age = TEACHER_STEPS * experiment.learning_rate if record.moving_target else 0.0
        predictor = None if record.predictor is None else np.eye(F0.shape[1])
        K = _gram(experiment)
        return teacher_flow(K, F0, times, loss, predictor=predictor, teacher_age=age, embedding_times=kept)
    steps = _STEPS_ACROSS_JUMPS if record.jumps else {}
    if theta is not None:
        return matrix_kernel_flow(theta, F0, times, objective=loss, keep_embeddings=keep, **steps)
    return objective_flow(_gram(experiment), F0, times, loss, embedding_times=kept, **steps)


def as_learned(trajectory: Trajectory) -> Trajectory:
    """The trajectory with the spectrum that its objective brings about in place of the cross-correlation's.

    An objective that does not compare partners learns directions of the covariance, also those in which partners
    disagree and the cross-correlation is negative. For all others this is the trajectory itself.
    """
    name = trajectory.objective
    if name is None or trajectory.covariance is None or get_objective(name).compares_partners:
        return trajectory
    return replace(trajectory, eigenvalues=trajectory.covariance)


def of_directions(trajectory: Trajectory) -> Trajectory:
    """The trajectory with the spectra of its embeddings divided by their lengths, and without the embeddings."""
    assert trajectory.embeddings is not None
    F = trajectory.embeddings / np.linalg.norm(trajectory.embeddings, axis=2, keepdims=True)
    z, z_prime = np.split(F, 2, axis=1)
    C = np.einsum("tni,tnj->tij", z, z_prime) / len(z[0])
    moments = np.einsum("tni,tnj->tij", F, F) / len(F[0])
    return replace(
        trajectory,
        eigenvalues=np.linalg.eigvalsh((C + C.swapaxes(1, 2)) / 2)[:, ::-1],
        covariance=np.linalg.eigvalsh(moments)[:, ::-1],
        embeddings=None,
        embedding_times=None,
    )


def _gram(experiment: Experiment) -> Float[np.ndarray, "views views"]:
    """The driving kernel among the views, as its modes have it."""
    features = experiment.kernel.modes.on_views
    return features @ features.T


def _first_time(name: str, experiment: Experiment) -> float:
    """Time in which the embeddings move by their own size at the speed that they start with."""
    loss, record, F0 = flow_loss(name), get_objective(name), experiment.initial_embeddings
    with double_precision():
        more = (F0,) if record.takes_targets else ()
        speed = _gram(experiment) @ np.asarray(jax.grad(loss)(F0, *more))
    size = float(np.abs(F0).max())
    return size / max(float(np.abs(speed).max()), np.finfo(float).tiny ** 0.5 * size)


def _until_still(
    flow: Callable[[np.ndarray], Trajectory], end: float, shortest: float, longer: int, still: float, gone: float
) -> Trajectory:
    """The flow until its last half moves no eigenvalue by more than `still` of the largest, or a share `gone` is left.

    Cosines are singular where an embedding passes through zero, and a flow may be lost there. What was followed until
    then is returned, with a note.
    """
    trajectory: Trajectory | None = None
    for _ in range(longer):
        try:
            trajectory = flow(_times(end, shortest))
        except DivergenceError as error:
            if trajectory is None:
                raise
            note(f"The forecast ends at t = {trajectory.times[-1]:.3g}, before it stands still: {error}")
            return trajectory
        u = trajectory.eigenvalues if trajectory.covariance is None else trajectory.covariance
        late, largest = u[trajectory.times >= end / 2], u[-1].max()
        if np.ptp(late, axis=0).max() <= still * largest or largest < gone * u[0].max():
            break
        end *= _FACTOR if largest > u[0].max() / 2 else _FACTOR_OF_SHRINKING
    assert trajectory is not None
    return trajectory


def _times(end: float, shortest: float) -> Float[np.ndarray, " times"]:
    return np.unique(np.r_[0.0, np.linspace(0, end, RECORDS), np.geomspace(min(shortest, end / 10) / 10, end, RECORDS)])
