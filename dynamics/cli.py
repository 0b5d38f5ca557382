"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from dynamics.config import Config
from dynamics.errors import DivergenceError, DynamicsError
from dynamics.recipe import Recipe, recipe_preset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dynamics.experiment import Experiment
    from dynamics.trajectory import Trajectory

Settings = tyro.conf.OmitArgPrefixes[Config]
RecipeSettings = tyro.conf.OmitArgPrefixes[Recipe]
Preset = Literal["cpu", "gpu", "stl10"]
Varied = Annotated[tuple[str, ...], tyro.conf.arg(metavar="SETTING=VALUES"), tyro.conf.Positional]
RunFolders = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN"), tyro.conf.Positional]
StudyName = Annotated[str, tyro.conf.arg(metavar="NAME"), tyro.conf.Positional]

_INTERRUPTED = 130
_INFINITE_WIDTH_SECONDS = 60.0


def compare(config: Settings, out: Path = Path("runs/compare")) -> None:
    """Forecast the training of a network, train it, and lay both on one time axis.

    Args:
        config: Settings of the experiment.
        out: Folder for the results.
    """
    from dynamics.experiment import compare_run, forecast, infinite_width_cost, infinite_width_forecast, train
    from dynamics.runs import write_trajectories
    from dynamics.tables import comparison_table

    experiment = _prepared("compare", config, out)
    forecasts = forecast(experiment)
    if config.kernel == "empirical" and experiment.architecture.has_infinite_width:
        seconds = infinite_width_cost(experiment)
        if seconds < _INFINITE_WIDTH_SECONDS:
            forecasts["infinite_width"] = infinite_width_forecast(experiment)
        else:
            _print(f"\nThe infinite-width kernel takes about {_duration(seconds)} and is left out;")
            _print("--kernel infinite asks for it.")
    write_trajectories(out, forecasts)
    measured = train(experiment, _report_cost)
    write_trajectories(out, {"network": measured})
    comparison = compare_run(experiment, measured, forecasts)
    comparison.save(out / "comparison.json", kernel=experiment.kernel, reason=experiment.reason)
    _print(comparison_table(comparison, experiment.learning_rate))
    _print(f"\nKernel: {experiment.kernel}; {experiment.reason}.")
    _draw(out)
    _report_partial(measured, out)


def simulate(
    config: Settings,
    dynamics: str = "barlow-twins",
    by_step: int | None = None,
    resume_from: Path | None = None,
    out: Path = Path("runs/simulate"),
) -> None:
    """Forecast alone: which dimension will be learned when, before anything is trained.

    Args:
        config: Settings of the experiment.
        dynamics: barlow-twins, or a model that can be solved: deep-linear, directpred, isoloss, jepa, mae,
            preconditioned, variance-regularisation, word-embedding.
        by_step: Say how many dimensions will be learned by this training step.
        resume_from: Recorder file (.npz) of a run in progress with these settings, which updates the forecast.
        out: Folder for the results.
    """
    from dynamics.experiment import forecast
    from dynamics.forecasting import forecast_of
    from dynamics.runs import write_trajectories
    from dynamics.tables import forecast_answers, forecast_table
    from dynamics.trajectory import Trajectory

    if dynamics != "barlow-twins":
        _solve(dynamics, config, out)
        return
    measured = None if resume_from is None else Trajectory.load(resume_from)
    experiment = _prepared("simulate", config, out)
    ahead = forecast_of(experiment)
    if measured is not None:
        ahead = ahead.updated(measured)
        _print()
        _print(forecast_table(ahead))
    _print(f"\n{forecast_answers(ahead, by_step)}")
    write_trajectories(out, forecast(experiment))
    if measured is not None:
        write_trajectories(out, {"updated": ahead.trajectory(experiment.times)})
    _print(f"\nKernel: {experiment.kernel}; {experiment.reason}.")
    _draw(out)


