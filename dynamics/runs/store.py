"""A run on disk: its folder, what is written there, and how it is read again.

::

    DIR/config.json                everything needed to repeat the run: settings, what automatic ones came to, versions
    DIR/modes.npz                  contrastive modes of the kernel
    DIR/trajectories/RUNG.npz      one trajectory a rung
    DIR/comparison.json            predicted against measured
    DIR/*.png, *.pdf               figures
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynamics.errors import DataError
from dynamics.experiment import Experiment
from dynamics.modes import ContrastiveModes
from dynamics.support import files
from dynamics.support.environment import versions
from dynamics.trajectories.comparison import Comparison, compare
from dynamics.trajectories.ladder import in_order, rung
from dynamics.trajectories.trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class Run:
    """What a run left behind: its settings, modes and trajectories by rung."""

    folder: Path
    config: Mapping[str, Any]
    modes: ContrastiveModes | None
    trajectories: Mapping[str, Trajectory]

    @property
    def measured(self) -> Trajectory | None:
        """Trajectory of the network that was trained, a small one or a practical one; None if none was."""
        return next((self.trajectories[name] for name in self.trajectories if rung(name).is_measured), None)

    @property
    def forecasts(self) -> dict[str, Trajectory]:
        """Trajectories of theory, by rung, in the order of the ladder."""
        return {name: self.trajectories[name] for name in in_order(self.trajectories) if not rung(name).is_measured}

    @property
    def comparison(self) -> Comparison | None:
        """The measured run against its forecasts, computed again; None if one of them is missing."""
        if self.measured is None or not self.forecasts or self.modes is None:
            return None
        return compare(self.measured, self.forecasts, self.modes, center=bool(self.config["config"]["center"]))

    @property
    def title(self) -> str:
        """One line that says what was run."""
        settings, resolved = self.config["config"], self.config["resolved"]
        if "title" in resolved:
            return resolved["title"]
        return (
            f"{resolved['pairs']}: n = {resolved['num_pairs']}, d = {settings['dim']}; {resolved['architecture']}\n"
            f"{settings['init']} start, α = {settings['init_scale']:g}, c = {resolved['multiplier']:.3g}, "
            f"η = {resolved['learning_rate']:.3g}; "
            f"{resolved['kernel']}{', centred' if settings['center'] else ''}"
        )


def write_settings(folder: Path, command: str, experiment: Experiment) -> None:
    """Write `config.json` and `modes.npz`, before anything long begins."""
    files.save_json(
        folder / "config.json",
        {
            "command": command,
            "config": experiment.config.to_dict(),
            "resolved": experiment.resolved,
            "versions": versions(),
        },
    )
    experiment.kernel.modes.save(folder / "modes.npz")
    (folder / "trajectories").mkdir(exist_ok=True)
    for stale in (folder / "trajectories").glob("*.npz"):
        stale.unlink()  # of an earlier run in the same folder: a reader would take it for this one's


def write_trajectories(folder: Path, trajectories: Mapping[str, Trajectory]) -> None:
    """Write one file a rung."""
    for name, trajectory in trajectories.items():
        trajectory.save(folder / "trajectories" / f"{name}.npz")


def read_run(folder: str | Path) -> Run:
    """Read what `compare`, `simulate` or `train` wrote.

    Raises
    ------
    DataError
        If the folder holds no run, or one of its files is damaged.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder}: holds no run (no config.json); give the folder of a run.")
    try:
        config = json.loads((folder / "config.json").read_text())
    except ValueError as error:
        raise DataError(f"{folder / 'config.json'}: is damaged ({error}); run the command again.") from error
    trajectories = {path.stem: Trajectory.load(path) for path in sorted((folder / "trajectories").glob("*.npz"))}
    if not trajectories:
        raise DataError(f"{folder}: holds no trajectory; the run was ended before its first one was written.")
    modes = ContrastiveModes.load(folder / "modes.npz") if (folder / "modes.npz").is_file() else None
    return Run(folder, config, modes, trajectories)
