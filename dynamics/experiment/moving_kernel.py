"""The stage between multiplier and schedule: the network taken apart into features and readout, which both will learn.

A frozen kernel knows when a dimension is learned only while the features stay what they were. Where they will not, the
reduced model of `dynamics.flow.reduction` follows features and readout together, and foresees how long a run has to be.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from dynamics.experiment.schedule import Schedule
from dynamics.flow.bilinear import bilinear_descent
from dynamics.flow.readout_network import ReadoutNetwork
from dynamics.flow.reduction import Reduction, reduced_model
from dynamics.support.one_line import one_line
from dynamics.trajectories.comparison import step_times
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array, Views

ROUNDS = {"readout": 2, "centred": 4}
"""How often the directions of the reduced model are found anew, by the start.

The first round follows features that stay as they were, which is far from what a centred network does.
"""


def features_and_readout(
    module: Any, params: Any, multiplier: float, views: Views, test_views: Array | None = None
) -> ReadoutNetwork:
    """A declared network as features and a readout.

    Parameters
    ----------
    module : nn.Module
        The network.
    params : pytree
        Its parameters at the start.
    multiplier : float
        Output multiplier c.
    views : array (2n, *input_shape)
        Training views.
    test_views : array (b, *input_shape), optional
        Views that are followed without being trained on.
    """
    layers = params["params"]
    (W,) = (np.asarray(leaf, np.float64) for leaf in layers["readout"].values())
    views = np.asarray(views)
    points = views if test_views is None else np.concatenate([views, np.asarray(test_views)])
    hidden = {name: part for name, part in layers.items() if name != "readout"}
    features = _Features(module, layers["readout"], jnp.asarray(points))
    return ReadoutNetwork(features, hidden, W, multiplier / len(W) ** 0.5, num_views=len(views))


@dataclass(frozen=True, eq=False)
class MovingKernel:
    """A network whose kernel will move, with the model that foresees how.

    Parameters
    ----------
    network : ReadoutNetwork
        The network at its small start.
    reduction : Reduction
        Its reduced model for a run of the length that was looked ahead.
    foreseen : Trajectory
        Descent of the reduced model over this length, rung `bilinear`.
    """

    network: ReadoutNetwork
    reduction: Reduction
    foreseen: Trajectory

    __repr__ = one_line


def moving_kernel(network: ReadoutNetwork, ahead: Schedule, *, center: bool, rounds: int) -> MovingKernel:
    """Reduce a network and follow it over a schedule.

    Parameters
    ----------
    network : ReadoutNetwork
        The network at its small start.
    ahead : Schedule
        How far to look ahead: all steps that the run may need.
    center : bool
        Whether the mean embedding is subtracted before the objective.
    rounds : int
        How often the directions are found anew (`ROUNDS`).

    Raises
    ------
    CapacityError, DivergenceError
        If the directions do not fit into the memory, or the model does not stay finite.
    """
    reduction = reduced_model(network, ahead.learning_rate, ahead.steps, center=center, rounds=rounds)
    foreseen = bilinear_descent(reduction.model, ahead.learning_rate, ahead.record_at)
    return MovingKernel(network, reduction, foreseen)


def shortened(frozen: Schedule, foreseen: Trajectory) -> Schedule:
    """The schedule of a run whose steps come as foreseen, at most as long as the frozen kernel's.

    Features that learn make later dimensions come earlier than a frozen kernel says. The rule of length is that of
    `schedule`, with the foreseen times. Where a dimension is not reached within the frozen kernel's schedule, that
    schedule stays.

    Parameters
    ----------
    frozen : Schedule
        The schedule that the frozen kernel asks for.
    foreseen : Trajectory
        A forecast over that schedule in which the kernel moves.
    """
    tau = step_times(foreseen)
    return frozen if np.isnan(tau).any() else replace(frozen, steps=min(frozen.steps, frozen.steps_until(tau.max())))


@dataclass(frozen=True, eq=False)
class _Features:
    """Hidden weights -> the last hidden layer on fixed points."""

    module: Any
    readout: Any
    points: Array

    def __call__(self, hidden: Any) -> Array:
        return self.module.apply({"params": {**hidden, "readout": self.readout}}, self.points, method="features")
