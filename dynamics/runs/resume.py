"""A practical run on disk: begun, resumed, or found finished.

::

    DIR/config.json                the recipe, what it came to, versions
    DIR/checkpoints/               the last two states
    DIR/trajectories/recipe.npz    the spectrum, written when the run ends or is interrupted
    DIR/comparison.json            overlap with the modes of kernels, if the run was compared with them
    DIR/*.png, .pdf                figures
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dynamics.errors import ConfigError, DataError
from dynamics.recipe.config import Recipe
from dynamics.support import files
from dynamics.support.environment import versions
from dynamics.training.checkpoints import EVERY_SECONDS, Checkpoints
from dynamics.trajectories.trajectory import Trajectory

_WITHOUT_EFFECT = ("preset", "data_dir", "checkpoint_seconds")  # settings that may differ when a run goes on


def begin(folder: Path, recipe: Recipe, *, force: bool = False) -> Literal["new", "stopped", "finished"]:
    """Say what the folder holds of this run; with `force` remove it.

    Raises
    ------
    ConfigError
        If the folder cannot be written, or holds a run with other settings.
    """
    folder = files.output_folder(folder)
    kept = checkpoints(folder)
    if force:
        kept.clear()
        stale = (folder / name for name in ("config.json", "comparison.json"))
        for path in (*stale, *(folder / "trajectories").glob("*.npz")):
            path.unlink(missing_ok=True)
    if (folder / "config.json").is_file():
        _require_same(folder, recipe)
        trajectory = measured(folder)
        if trajectory is not None and not trajectory.partial:
            return "finished"
        if kept.steps():
            return "stopped"
    return "new"


def write_settings(folder: Path, recipe: Recipe, resolved: Mapping[str, Any]) -> None:
    """Write `config.json`, before anything long begins."""
    (folder / "trajectories").mkdir(exist_ok=True)
    files.save_json(
        folder / "config.json",
        {
            "command": "train",
            "rung": 4,
            "config": recipe.to_dict(),
            "resolved": resolved,
            "versions": versions(),
        },
    )


def checkpoints(folder: Path, every: float = EVERY_SECONDS) -> Checkpoints:
    """Checkpoints of the run in a folder."""
    return Checkpoints(Path(folder) / "checkpoints", every=every)


def read_recipe(folder: Path) -> Recipe | None:
    """Recipe of the run in a folder; None if it holds none, or one of another rung.

    Raises
    ------
    DataError
        If `config.json` is damaged.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        return None
    try:
        saved = json.loads(path.read_text())
        return Recipe.from_dict(saved["config"]) if saved.get("rung") == 4 else None
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is damaged ({error}); remove it, or begin anew with `force`.") from error


def measured(folder: Path) -> Trajectory | None:
    """Trajectory of the network of a run, if it has ended or was interrupted."""
    path = Path(folder) / "trajectories" / "recipe.npz"
    return Trajectory.load(path) if path.is_file() else None


def saved_overlaps(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray], float] | None:
    """Times, overlaps by kernel and chance level of a run that was compared with its kernels; None for other runs."""
    path = Path(folder) / "comparison.json"
    if not path.is_file() or read_recipe(folder) is None:
        return None
    saved = json.loads(path.read_text())
    overlaps = {name: np.array(values) for name, values in saved["overlaps"].items()}
    return np.array(saved["times"]), overlaps, saved["chance"]


def _require_same(folder: Path, recipe: Recipe) -> None:
    saved = read_recipe(folder)
    if saved is None:
        raise ConfigError(f"{folder} holds a run of another kind; choose another folder, or `force` to replace it.")
    ours, theirs = recipe.to_dict(), saved.to_dict()
    different = [name for name in ours if name not in _WITHOUT_EFFECT and ours[name] != theirs[name]]
    if different:
        name = different[0]
        raise ConfigError(
            f"{folder} holds a run with {name} = {theirs[name]}, not {ours[name]}; choose another folder, or "
            "`force` to replace it."
        )
