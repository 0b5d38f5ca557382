"""What a budget of updates buys: the class, read from every method after trainings of several lengths.

Each length is a training of its own with its own schedule, so that a point of the curve is what somebody with that
budget gets, and not a moment of a longer training whose learning rate is still high.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dynamics.studies.simve.methods import RANDOM, Results, Task, fit_method, methods, probe

Curve = Mapping[int, Float[np.ndarray, " seeds"]]
"""Number of updates -> score of every seed."""


def budget_curves(
    task: Task, results: Results, num_seeds: int, seed: int, *, measure: str, checkpoints: Path | None = None
) -> dict[str, Curve]:
    """Train every method once more for each budget of the setting, and read one measure.

    Parameters
    ----------
    task : Task
        What all methods are trained on and probed with; `task.setting.budgets` are the numbers of updates.
    results : Results
        What is known already: untrained encoders, the setting's whole number of updates, and the strengths.
    num_seeds, seed : int
        Number of trainings of every method and budget, and the seed of all of them.
    measure : str
        Name of a score of linear or k-NN probes, such as `content linear`.
    checkpoints : Path, optional
        Folder that keeps the trainings, for a run that is stopped and goes on.

    Returns
    -------
    dict
        Method -> number of updates -> (seeds,), from 0, an encoder at random, to the setting's whole number.
    """
    setting = task.setting
    curves = {}
    for name, method in methods(setting, task.shape, results.strengths).items():
        shorter = {}
        for steps in setting.budgets:
            folder = None if checkpoints is None else checkpoints / f"{name.replace(' ', '')}-{steps}"
            fitted = fit_method(task, method, num_seeds, seed, steps=steps, checkpoints=folder)
            shorter[steps] = probe(fitted, task, thorough=False)[measure]
        curves[name] = {0: results.scores[RANDOM][measure], **shorter, setting.steps: results.scores[name][measure]}
    return curves


def budget_table(curves: Mapping[str, Curve]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and standard deviation over the seeds, for JSON."""
    return {
        name: {str(steps): {"mean": float(v.mean()), "std": float(v.std())} for steps, v in curve.items()}
        for name, curve in curves.items()
    }
