"""A solvable model on the pairs, the kernel and the start of an experiment.

>>> from dynamics.experiment.config import Config
>>> from dynamics.experiment.preparation import prepare
>>> trajectory = solve("isoloss", prepare(Config(num_pairs=16, dim=3, network="mlp", width=32)))
>>> trajectory.rung, trajectory.dim
('isoloss', 3)
"""

from dynamics.experiment.preparation import Experiment
from dynamics.solvable import Task, solvable_model
from dynamics.trajectories.trajectory import Trajectory


def solve(name: str, experiment: Experiment) -> Trajectory:
    """Solve the model called `name` on the modes and the start of an experiment, until all modes are learned.

    Raises
    ------
    ConfigError
        If there is no such model, or a mode starts beyond its end value.
    """
    model = solvable_model(name)
    return model(Task.of(experiment.kernel.modes, experiment.initial_embeddings))
