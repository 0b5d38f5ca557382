"""The rung `bilinear` of an experiment: its network taken apart into features and readout, and forecast with both.

>>> from dynamics.experiment import Config, prepare
>>> from dynamics.experiment.bilinear import bilinear_trajectory
>>> experiment = prepare(Config(num_pairs=16, dim=2, network="mlp", width=32, depth=1, multiplier=1.0))
>>> bilinear_trajectory(experiment).rung
'bilinear'
"""

from typing import Any

from dynamics.errors import ConfigError
from dynamics.experiment.moving_kernel import ROUNDS
from dynamics.experiment.preparation import Experiment
from dynamics.flow.bilinear import bilinear_descent
from dynamics.flow.readout_network import ReadoutNetwork
from dynamics.flow.reduction import Reduction, reduced_model
from dynamics.flow.relinearised import relinearised_descent
from dynamics.trajectories import Trajectory
from dynamics.typing import Views


def readout_network(experiment: Experiment, test_views: Views | None = None) -> ReadoutNetwork:
    """The network of an experiment at its start, as features and a readout.

    Parameters
    ----------
    experiment : Experiment
        One with a `readout` or a `centred` start.
    test_views : array (b, *input_shape), optional
        Views that are followed without being trained on.

    Raises
    ------
    ConfigError
        If all weights of the experiment start small: then the features change as a whole, and not by a part that is
        linear in their weights.
    """
    if experiment.config.init == "all":
        raise ConfigError("The bilinear model is of a network whose features are there before training, not of `all`.")
    return experiment.taken_apart(test_views)


def bilinear_reduction(experiment: Experiment, network: ReadoutNetwork | None = None, **settings: Any) -> Reduction:
    """The reduced model of an experiment; settings and errors are those of `dynamics.flow.reduced_model`.

    It looks ahead as far as the frozen kernel's schedule goes. `network` is the `readout_network` of the experiment,
    where it has been made already.
    """
    schedule = experiment.frozen_schedule
    network = readout_network(experiment) if network is None else network
    given = {"center": experiment.config.center, "rounds": ROUNDS[experiment.config.init]} | settings
    return reduced_model(network, schedule.learning_rate, schedule.steps, **given)


def bilinear_trajectory(experiment: Experiment, reduction: Reduction | None = None) -> Trajectory:
    """Descent of the reduced model, with the steps of the run."""
    reduction = bilinear_reduction(experiment) if reduction is None else reduction
    return bilinear_descent(reduction.model, experiment.schedule.learning_rate, experiment.schedule.record_at)


def relinearised_trajectory(
    experiment: Experiment,
    reduction: Reduction | None = None,
    network: ReadoutNetwork | None = None,
    **settings: Any,
) -> Trajectory:
    """Descent of reduced models that are made anew on the way, with the steps of the run.

    Settings and errors are those of `dynamics.flow.relinearised_descent`; `network` is as in `bilinear_reduction`.
    """
    given = {"center": experiment.config.center, "first": reduction} | settings
    schedule = experiment.schedule
    network = readout_network(experiment) if network is None else network
    return relinearised_descent(network, schedule.learning_rate, schedule.record_at, **given)
