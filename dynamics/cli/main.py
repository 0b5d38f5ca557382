"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from dynamics.cli.console import TYPED, accept_every_letter, conclude, duration, print_json, show
from dynamics.cli.diagnosing import diagnose
from dynamics.cli.flags import with_flags
from dynamics.cli.groups import (
    SAVED_FLAG,
    SHORT,
    Optionally,
    Switch,
    Unnamed,
    command_line,
    default_hint,
    paragraph,
    registry,
)
from dynamics.cli.looking import info, plot, report
from dynamics.cli.ranking import rank
from dynamics.cli.recipe import recipe_commands
from dynamics.cli.saved import SAVED, saved_run, with_dynamics
from dynamics.cli.solving import simulate_objective, simulate_solved
from dynamics.cli.studying import study
from dynamics.cli.sweeping import Varied, run_sweep
from dynamics.cli.volume import HELP, volume
from dynamics.errors import ConfigError, DynamicsError
from dynamics.experiment.config import Config
from dynamics.objectives.registry import OBJECTIVES
from dynamics.recipe.config import PRESETS, Recipe
from dynamics.support.progress import QUIET, note, stage

if TYPE_CHECKING:
    from dynamics.cli.running import Request
    from dynamics.experiment import Experiment
    from dynamics.experiment.forecasting import Forecast
    from dynamics.experiment.run import ExperimentRun
    from dynamics.trajectories.trajectory import Trajectory

Settings = Unnamed[Config]
Preset = Annotated[str | None, tyro.conf.arg(metavar=f"{{{','.join(PRESETS)}}}", help_behavior_hint=default_hint)]
_INTERRUPTED, _CUT_OFF = 130, 141  # as shells have it
_INFINITE_WIDTH_SECONDS = 60.0
CHECKPOINT_SECONDS = 60.0
HELP_ALL = "--help-all"


def compare(
    config: Settings,
    recipe: Optionally[Literal["practical"]] = None,
    out: Optionally[Path] = None,
    force: Switch = False,
) -> None:
    """Forecast the training of a network, train it, and lay both on one time axis.

    The same command goes on with a run that was stopped, and does not train a finished one again. With --recipe
    practical it compares the network of `dynamics train --preset` instead, and takes the settings of that command.

    Parameters
    ----------
    config
        Settings of the experiment.
    recipe
        Compare a practical recipe with the kernels of its network before and after training.
    out
        Folder for the results; by default runs/compare, or the next free number of it.
    force
        Replace the run that the folder holds.
    """
    from dynamics.cli.idle import note_idle
    from dynamics.cli.running import compared, open_run, trained
    from dynamics.cli.tables import comparison_table, forecast_table
    from dynamics.experiment.forecasting import best_moving, forecast_of
    from dynamics.runs.store import write_trajectories

    note_idle(config)
    request = _request("compare", config, out, force)
    opened = open_run(request)
    experiment = opened.run.experiment
    with stage("The forecast"):
        forecasts = opened.run.forecast()
    ahead = forecast_of(experiment, best_moving(forecasts))
    show()
    show(forecast_table(ahead))
    _say_caveats(ahead)
    forecasts |= _infinite_width(experiment)
    write_trajectories(opened.folder, forecasts)
    measured = trained(opened, CHECKPOINT_SECONDS)
    _, comparison = compared(opened, measured, forecasts)
    show(comparison_table(comparison, experiment.learning_rate))
    _show_labels(forecasts, experiment, measured)
    show(f"\nKernel: {experiment.kernel.name}; {experiment.kernel.reason}.")
    conclude(opened.folder)