def train(config: Settings, preset: Preset | None = None, out: Path = Path("runs/train")) -> None:
    """Train the network alone and record its spectrum.

    Without --preset this is the network of `compare`, which theory describes. With one it is the practical recipe:
    a ResNet with normalisation and projector, minibatches and fresh augmentations. It has settings of its own, which
    `dynamics train --preset cpu --help` lists.

    Args:
        config: Settings of the experiment.
        preset: Train a practical recipe: cpu, gpu (CIFAR-10) or stl10 (ResNet-50).
        out: Folder for the results.
    """
    from dynamics.experiment import train
    from dynamics.runs import write_trajectories

    experiment = _prepared("train", config, out)
    measured = train(experiment, _report_cost)
    write_trajectories(out, {"network": measured})
    _draw(out)
    _report_partial(measured, out)


def _train_recipe(default: Recipe) -> Callable[..., None]:
    """`train` with the settings of a practical recipe and their defaults."""

    def train(recipe: RecipeSettings = default, out: Path = Path("runs/recipe"), force: bool = False) -> None:
        """Train a practical recipe and record its spectrum; the same command goes on with a run that was stopped.

        Args:
            recipe: Settings of the run.
            out: Folder for the results.
            force: Begin anew where the folder holds a run already.
        """
        from dynamics.tables import steps_line

        _print(f"\n{steps_line(_trained_recipe(recipe, out, force))}")
        _draw(out)

    return train


def sweep(
    vary: Varied,
    config: Settings,
    jobs: int | None = None,
    parquet: bool = False,
    out: Path = Path("runs/sweep"),
) -> None:
    """Forecast and train over a grid of settings, several runs at a time, and draw where the forecast holds.

    Args:
        vary: A setting and its values, such as width=16,32,64 or seed=0,1,2; several give their grid.
        config: Settings that all runs share.
        jobs: Runs at a time; by default one a core, or one on an accelerator.
        parquet: Write the table as Parquet as well as CSV.
        out: Folder for the results; the same command goes on with a sweep that was stopped.
    """
    from dynamics.sweeps import parse_axis, sweep, sweep_figure, tidy_rows, write_csv, write_parquet

    axes = [parse_axis(text) for text in vary]
    counts = [len(axis.values) for axis in axes]
    _print(f"{math.prod(counts)} runs: {', '.join(f'{len(axis.values)} × {axis.name}' for axis in axes)}")
    swept = sweep(config, axes, out, jobs=jobs)
    rows = list(tidy_rows(swept))
    write_csv(rows, out / "sweep.csv")
    if parquet:
        write_parquet(rows, out / "sweep.parquet")
    for name, reason in swept.failed.items():
        _print(f"left out {name}: {reason}")
    _save_figure(lambda: sweep_figure(swept), out, "sweep")
    _print(f"\nResults in {out}: sweep.csv, figure sweep.png")


def plot(runs: RunFolders, out: Path | None = None) -> None:
    """Draw the figures of saved runs again.

    Args:
        runs: Folders that compare, simulate or train wrote.
        out: Folder for the figures; by default each goes to its run.
    """
    from dynamics.errors import ConfigError
    from dynamics.files import output_folder

    if not runs:
        raise ConfigError("No run was named; give the --out folder of compare, simulate or train.")
    for run in runs:
        target = None if out is None else output_folder(out if len(runs) == 1 else out / run.name)
        _draw(run, target)


