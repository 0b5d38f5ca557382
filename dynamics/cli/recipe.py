"""`dynamics train --preset` and `dynamics compare --recipe practical`, whose flags are the settings of a recipe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from dynamics.cli.console import draw_run, report_cost, show
from dynamics.errors import ConfigError, DivergenceError
from dynamics.objectives.registry import OBJECTIVES
from dynamics.recipe.config import PRESETS, Recipe, recipe_preset

if TYPE_CHECKING:
    from dynamics.trajectories.trajectory import Trajectory


@dataclass
class _Chosen:
    """The flags that decide which other settings there are, and their defaults."""

    preset: str | None = None
    objective: str | None = None
    recipe: str | None = None


def recipe_commands(arguments: Sequence[str]) -> dict[str, Callable[..., None]]:
    """Commands whose settings, and the defaults of these, follow from the preset and objective that are asked for.

    Raises
    ------
    ConfigError
        If there is no such preset or objective.
    """
    chosen, _ = tyro.cli(_Chosen, prog="dynamics", args=arguments, return_unknown_args=True, add_help=False)
    if chosen.preset is None and chosen.recipe is None:
        return {}
    default = recipe_preset(chosen.preset or "cpu", chosen.objective)
    commands = {} if chosen.preset is None else {"train": _train_recipe(default)}
    return commands if chosen.recipe is None else commands | {"compare": _compare_recipe(default)}


def _flags_of(default: Recipe) -> Any:
    """`default` as a record whose help lists the presets and objectives that there are now."""
    choices = [
        ("preset", Literal[tuple(PRESETS)], default.preset),
        ("objective", Literal[tuple(OBJECTIVES)], default.objective),
    ]
    listed = make_dataclass("Recipe", choices, bases=(Recipe,), frozen=True, kw_only=True)
    return listed(**_values(default))


def _values(recipe: Recipe) -> dict[str, Any]:
    return {field.name: getattr(recipe, field.name) for field in fields(recipe)}


def _train_recipe(default: Recipe) -> Callable[..., None]:
    """`train` with the settings of a practical recipe and their defaults."""
    flags = _flags_of(default)

    def train(
        recipe: tyro.conf.OmitArgPrefixes[type(flags)] = flags,  # type: ignore[valid-type]  # known when it runs
        out: Path = Path("runs/recipe"),
        force: bool = False,
        distributed: bool = False,
    ) -> None:
        """Train a practical recipe and record its spectrum; the same command goes on with a run that was stopped.

        Args:
            recipe: Settings of the run; the defaults are those of the preset for the objective.
            out: Folder for the results.
            force: Begin anew where the folder holds a run already.
            distributed: Share the batch with the other processes of this job, which run the same command on the same
                folder. TPU slices, Slurm and Open MPI say who they are; elsewhere JAX_COORDINATOR_ADDRESS,
                JAX_NUM_PROCESSES and JAX_PROCESS_ID do.
        """
        from dynamics.cli.tables import probes_line, steps_line

        if distributed:
            from dynamics.training.sharding import join_processes

            join_processes()
        measured = _trained_recipe(Recipe(**_values(recipe)), out, force)
        if _is_first():
            show(f"\n{steps_line(measured)}")
            if "linear_accuracy" in measured.metrics:
                show(probes_line(measured))
            draw_run(out)

    return train


def _compare_recipe(default: Recipe) -> Callable[..., None]:
    """`compare` with the settings of a practical recipe and their defaults."""
    flags = _flags_of(default)

    def compare(
        settings: tyro.conf.OmitArgPrefixes[type(flags)] = flags,  # type: ignore[valid-type]
        recipe: Literal["practical"] = "practical",
        pairs: int = 2048,
        tangent_pairs: int = 128,
        fixed_pairs: bool = True,
        out: Path = Path("runs/recipe"),
        force: bool = False,
    ) -> None:
        """Train a practical recipe, and say how much of it the kernels of its network explain.

        Args:
            settings: Settings of the run; the defaults are those of the preset for the objective.
            recipe: The kind of recipe.
            pairs: Training images on which conjugate kernels are taken.
            tangent_pairs: Pairs m of the probe batch on which tangent kernels are taken and subspaces compared.
            fixed_pairs: Train the network on these m pairs alone, too (rung 3): about as long as the run itself.
            out: Folder for the results; a run that is finished there is not trained again.
            force: Begin anew where the folder holds a run already.
        """
        from dynamics.cli.tables import overlap_table, recipe_table, steps_line
        from dynamics.recipe.comparison import compare_recipe
        from dynamics.recipe.prepare import prepare
        from dynamics.runs.resume import checkpoints
        from dynamics.runs.store import write_trajectories

        settings = Recipe(**_values(settings))
        measured = _trained_recipe(settings, out, force)
        show(f"\n{steps_line(measured)}")
        prepared = prepare(settings)
        trained, _ = checkpoints(out).latest(prepared.state) or (None, None)
        if trained is None or int(trained.step) != settings.steps:
            raise ConfigError(f"{out} lacks the checkpoint of the last step; --force trains the run again.")
        found = compare_recipe(
            prepared,
            measured,
            trained,
            pairs=pairs,
            tangent_pairs=tangent_pairs,
            fixed_pairs=fixed_pairs,
            report_cost=report_cost,
        )
        write_trajectories(out, found.forecasts)
        found.save(out / "comparison.json", measured)
        show(recipe_table(measured, found.forecasts))
        show()
        show(overlap_table(found.overlaps, found.chance))
        draw_run(out)

    return compare


def _trained_recipe(recipe: Recipe, out: Path, force: bool) -> "Trajectory":
    """The trajectory of a practical run: read if it is finished, gone on with if it was stopped, else trained.

    Of several processes the first alone prints and writes.
    """
    from dynamics.recipe.prepare import prepare, train
    from dynamics.runs import resume as recipe_runs
    from dynamics.runs.store import write_trajectories
    from dynamics.training.sharding import wait_for_all

    tell = show if _is_first() else lambda text="": None
    if _is_first():
        begun = recipe_runs.begin(out, recipe, force=force)
    wait_for_all("begun")
    if not _is_first():
        begun = recipe_runs.begin(out, recipe)
    wait_for_all("found")
    if begun == "finished":
        tell(f"{out} holds this run, finished; --force trains it again.")
        measured = recipe_runs.measured(out)
        assert measured is not None  # a finished run has its trajectory
        return measured
    prepared = prepare(recipe)
    tell(prepared.describe())
    tell(
        f"{recipe.objective}: {recipe.steps:,} steps, {recipe.batch} images a step, on {prepared.placement.describe()}"
    )
    if _is_first():
        recipe_runs.write_settings(out, recipe, {"title": prepared.title(), "network": prepared.describe()})
    measured = train(
        prepared,
        recipe_runs.checkpoints(out, recipe.checkpoint_seconds),
        report_cost=report_cost if _is_first() else None,
        report_resumed=lambda step: tell(f"Going on from the checkpoint of step {step:,}."),
    )
    if _is_first():
        write_trajectories(out, {measured.rung: measured})
    if measured.partial:
        how = measured.outcome.describe()
        if measured.outcome.kind == "interrupted":
            raise KeyboardInterrupt(f"{how}; the same command goes on from there.")
        kept = recipe_runs.checkpoints(out).steps()
        last = f"the last good checkpoint is of step {kept[-1]}" if kept else "there was no checkpoint yet"
        raise DivergenceError(f"The training diverged: {how}; {last}. Lower --learning-rate, or set --clip.")
    return measured


def _is_first() -> bool:
    """Whether this is the only process of the job, or the first."""
    import jax

    return jax.process_index() == 0