def simulate(
    config: Settings,
    dynamics: str = "barlow-twins",
    by_step: Optionally[int] = None,
    resume_from: Optionally[Path] = None,
    relinearised: Switch = False,
    json: Switch = False,
    out: Optionally[Path] = None,
    force: Switch = False,
) -> None:
    """Forecast which dimension will be learned when, without training anything.

    Parameters
    ----------
    config
        Settings of the experiment.
    dynamics
        Model to forecast with: barlow-twins; another objective of `dynamics train --preset`, such as lejepa or vicreg,
        by the kernel flow of its loss; or a model that can be solved, which are deep-linear, directpred, isoloss, jepa,
        mae, preconditioned, variance-regularisation and word-embedding.
    by_step
        Say how many dimensions will be learned by this training step.
    resume_from
        Recorder file (.npz) of a run in progress with these settings, which updates the forecast.
    relinearised
        Follow a kernel that moves more closely, in twice the time: step times within 1.3 % instead of 3 %. The figure
        then has the kernel flow, too.
    json
        Print the forecast as one JSON object and nothing else, for machines.
    out
        Folder for the results; by default runs/simulate, or the next free number of it.
    force
        Replace the run that the folder holds.
    """
    from dynamics.cli.idle import note_idle
    from dynamics.cli.machine import forecast_object
    from dynamics.cli.running import open_run
    from dynamics.cli.tables import forecast_answers, forecast_table
    from dynamics.experiment.fingerprint import require_same_run
    from dynamics.experiment.forecasting import best_moving, forecast_of
    from dynamics.experiment.rungs import forecast_trajectories
    from dynamics.runs.store import write_trajectories
    from dynamics.support.bounds import Count, require_within
    from dynamics.trajectories.trajectory import Trajectory

    QUIET.set(QUIET.get() or json)
    if dynamics != "barlow-twins":
        given = {"by_step": by_step, "resume_from": resume_from, "relinearised": relinearised or None}
        note_idle(config, dynamics, given)
        simulate_other = simulate_objective if dynamics in OBJECTIVES else simulate_solved
        simulate_other(dynamics, config, out, force, json)
        return
    note_idle(config)
    require_within("by_step", by_step, Count)
    measured = None if resume_from is None else Trajectory.load(resume_from)
    request = _request("simulate", config, out, force)
    opened = open_run(request)
    experiment = opened.run.experiment
    if measured is not None:
        require_same_run(experiment, measured)
    if relinearised and experiment.moving is None:
        note("Note: --relinearised has no effect here, because this forecast has no kernel that moves.")
    with stage("The forecast"):
        forecasts = forecast_trajectories(experiment, complete=relinearised)
    ahead = forecast_of(experiment, best_moving(forecasts))
    show()
    show(forecast_table(ahead))
    if measured is not None:
        ahead = ahead.updated(measured)
        show()
        show(forecast_table(ahead))
    show(f"\n{forecast_answers(ahead, by_step)}")
    _show_labels(forecasts, experiment)
    write_trajectories(opened.folder, forecasts)
    if measured is not None:
        write_trajectories(opened.folder, {"updated": ahead.trajectory(experiment.schedule.times)})
    show(f"\nKernel: {experiment.kernel.name}; {experiment.kernel.reason}.")
    conclude(opened.folder)
    if json:
        print_json(forecast_object(ahead, opened.folder, by_step))


def train(config: Settings, preset: Preset = None, out: Optionally[Path] = None, force: Switch = False) -> None:
    """Train the network and record its spectrum, without comparing them with forecasts; a run that was stopped goes on.

    Without --preset this is the network of `compare`, which theory describes. With one it is the practical recipe:
    a ResNet with normalisation and projector, minibatches and fresh augmentations. It has settings of its own, which
    `dynamics train --preset cpu --help` lists.

    Parameters
    ----------
    config
        Settings of the experiment.
    preset
        Train a practical recipe: cpu, gpu (CIFAR-10) or stl10 (ResNet-50).
    out
        Folder for the results; by default runs/train, or the next free number of it.
    force
        Replace the run that the folder holds.
    """
    from dynamics.cli.idle import note_idle
    from dynamics.cli.running import open_run, trained
    from dynamics.cli.tables import forecast_table, steps_line
    from dynamics.experiment.forecasting import forecast_of

    note_idle(config)
    request = _request("train", config, out, force)
    opened = open_run(request)
    moving = opened.run.experiment.moving
    ahead = forecast_of(opened.run.experiment, None if moving is None else moving.foreseen)
    show()
    show(forecast_table(ahead))
    _say_caveats(ahead)
    measured = trained(opened, CHECKPOINT_SECONDS)
    show(f"\n{steps_line(measured)}")
    conclude(opened.folder)


def sweep(
    vary: Varied,
    config: Settings,
    jobs: Optionally[int] = None,
    parquet: Switch = False,
    out: Path = Path("runs/sweep"),
) -> None:
    """Forecast and train over a grid of settings, several runs at a time, and draw where the forecast holds.

    Parameters
    ----------
    vary
        A setting and its values, such as width=16,32,64 or seed=0,1,2; of several settings all combinations are run.
    config
        Settings that all runs share.
    jobs
        Runs at a time; by default one a core, or one on an accelerator.
    parquet
        Write the table as Parquet as well as CSV.
    out
        Folder for the results; the same command goes on with a sweep that was stopped.
    """
    run_sweep(config, vary, jobs=jobs, parquet=parquet, out=out)


