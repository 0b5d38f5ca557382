"""What a folder holds of a run that is to be made: nothing, a part that is gone on from, or all of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from dynamics.runs.settings import CONFIG, RunSettings, holds_run, require_same, write_settings
from dynamics.runs.store import COMPARISON, MODES, TRAJECTORIES
from dynamics.runs.tables import EIGENVALUES, STEP_TIMES
from dynamics.support import files
from dynamics.training.checkpoints import EVERY_SECONDS, Checkpoints
from dynamics.trajectories.ladder import rung
from dynamics.trajectories.trajectory import Trajectory

Begun = Literal["new", "stopped", "finished"]


def found(folder: Path, settings: RunSettings, *, without_effect: Sequence[str] = (), force: bool = False) -> Begun:
    """Say what a folder holds of a run that is to be made; only the folder itself is created.

    Parameters
    ----------
    folder : Path
        Folder of the run. It is created if it is not there.
    settings : RunSettings
        The run that is to be made.
    without_effect : sequence of str
        Names of settings that do not change the numbers; a run goes on with other values of them.
    force : bool
        Whether to ignore what the folder holds, which `claim` will then remove.

    Returns
    -------
    {"new", "stopped", "finished"}
        `finished` if the network was trained to its last step, `stopped` if a checkpoint is there to go on from.

    Raises
    ------
    ConfigError
        If the folder cannot be written, or holds a run with other settings.
    DataError
        If the `config.json` of the folder is damaged or was written by another version.
    """
    folder = files.output_folder(folder)
    if force or not (folder / CONFIG).is_file():
        return "new"
    require_same(folder, settings, without_effect)
    trained = measured(folder)
    if trained is not None and not trained.partial:
        return "finished"
    return "stopped" if has_checkpoint(folder) else "new"


def claim(folder: Path, settings: RunSettings, *, force: bool = False) -> None:
    """Write the settings of a run, once it is prepared and can be made; with `force` after removing any other."""
    if force:
        remove_run(folder)
    write_settings(folder, settings)


def numbered_folder(default: Path, settings: RunSettings, without_effect: Sequence[str] = ()) -> Path:
    """The default folder of a command, or the first of `default-2`, `default-3`, … that holds no other run."""
    number, folder = 1, default
    while (folder / CONFIG).is_file() and not holds_run(folder, settings, without_effect):
        number += 1
        folder = default.with_name(f"{default.name}-{number}")
    return folder


def remove_run(folder: Path) -> None:
    """Remove the files of a run, and nothing else that is in its folder."""
    if (folder / "checkpoints").is_dir():
        checkpoints(folder).clear()
    for name in (CONFIG, MODES, COMPARISON, EIGENVALUES, STEP_TIMES):
        (folder / name).unlink(missing_ok=True)
    for path in (folder / TRAJECTORIES).glob("*.npz"):
        path.unlink()


def measured(folder: Path) -> Trajectory | None:
    """Trajectory of the network of a run, if its training has ended or was interrupted."""
    for path in sorted((Path(folder) / TRAJECTORIES).glob("*.npz")):
        if rung(path.stem).is_measured:
            return Trajectory.load(path)
    return None


def checkpoints(folder: Path, every: float = EVERY_SECONDS) -> Checkpoints:
    """Checkpoints of the run in a folder, written every so many seconds."""
    return Checkpoints(Path(folder) / "checkpoints", every=every)


def has_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint to go on from; nothing is created."""
    return (Path(folder) / "checkpoints").is_dir() and bool(checkpoints(folder).steps())
