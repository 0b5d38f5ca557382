"""A run on disk: its folder, what is written there, and how it is read again.

::

    DIR/config.json                settings, what automatic ones came to, versions (`dynamics.runs.settings`)
    DIR/modes.npz                  contrastive modes of the kernel, where there is one
    DIR/checkpoints/               the last two states of the training
    DIR/trajectories/RUNG.npz      one trajectory a rung
    DIR/comparison.json            predicted against measured
    DIR/eigenvalues.csv, step_times.csv     trajectories as tables (`dynamics.runs.tables`)
    DIR/*.png, *.pdf               figures
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dynamics.errors import DataError
from dynamics.modes import ContrastiveModes
from dynamics.runs.consistency import require_one_run
from dynamics.runs.settings import CONFIG, RunSettings, read_settings
from dynamics.support import files
from dynamics.trajectories.comparison import Comparison
from dynamics.trajectories.ladder import in_order, rung
from dynamics.trajectories.trajectory import Trajectory

MODES, COMPARISON, TRAJECTORIES = "modes.npz", "comparison.json", "trajectories"


@dataclass(frozen=True, eq=False)
class Run:
    """What a run left behind.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    settings : RunSettings
        Settings of the run.
    modes : ContrastiveModes, optional
        Modes of the kernel that drives the run.
    trajectories : mapping
        Rung -> its trajectory.
    comparison : Comparison, optional
        The measured run against its forecasts, where the run was compared.
    """

    folder: Path
    settings: RunSettings
    modes: ContrastiveModes | None
    trajectories: Mapping[str, Trajectory]
    comparison: Comparison | None = None

    @property
    def measured(self) -> Trajectory | None:
        """Trajectory of the network that was trained; None if none was."""
        return next((self.trajectories[name] for name in self.trajectories if rung(name).is_measured), None)

    @property
    def forecasts(self) -> dict[str, Trajectory]:
        """Trajectories of theory, by rung, in the order of the ladder."""
        return {name: self.trajectories[name] for name in in_order(self.trajectories) if not rung(name).is_measured}

    @property
    def title(self) -> str:
        """Two lines that say what was run."""
        return self.settings.title


def write_modes(folder: Path, modes: ContrastiveModes) -> None:
    """Write the modes of the kernel that drives a run."""
    modes.save(folder / MODES)


def write_trajectories(folder: Path, trajectories: Mapping[str, Trajectory]) -> None:
    """Write one file a rung."""
    (folder / TRAJECTORIES).mkdir(exist_ok=True)
    for name, trajectory in trajectories.items():
        trajectory.save(folder / TRAJECTORIES / f"{name}.npz")


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write a comparison, which also marks a run of a sweep as finished."""
    comparison.save(folder / COMPARISON)


def is_compared(folder: Path) -> bool:
    """Whether a run was carried through to its comparison."""
    return (folder / COMPARISON).is_file()


def run_folders(folder: str | Path) -> list[Path]:
    """Folders of the runs that a folder stands for: itself, or the finished ones of a sweep (`DIR/runs/NAME`)."""
    folder = files.expanded(folder)
    if os.path.isfile(folder / CONFIG) or not os.path.isdir(folder / "runs"):
        return [folder]
    return sorted(run for run in (folder / "runs").iterdir() if is_compared(run))


def read_run(folder: str | Path) -> Run:
    """Read the run in a folder.

    Raises
    ------
    DataError
        If the folder holds no run, one of its files is damaged, or belongs to another run.
    """
    folder = files.expanded(folder)
    settings = read_settings(folder)
    trajectories = {path.stem: Trajectory.load(path) for path in sorted((folder / TRAJECTORIES).glob("*.npz"))}
    if not trajectories:
        raise DataError(f"{folder}: holds no trajectory; the run was ended before its first one was written.")
    modes = ContrastiveModes.load(folder / MODES) if (folder / MODES).is_file() else None
    comparison = Comparison.load(folder / COMPARISON) if is_compared(folder) else None
    require_one_run(folder, settings, modes, trajectories, comparison)
    return Run(folder, settings, modes, trajectories, comparison)