def report(runs: RunFolders, out: Path = Path("report.html")) -> None:
    """Write one self-contained HTML page about saved runs: forecast, ladder, figures, settings, environment.

    Args:
        runs: Folders that compare, simulate or train wrote.
        out: The file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from dynamics.files import output_folder
    from dynamics.report import report

    output_folder(out.parent)
    _print(f"Report in {report(runs, out)}")


def study(
    name: StudyName,
    out: Path | None = None,
    data_dir: Path | None = None,
    full: bool = False,
    seed: int = 0,
    dataset: str | None = None,
    num_pairs: int | None = None,
    dim: int | None = None,
    init_scale: float | None = None,
    num_seeds: int | None = None,
    steps: int | None = None,
) -> None:
    """Test the claims of one paper and draw its figures.

    Args:
        name: The study, such as stepwise.
        out: Folder for the results; by default runs/study-NAME.
        data_dir: Folder with the official files of the real data sets.
        full: Use the paper's data and sizes.
        seed: Seeds everything random.
        dataset: Data set, where the study leaves it open.
        num_pairs: Positive pairs n, in place of the study's own number.
        dim: Embedding dimensions d, in place of the study's own number.
        init_scale: Scale of the initial function, where the study leaves it open.
        num_seeds: Repetitions, in place of the study's own number.
        steps: Updates of every training, in place of the study's own number.
    """
    from dynamics.files import output_folder
    from dynamics.studies import claims_table, load_study, save_claims, study_settings

    chosen = {
        "dataset": dataset,
        "num_pairs": num_pairs,
        "dim": dim,
        "init_scale": init_scale,
        "num_seeds": num_seeds,
        "steps": steps,
    }
    settings = study_settings(name, {key: value for key, value in chosen.items() if value is not None})
    folder = output_folder(out or Path(f"runs/study-{name}"))
    claims = load_study(name).run(folder, data_dir=data_dir, full=full, seed=seed, **settings)
    save_claims(claims, folder / "claims.json")
    _print(claims_table(claims))
    _print(f"\nResults in {folder}")


def info() -> None:
    """Versions and devices: what to put into a bug report."""
    from dynamics.environment import devices, versions

    for package, version in versions().items():
        _print(f"{package:16} {version}")
    for device in devices():
        _print(f"{'device':16} {device}")


COMMANDS: dict[str, Callable[..., None]] = {
    "compare": compare,
    "simulate": simulate,
    "train": train,
    "sweep": sweep,
    "plot": plot,
    "report": report,
    "study": study,
    "info": info,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 if all went well, 2 with one sentence on stderr if the user can mend it."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS | _recipe_commands(arguments),
            prog="dynamics",
            description="Forecast how a self-supervised network will learn, train it, and see where they part.",
            args=arguments,
        )
    except DynamicsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interruption:
        print(str(interruption) or "interrupted", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _recipe_commands(arguments: list[str]) -> dict[str, Callable[..., None]]:
    """Commands that take other settings because of the preset that the arguments name."""
    preset = _argument("--preset", arguments)
    if arguments[:1] != ["train"] or preset is None:
        return {}
    return {"train": _train_recipe(recipe_preset(preset, _argument("--objective", arguments)))}


def _argument(flag: str, arguments: list[str]) -> str | None:
    """Value of a flag, `--flag value` or `--flag=value`; None if it is not there."""
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        if argument == flag:
            return following
        if argument.startswith(f"{flag}="):
            return argument.removeprefix(f"{flag}=")
    return None


def _trained_recipe(recipe: Recipe, out: Path, force: bool) -> "Trajectory":
    """The trajectory of a practical run: read if it is finished, gone on with if it was stopped, else trained."""
    from dynamics import recipe_runs
    from dynamics.practical import prepare, train
    from dynamics.runs import write_trajectories
    from dynamics.training import Checkpoints

    begun = recipe_runs.begin(out, recipe, force=force)
    if begun == "finished":
        _print(f"{out} holds this run, finished; --force trains it again.")
        return recipe_runs.measured(out)
    prepared = prepare(recipe)
    _print(prepared.describe())
    images = f"{recipe.batch} images a step"
    _print(f"{recipe.objective}: {recipe.steps:,} steps, {images}, on {prepared.placement.describe()}")
    recipe_runs.write_settings(out, recipe, {"title": prepared.title(), "network": prepared.describe()})
    measured = train(
        prepared,
        Checkpoints(out / recipe_runs.CHECKPOINTS, every=recipe.checkpoint_seconds),
        report_cost=_report_cost,
        report_resumed=lambda step: _print(f"Going on from the checkpoint of step {step:,}."),
    )
    write_trajectories(out, {"network": measured})
    if measured.partial:
        reason = measured.meta["partial"]
        if reason.startswith("interrupted"):
            raise KeyboardInterrupt(f"{reason}; the same command goes on from there.")
        kept = Checkpoints(out / recipe_runs.CHECKPOINTS).steps()
        last = f"the last good checkpoint is of step {kept[-1]}" if kept else "there was no checkpoint yet"
        raise DivergenceError(f"The training diverged: {reason}; {last}. Lower --learning-rate, or set --clip.")
    return measured


def _prepared(command: str, config: Config, out: Path) -> "Experiment":
    """The experiment, its settings on disk and its forecast on the screen."""
    from dynamics.experiment import describe, prepare
    from dynamics.files import output_folder
    from dynamics.forecasting import forecast_of
    from dynamics.runs import write_settings
    from dynamics.tables import forecast_table

    out = output_folder(out)
    experiment = prepare(config)
    write_settings(out, command, experiment)
    _print(f"{experiment.pairs.source}: {len(experiment.pairs)} pairs of {experiment.pairs.input_shape}")
    _print(describe(experiment.architecture))
    automatic = " (automatic)" if config.multiplier == "auto" else ""
    _print(
        f"output multiplier c = {experiment.multiplier:.4g}{automatic}; learning rate "
        f"{experiment.learning_rate:.4g} of at most {experiment.stability_limit:.4g}; "
        f"{experiment.steps:,} steps\n"
    )
    _print(forecast_table(forecast_of(experiment)))
    return experiment


def _solve(name: str, config: Config, out: Path) -> None:
    """`simulate` for a solvable model: settings, trajectory, table and figure."""
    from dynamics.experiment import prepare
    from dynamics.files import output_folder
    from dynamics.runs import write_settings, write_trajectories
    from dynamics.solvable import solvable_model
    from dynamics.solving import solution_table, solve

    solvable_model(name)  # a wrong name is answered before anything long begins
    out = output_folder(out)
    experiment = prepare(config)
    trajectory = solve(name, experiment)
    write_settings(out, f"simulate --dynamics {name}", experiment)
    write_trajectories(out, {trajectory.rung: trajectory})
    _print(solution_table(trajectory))
    share = f"{100 * trajectory.meta['off_diagonal']:.0f} %"
    _print(f"\nModes of the {experiment.kernel}. In their basis {share} of the covariance of single views lies off the")
    _print("diagonal, which these models leave out.")
    _draw(out)


def _draw(folder: Path, target: Path | None = None) -> None:
    """The figure of a run, as PNG and PDF."""
    from dynamics.plotting import comparison_figure, trajectory_figure
    from dynamics.runs import read_run

    run = read_run(folder)
    comparison = run.comparison
    solved = [trajectory for trajectory in run.trajectories.values() if "targets" in trajectory.meta]
    if solved:
        from dynamics.solving import solution_figure

        name, draw = "trajectories", lambda: solution_figure(solved[0], run.title)
    elif comparison is not None and run.measured is not None:
        name, draw = "comparison", lambda: comparison_figure(comparison, run.measured, run.forecasts, run.title)
    else:
        name, draw = "trajectories", lambda: trajectory_figure(run.measured, run.forecasts, run.title)
    _save_figure(draw, target or folder, name)
    _print(f"\nResults in {folder}, figure {(target or folder) / name}.png")


def _save_figure(draw: Callable[[], "Figure"], folder: Path, name: str) -> None:
    """Draw in the house style, without a screen, as PNG and PDF."""
    import matplotlib

    matplotlib.use("Agg")
    from dynamics.files import save_figure
    from dynamics.plotting import style

    with style():
        save_figure(draw(), folder / name)


def _report_partial(measured: "Trajectory", out: Path) -> None:
    """End with an error if the run ended early; what it has is on disk, marked partial."""
    if not measured.partial:
        return
    reason, saved = measured.meta["partial"], f"what it recorded is in {out / 'trajectories' / 'network.npz'}"
    if reason.startswith("interrupted"):
        raise KeyboardInterrupt(f"{reason}; {saved}, marked partial")
    raise DivergenceError(
        f"The training diverged: {reason}; {saved}, marked partial. Lower --lr-fraction or --init-scale."
    )


def _report_cost(seconds: float) -> None:
    _print(f"\nTraining takes about {_duration(seconds)}.\n")


def _duration(seconds: float) -> str:
    return f"{max(seconds, 1.0):.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _print(text: object = "") -> None:
    from rich.console import Console

    Console(highlight=False).print(text)
