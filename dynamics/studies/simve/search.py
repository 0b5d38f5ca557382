"""The strength of every method that has one, by the same search for all: three short trainings, no test images.

Without it a method may look weak because its published weight was made for another number of outputs.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from dynamics.generative import make_method, style_probe
from dynamics.generative.methods import strengths_to_try
from dynamics.studies.simve.methods import NAMES, Task, fit_method
from dynamics.support import files
from dynamics.support.schema import load_record
from dynamics.trajectories.probes import linear_probe
from dynamics.typing import Embedding


def best_strengths(task: Task, seed: int, *, checkpoints: Path | None = None) -> dict[str, float]:
    """Train every method that has a strength with three of them, one seed each, and choose the best.

    Parameters
    ----------
    task : Task
        What all methods are trained on and probed with; `task.setting.search_steps` is the length of a training.
    seed : int
        Seed of the trainings.
    checkpoints : Path, optional
        Folder that keeps what was chosen, for a run that is stopped and goes on.

    Returns
    -------
    dict
        Title of the method -> strength with which a linear probe, fitted to one half of the training images that probes
        use, reads the most of the other half: of content from images as they are, or of the first style from views
        where there are no classes.
    """
    known = None if checkpoints is None else checkpoints / "strengths.json"
    if known is not None and known.is_file():
        return load_record(known, dict[str, float])
    model = task.setting.model(task.shape)
    found = {}
    for title, name in NAMES.items():
        scores = {}
        for strength in strengths_to_try(name, model.latent):
            method = make_method(name, model, strength=strength)
            fitted = fit_method(task, method, 1, seed, steps=task.setting.search_steps)
            scores[strength] = _read(lambda views, fitted=fitted: fitted.embed(views, 0), task)
        if scores:
            found[title] = max(scores, key=lambda strength: scores[strength])
    if known is not None:
        known.parent.mkdir(parents=True, exist_ok=True)
        files.save_json(known, found)
    return found


def _read(embed: Callable[[np.ndarray], Embedding], task: Task) -> float:
    """How well a linear probe reads one half of the training images when it was fitted to the other."""
    labelled = task.clean.content is not None
    views = (task.clean if labelled else task.train).views
    labels = task.clean.content if labelled else next(iter(task.train.style.values()))
    Z = np.asarray(embed(views), np.float64)
    if not np.isfinite(Z).all() or not (Z.std(axis=0) > 0).any():
        return -np.inf  # diverged or collapsed
    half = len(Z) // 2
    if labelled:
        return linear_probe(Z[:half], labels[:half], Z[half:], labels[half:], classifier="logistic").test
    return style_probe(Z[:half], labels[:half], Z[half:], labels[half:])


def described(strengths: Mapping[str, float]) -> str:
    """The chosen strengths in words."""
    return ", ".join(f"{title} {strength:.3g}" for title, strength in strengths.items())
