"""Run a grid of experiments, several at a time, each in a process of its own; what is finished is not run again."""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from dynamics.errors import CapacityError, ConfigError, DataError, DynamicsError
from dynamics.runs.again import CONFIGS
from dynamics.runs.settings import Kind
from dynamics.runs.store import Run, is_compared, read_run
from dynamics.support import files
from dynamics.support.bounds import Count, require_within
from dynamics.support.compilation_cache import keep_compiled
from dynamics.support.progress import QUIET, progress_bar
from dynamics.support.schema import load_record, not_ours
from dynamics.sweeps.axes import AnyConfig, Axis, combinations, grid
from dynamics.sweeps.point import check_data, is_finished, kind_of, run_point


@dataclass(frozen=True, eq=False)
class Sweep:
    """A grid of finished runs.

    Parameters
    ----------
    folder : Path
        Folder of the sweep.
    axes : tuple of Axis
        The settings that varied, with their values.
    points : list of (settings, Run)
        The varied settings of every run, and the run.
    failed : mapping
        Name of a run -> why it could not be made, such as a learning rate above its stability limit.
    """

    folder: Path
    axes: tuple[Axis, ...]
    points: list[tuple[Mapping[str, Any], Run]]
    failed: Mapping[str, str]


class _StoredAxis(msgspec.Struct):
    name: str
    values: list[int | float | str | bool | None]


class _Claimed(msgspec.Struct):
    """The form of `sweep.json`."""

    kind: Kind
    config: dict[str, Any]
    axes: list[_StoredAxis]


_LONGEST_NAME = 200  # bytes of the name of a folder; most file systems take 255
_BROKEN = (
    "The processes of the runs ended without an answer. Either the memory ran out, and fewer `jobs` at a time help; or "
    'a script called `sweep` outside of `if __name__ == "__main__":`, which every process of it then runs again.'
)


def sweep(config: AnyConfig, axes: Sequence[Axis], out: str | Path, *, jobs: int | None = None) -> Sweep:
    """Forecast and train at every point of the grid.

    Parameters
    ----------
    config : Config or Recipe
        Settings that all points share.
    axes : sequence of Axis
        The settings that vary, with their values.
    out : Path
        Folder for the results. Points that are finished there are not run again, so a stopped sweep goes on.
    jobs : int, optional
        Number of runs at a time. By default it is the number of cores, or 1 on an accelerator, which runs would have to
        share.

    Raises
    ------
    ConfigError
        If no setting varies, or the folder holds another sweep.
    CapacityError
        If the processes of the runs ended without an answer.
    DataError
        If a data set is not there.
    DynamicsError
        If no point could be run.
    """
    axes = tuple(axes)
    if not axes:
        raise ConfigError("Nothing varies; name a setting and its values, such as seed=0,1,2.")
    require_within("jobs", jobs, Count)
    points = list(grid(config, axes))
    for _, settings in points:
        check_data(settings)  # what no run can find is said before any process is started
    folder = files.output_folder(out)
    _claim(folder, config, axes)
    waiting = {_name(point): settings for point, settings in points if not is_finished(_place(folder, point), settings)}
    jobs = min(jobs or _default_jobs(), max(len(waiting), 1))
    failed: dict[str, str] = {}
    done_before = len(points) - len(waiting)
    # spawned, because a forked process may not use JAX once it has started threads
    with (
        progress_bar(f"{len(points)} runs", total=len(points)) as done,
        ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_process) as pool,
    ):
        done(done_before)
        futures: dict[Future[None], str] = {
            pool.submit(run_point, settings, folder / "runs" / name): name for name, settings in waiting.items()
        }
        try:
            for count, future in enumerate(as_completed(futures), start=done_before + 1):
                try:
                    future.result()
                except DynamicsError as error:
                    failed[futures[future]] = str(error)
                except BrokenProcessPool as error:
                    raise CapacityError(_BROKEN) from error
                done(count)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise KeyboardInterrupt(
                f"interrupted; what is finished is in {folder}, and the same command goes on from there"
            ) from None
    if len(failed) == len(points):
        raise DynamicsError(f"No run could be made; the first says: {next(iter(failed.values()))}")
    files.save_json(folder / "failed.json", failed)
    return read_sweep(folder)


def _begin_process() -> None:
    """What every process of a sweep does first: the bars of several would lie over each other."""
    QUIET.set(True)
    keep_compiled()


def is_sweep(folder: str | Path) -> bool:
    """Whether a folder holds a sweep."""
    return os.path.isfile(files.expanded(folder) / "sweep.json")


def read_sweep(folder: str | Path) -> Sweep:
    """Read what `sweep` wrote.

    Raises
    ------
    DataError
        If the folder holds no sweep, or one of its files is damaged.
    """
    folder = files.expanded(folder)
    if not is_sweep(folder):
        raise DataError(f"{folder}: holds no sweep (no sweep.json); give the folder of a sweep.")
    path = folder / "sweep.json"
    claimed = load_record(path, _Claimed)
    known = {field.name for field in fields(CONFIGS[claimed.kind])}
    if not claimed.axes or not all(axis.name in known and axis.values for axis in claimed.axes):
        raise not_ours(path, "`axes` are no settings with values")
    axes = tuple(Axis(axis.name, tuple(axis.values)) for axis in claimed.axes)
    failed = load_record(folder / "failed.json", dict[str, str]) if (folder / "failed.json").is_file() else {}
    points = []
    for point in combinations(axes):
        if is_compared(_place(folder, point)):
            points.append((point, read_run(_place(folder, point))))
    if not points:
        raise DataError(f"{folder}: none of its runs is finished; the command that made it goes on with it.")
    return Sweep(folder, axes, points, failed)


def _claim(folder: Path, config: AnyConfig, axes: tuple[Axis, ...]) -> None:
    """Write what this sweep is, or refuse a folder that holds another."""
    content = {"kind": kind_of(config), "config": config.to_dict(), "axes": [asdict(axis) for axis in axes]}
    content = json.loads(json.dumps(content, default=str))
    path = folder / "sweep.json"
    if path.is_file() and load_record(path, dict[str, Any]) != content:
        raise ConfigError(f"{folder} holds another sweep; give the same settings to go on with it, or another folder.")
    files.save_json(path, content)


def _place(folder: Path, point: Mapping[str, Any]) -> Path:
    """Folder of one point's run."""
    return folder / "runs" / _name(point)


def _name(point: Mapping[str, Any]) -> str:
    """Name of a point's folder: its varied settings, cut where no file system takes so long a name."""
    name = ",".join(f"{name}={value}" for name, value in point.items()).replace("/", "_")
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME // 4]}…{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"


def _default_jobs() -> int:
    import jax

    return (os.cpu_count() or 1) if jax.default_backend() == "cpu" else 1