COMMANDS: dict[str, Callable[..., int | None]] = {
    "compare": compare,
    "simulate": simulate,
    "train": train,
    "sweep": sweep,
    "rank": rank,
    "plot": plot,
    "report": report,
    "study": study,
    "diagnose": diagnose,
    "info": info,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 or what the command returns, 2 with one sentence on stderr if the user can mend it."""
    arguments = sys.argv[1:] if arguments is None else arguments
    accept_every_letter()
    if arguments == ["--version"]:
        import dynamics as package

        show(f"dynamics {package.__version__}")
        return 0
    TYPED.set(tuple(arguments))
    try:
        with volume(arguments) as others:
            return _run(_help_asked(others))
    except DynamicsError as error:
        from dynamics.support.files import brief

        message = with_flags(str(error), _settings())
        print(f"error: {brief(message, most=1000)}", file=sys.stderr)  # it may quote an argument of any length
        return 2
    except BrokenPipeError:  # whoever read the output, `head` say, has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _CUT_OFF
    except KeyboardInterrupt as interruption:
        print(str(interruption) or "interrupted", file=sys.stderr)
        return _INTERRUPTED


def _run(arguments: list[str]) -> int:
    """Run the command that the arguments name; what it returns, or 0."""
    _require_text(arguments)
    saved = saved_run(arguments)
    SAVED.set(saved)
    arguments = with_dynamics(arguments, saved)
    code = tyro.cli(
        command_line(COMMANDS | recipe_commands(arguments, saved), arguments),
        prog="dynamics",
        description=paragraph(
            f"Forecast how a self-supervised network will learn, train it, and see where they part. {HELP}"
        ),
        args=arguments or ["--help"],
        config=(tyro.conf.DisallowNone,),
        registry=registry,
    )
    return code or 0


def _help_asked(arguments: list[str]) -> list[str]:
    """The arguments with `--help` in place of `--help-all`; a plain `--help` is about the common settings alone."""
    SHORT.set(HELP_ALL not in arguments and bool({"-h", "--help"} & set(arguments)))
    return ["--help" if word == HELP_ALL else word for word in arguments]


def _require_text(arguments: list[str]) -> None:
    """Raise `ConfigError` if an argument is no text, such as a file name in another encoding than UTF-8."""
    for argument in arguments:
        if "\0" in argument or argument != argument.encode(errors="ignore").decode():
            shown = ascii(argument)
            raise ConfigError(f"The argument {shown} is no text in UTF-8; rename the file, or write the name anew.")


def _settings() -> set[str]:
    """Names of all settings that are flags of some command."""
    records = {field.name for record in (Config, Recipe) for field in fields(record)}
    commands = (inspect.signature(command).parameters for command in COMMANDS.values())
    return records.union(*commands, {"force", "tangent_pairs", "fixed_pairs", "quiet", "verbose", SAVED_FLAG})


def _request(command: str, config: Config, out: Path | None, force: bool) -> "Request[ExperimentRun]":
    """The run of an experiment that a command was asked for."""
    from dynamics.cli.running import Request
    from dynamics.experiment.run import ExperimentRun

    return Request(command, "experiment", config, partial(ExperimentRun.of, config), out, command, force)


def _say_caveats(ahead: "Forecast") -> None:
    from dynamics.cli.tables import caveats

    for line in caveats(ahead):
        show(f"\n{line}")


def _infinite_width(experiment: "Experiment") -> dict[str, "Trajectory"]:
    """The forecast of the infinitely wide network, where there is one and its kernel takes less than a minute."""
    from dynamics.experiment import infinite_width_cost, infinite_width_trajectory

    if experiment.config.kernel != "empirical" or not experiment.random.architecture.has_infinite_width:
        return {}
    seconds = infinite_width_cost(experiment)
    if seconds < _INFINITE_WIDTH_SECONDS:
        return {"infinite_width": infinite_width_trajectory(experiment)}
    show(f"\nThe infinite-width kernel takes about {duration(seconds)} and is left out; --kernel infinite asks for it.")
    return {}


def _show_labels(
    forecasts: dict[str, "Trajectory"], experiment: "Experiment", measured: "Trajectory | None" = None
) -> None:
    """Where labels were asked for, say how well probes will read them and how well they do."""
    from dynamics.cli.labels import label_table, margin_line

    table = label_table(forecasts, experiment.learning_rate, measured)
    if table is not None and experiment.held_out is not None:
        show()
        show(table)
        show(margin_line(forecasts, len(experiment.held_out)))
