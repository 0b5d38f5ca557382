"""The rung `bilinear` of an experiment: its network taken apart into features and readout, and forecast with both.

>>> from dynamics.experiment import Config, prepare
>>> from dynamics.experiment.bilinear import bilinear_trajectory
>>> experiment = prepare(Config(num_pairs=16, dim=2, network="mlp", width=32, depth=1, multiplier=1.0))
>>> bilinear_trajectory(experiment).rung
'bilinear'
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from dynamics.errors import ConfigError
from dynamics.experiment.preparation import Experiment
from dynamics.flow.bilinear import bilinear_descent
from dynamics.flow.readout_network import ReadoutNetwork
from dynamics.flow.reduction import Reduction, reduced_model
from dynamics.flow.relinearised import relinearised_descent
from dynamics.trajectories import Trajectory
from dynamics.typing import Array, Views


def readout_network(experiment: Experiment, test_views: Views | None = None) -> ReadoutNetwork:
    """The network of an experiment at its small start, as features and a readout.

    Parameters
    ----------
    experiment : Experiment
        One with a `readout` start.
    test_views : array (b, *input_shape), optional
        Views that are followed without being trained on.

    Raises
    ------
    ConfigError
        If the experiment does not start from a small readout: then readout and features are of one size, and the
        network's tangent kernel with all outputs is what drives it.
    """
    if experiment.config.init != "readout":
        raise ConfigError(
            f"The bilinear model is of a network that starts from a small readout, not from `{experiment.config.init}`."
        )
    params = experiment.network.params["params"]
    (W,) = (np.asarray(leaf, np.float64) for leaf in params["readout"].values())
    views = np.asarray(experiment.pairs.stacked)
    points = views if test_views is None else np.concatenate([views, np.asarray(test_views)])
    hidden = {name: part for name, part in params.items() if name != "readout"}
    features = _Features(experiment.random.module, params["readout"], jnp.asarray(points))
    return ReadoutNetwork(features, hidden, W, experiment.multiplier / len(W) ** 0.5, num_views=len(views))


def bilinear_reduction(experiment: Experiment, network: ReadoutNetwork | None = None, **settings: Any) -> Reduction:
    """The reduced model of an experiment; settings and errors are those of `dynamics.flow.reduced_model`.

    `network` is the `readout_network` of the experiment, where it has been made already.
    """
    schedule = experiment.schedule
    given = {"center": experiment.config.center} | settings
    network = readout_network(experiment) if network is None else network
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


@dataclass(frozen=True, eq=False)
class _Features:
    """Hidden weights -> the last hidden layer on fixed points."""

    module: Any
    readout: Any
    points: Array

    def __call__(self, hidden: Any) -> Array:
        return self.module.apply({"params": {**hidden, "readout": self.readout}}, self.points, method="features")
