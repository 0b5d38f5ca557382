"""What `compare`, `simulate` and `train` do with a run of any rung: claim its folder, prepare, train, compare.

If a job has several processes, all of them compute, and only the first prints and writes.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from dynamics.cli.console import TYPED, duration, report_cost, show
from dynamics.errors import ConfigError, DivergenceError
from dynamics.experiment.config import Config
from dynamics.recipe.config import Recipe
from dynamics.runs import resume
from dynamics.runs.interface import PreparedRun, settings_of
from dynamics.runs.settings import Kind
from dynamics.runs.store import write_comparison, write_modes, write_trajectories
from dynamics.support.compilation_cache import keep_compiled
from dynamics.support.progress import note, stage
from dynamics.training.sharding import is_first_process, wait_for_all
from dynamics.trajectories.comparison import Comparison
from dynamics.trajectories.trajectory import Trajectory
from dynamics.trajectories.verdict import verdict_of

SAY_SECONDS = 30.0
"""Seconds between two lines about the course of a training, where no terminal shows a bar."""

RunT = TypeVar("RunT", bound=PreparedRun)


@dataclass(frozen=True)
class Request(Generic[RunT]):
    """A run that a command was asked for.

    Parameters
    ----------
    command : str
        Name of the command, as `config.json` keeps it.
    kind : {"experiment", "recipe"}
        Kind of the run.
    config : Config or Recipe
        Settings of the run.
    prepare : callable
        Function without arguments that prepares the run.
    out : Path, optional
        Folder for the results; by default `runs/NAME`, or the next free number of it.
    name : str
        NAME of the default folder.
    force : bool
        Whether to replace any run that the folder holds.
    """

    command: str
    kind: Kind
    config: Config | Recipe
    prepare: Callable[[], RunT]
    out: Path | None
    name: str
    force: bool = False


@dataclass(frozen=True)
class OpenRun(Generic[RunT]):
    """A prepared run in its folder, and what the folder holds of it."""

    folder: Path
    run: RunT
    begun: resume.Begun


def open_run(request: Request[RunT]) -> OpenRun[RunT]:
    """Claim the folder, prepare the run, and write and show its settings.

    Raises
    ------
    ConfigError
        If the folder holds another run.
    """
    keep_compiled()
    settings = settings_of(request.kind, request.command, request.config)
    without_effect = request.config.WITHOUT_EFFECT
    folder = request.out or resume.numbered_folder(Path("runs") / request.name, settings, without_effect)
    begun = resume.found(folder, settings, without_effect=without_effect, force=request.force)
    with stage("Preparing data, network and kernel"):
        run = request.prepare()
    wait_for_all("found")
    if is_first_process():
        settings = settings_of(request.kind, request.command, request.config, run, TYPED.get())
        resume.claim(folder, settings, force=request.force)
        if run.modes is not None:
            write_modes(folder, run.modes)
        show(run.describe())
    wait_for_all("claimed")
    return OpenRun(folder, run, begun)


def trained(opened: OpenRun, checkpoint_seconds: float) -> Trajectory:
    """The trajectory of the network: read if it is finished, gone on with if it was stopped, else trained.

    Raises
    ------
    KeyboardInterrupt
        If the training is interrupted; what it recorded is on disk.
    DivergenceError
        If the loss stops being finite.
    """
    if opened.begun == "finished":
        _tell(f"\n{opened.folder} holds this run, trained to its end; --force trains it again.")
        finished = resume.measured(opened.folder)
        assert finished is not None
        return finished
    kept = resume.checkpoints(opened.folder, checkpoint_seconds)
    with stage("The training"):
        trajectory = opened.run.train(
            kept,
            report_cost=report_cost if is_first_process() else None,
            report_resumed=lambda step: _tell(f"Training goes on from the checkpoint of step {step:,}."),
            report_records=_Course(opened) if is_first_process() else None,
        )
    if is_first_process():
        write_trajectories(opened.folder, {trajectory.rung: trajectory})
    _require_finished(trajectory, opened.folder, kept.steps())
    return trajectory


def compared(
    opened: OpenRun, trajectory: Trajectory, forecasts: Mapping[str, Trajectory]
) -> tuple[dict[str, Trajectory], Comparison]:
    """Compare a trained run with its forecasts, and write both."""
    kept = resume.checkpoints(opened.folder)
    with stage("The comparison"):
        every, comparison = opened.run.compare(trajectory, forecasts, kept, report_cost=report_cost)
    write_trajectories(opened.folder, every)
    write_comparison(opened.folder, comparison)
    return every, comparison


def _require_finished(trajectory: Trajectory, folder: Path, steps: list[int]) -> None:
    """End with an error if the run ended early; what it has is on disk, marked partial."""
    outcome = trajectory.outcome
    if outcome.kind == "interrupted":
        raise KeyboardInterrupt(
            f"{outcome.describe()}; what was recorded is in {folder}, marked partial, and the same command goes on "
            "from there."
        )
    if outcome.kind == "diverged":
        last = f"the last good checkpoint is of step {steps[-1]}" if steps else "there is no checkpoint yet"
        raise DivergenceError(
            f"The training diverged: {outcome.describe()}; what was recorded is in {folder}, marked partial, and "
            f"{last}. Lower the learning rate."
        )


class _Course:
    """Writes what a run has recorded so far, and says how far it is where no terminal shows a bar."""

    def __init__(self, opened: OpenRun):
        self._folder, self._steps = opened.folder, int(opened.run.resolved["steps"])
        self._began: tuple[float, int] | None = None
        self._said = time.monotonic()

    def __call__(self, so_far: Trajectory) -> None:
        try:
            write_trajectories(self._folder, {so_far.rung: so_far})
        except (ConfigError, OSError) as error:  # the training itself needs no file
            note(f"What was recorded so far could not be written: {error}")
        now, step = time.monotonic(), so_far.outcome.step or 0
        self._began = self._began or (now, step)
        if sys.stderr.isatty() or now - self._said < SAY_SECONDS:
            return
        self._said = now
        line = f"step {step:,} of {self._steps:,}, loss {so_far.loss[-1]:.4g}, {verdict_of(so_far).describe()}"
        if step > self._began[1]:
            left = (now - self._began[0]) / (step - self._began[1]) * (self._steps - step)
            line += f", about {duration(left)} left"
        note(line)


def _tell(text: str) -> None:
    if is_first_process():
        show(text)
