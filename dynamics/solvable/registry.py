"""The solvable models by name, as the command line offers them.

>>> solvable_model("isoloss").source
'Halvagal et al. (2023)'
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.solvable.deep_linear import deep_linear, deep_linear_times
from dynamics.solvable.directpred import directpred, directpred_times
from dynamics.solvable.latent_prediction import jepa, jepa_times, mae, mae_times
from dynamics.solvable.preconditioned import preconditioned, preconditioned_times
from dynamics.solvable.task import Task
from dynamics.solvable.variance_regularisation import variance_regularisation, variance_regularisation_times
from dynamics.solvable.word_embedding import word_embedding, word_embedding_times
from dynamics.trajectories.trajectory import Trajectory

_TIMES = 400
_BEYOND_THE_LAST_STEP = 1.25


@dataclass(frozen=True)
class SolvableModel:
    """One model with its settings.

    Parameters
    ----------
    simulate : callable
        (task, times, **defaults) -> Trajectory.
    step_times : callable
        task, **defaults -> (d,) times at which each mode is half learned; infinite for those that are not learned.
    description, source : str
        What the model is, and the paper that solved it; one line each.
    defaults : mapping
        Settings that both callables are called with.
    """

    simulate: Callable[..., Trajectory]
    step_times: Callable[..., Float[np.ndarray, " dim"]]
    description: str
    source: str
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, task: Task, times: Float[np.ndarray, " times"] | None = None) -> Trajectory:
        """Simulate the model, by default until a little after the last mode is half learned.

        The trajectory has the step times as its `mode_step_times`.
        """
        tau = self.step_times(task, **self.defaults)
        if times is None:
            times = _times(tau[np.isfinite(tau)])
        trajectory = self.simulate(task, times, **self.defaults)
        solution = None if trajectory.solution is None else replace(trajectory.solution, source=self.source)
        meta = {**trajectory.meta, **self.defaults}
        return replace(trajectory, mode_step_times=tau, solution=solution, meta=meta)


def _times(tau: Float[np.ndarray, " learned"]) -> Float[np.ndarray, " times"]:
    """Even times until a little after the last step, and as many that grow by a factor, which resolve the first."""
    end = _BEYOND_THE_LAST_STEP * tau.max(initial=0.0) or 1.0
    even = np.linspace(0.0, end, _TIMES)
    early = np.geomspace(tau.min() / 10, end, _TIMES) if tau.size and tau.min() > 0 else even
    return np.unique([*even, *early])


MODELS: dict[str, SolvableModel] = {
    "directpred": SolvableModel(
        directpred, directpred_times, "BYOL or SimSiam with a linear predictor", "Tian et al. (2021)"
    ),
    "variance-regularisation": SolvableModel(
        variance_regularisation,
        variance_regularisation_times,
        "predictor set to the covariance of the embeddings, Euclidean loss",
        "Halvagal et al. (2023)",
    ),
    "isoloss": SolvableModel(
        variance_regularisation,
        variance_regularisation_times,
        "predictor set to the covariance of the embeddings, with the loss that makes all modes grow at one rate",
        "Halvagal et al. (2023)",
        {"isotropic": True},
    ),
    "jepa": SolvableModel(
        jepa, jepa_times, "deep linear encoder that predicts in latent space", "Littwin et al. (2024)", {"depth": 2}
    ),
    "mae": SolvableModel(
        mae, mae_times, "deep linear encoder that reconstructs its input", "Littwin et al. (2024)", {"depth": 2}
    ),
    "word-embedding": SolvableModel(
        word_embedding, word_embedding_times, "quartic word-embedding loss", "Karkada et al. (2025)"
    ),
    "deep-linear": SolvableModel(
        deep_linear,
        deep_linear_times,
        "Barlow Twins with two balanced linear layers",
        "Simon et al. (2023) with the balanced layers of Saxe et al. (2014)",
        {"depth": 2},
    ),
    "preconditioned": SolvableModel(
        preconditioned,
        preconditioned_times,
        "Barlow Twins with the gradient preconditioned within the d strongest modes",
        "after Simon et al. (2023)",
    ),
}
"""Name -> model; `dynamics simulate` knows them by these names."""


def solvable_model(name: str) -> SolvableModel:
    """Return the model of that name.

    Raises
    ------
    ConfigError
        If there is no such model.
    """
    if name not in MODELS:
        raise ConfigError(f"Unknown dynamics '{name}'; choose barlow-twins, {', '.join(sorted(MODELS))}.")
    return MODELS[name]
