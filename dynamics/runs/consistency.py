"""Whether the files of a run folder belong together: each may be whole, and still be that of another run."""

from collections.abc import Mapping

import numpy as np

from dynamics.errors import DataError
from dynamics.modes import ContrastiveModes
from dynamics.runs.settings import RunSettings
from dynamics.support.hashes import content_hash
from dynamics.trajectories.comparison import Comparison
from dynamics.trajectories.trajectory import Trajectory


def fingerprint(modes: ContrastiveModes | None) -> str:
    """Text that tells the modes of one run from those of another, kept in `config.json`; empty without modes."""
    if modes is None:
        return ""
    return content_hash(*(np.asarray(array, np.float64) for array in (modes.eigenvalues, modes.on_views)))


def require_one_run(
    folder: object,
    settings: RunSettings,
    modes: ContrastiveModes | None,
    trajectories: Mapping[str, Trajectory],
    comparison: Comparison | None,
) -> None:
    """Raise `DataError`, which names file and field, if a file of a run folder is that of another run.

    Parameters
    ----------
    folder : Path
        The folder, for the message.
    settings, modes, trajectories, comparison
        What was read from it.
    """
    for name, trajectory in trajectories.items():
        _require_trajectory(f"{folder}/trajectories/{name}.npz", name, trajectory, settings)
    if modes is not None:
        _require_modes(f"{folder}/modes.npz", settings, modes)
    if comparison is not None:
        _require_comparison(f"{folder}/comparison.json", comparison, modes, trajectories)


def _require_trajectory(path: str, name: str, trajectory: Trajectory, settings: RunSettings) -> None:
    if not (name.isidentifier() and trajectory.rung.isidentifier()):
        raise _foreign(path, f"the model is called {name!r} and {trajectory.rung!r}, which is no name of one")
    if not len(trajectory.times) or not trajectory.dim:
        raise _foreign(path, "`eigenvalues` has no record")
    if trajectory.outcome.kind != "diverged" and not np.isfinite(trajectory.eigenvalues).all():
        raise _foreign(path, "`eigenvalues` are NaN or infinite, and the run did not diverge")
    dim = settings.config.get("dim")
    if settings.kind == "experiment" and dim != trajectory.dim:
        raise _foreign(path, f"`eigenvalues` has {trajectory.dim} dimensions, and `dim` in config.json is {dim}")


def _require_modes(path: str, settings: RunSettings, modes: ContrastiveModes) -> None:
    pairs = settings.resolved.get("num_pairs")
    if pairs is not None and pairs != modes.num_pairs:
        raise _foreign(path, f"`duals` are of {modes.num_pairs} pairs, and `num_pairs` in config.json is {pairs}")
    if settings.modes not in ("", fingerprint(modes)):
        raise _foreign(path, "these are not the modes that `modes` in config.json names")


def _require_comparison(
    path: str, comparison: Comparison, modes: ContrastiveModes | None, trajectories: Mapping[str, Trajectory]
) -> None:
    for name, times in comparison.step_times.items():
        if name not in trajectories:
            raise _foreign(path, f"`step_times` speaks of {name}, of which there is no trajectory")
        if len(times) != trajectories[name].dim:
            raise _foreign(path, f"`step_times` of {name} has {len(times)} dimensions, not {trajectories[name].dim}")
    if not np.array_equal(comparison.times, trajectories[comparison.measured].times):
        raise _foreign(path, f"`times` are not those of trajectories/{comparison.measured}.npz")
    gamma = comparison.eigenvalues_gamma
    if modes is not None and not np.allclose(gamma, modes.eigenvalues[: len(gamma)], rtol=1e-9, atol=0.0):
        raise _foreign(path, "`eigenvalues_gamma` are not those of modes.npz")


def _foreign(path: str, why: str) -> DataError:
    return DataError(f"{path}: does not belong to this run ({why}); run the command again.")
