"""Commands whose flags are the settings of a practical recipe.

They are `dynamics train --preset`, `dynamics sweep --preset` and `dynamics compare --recipe practical`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, make_dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import tyro

from dynamics.cli.console import conclude, show
from dynamics.cli.groups import Optionally, Switch, Unnamed
from dynamics.cli.saved import Saved
from dynamics.cli.sweeping import Varied, run_sweep
from dynamics.objectives.registry import OBJECTIVES
from dynamics.recipe.config import AUTO, PRESETS, Recipe, recipe_preset

if TYPE_CHECKING:
    from dynamics.cli.running import OpenRun
    from dynamics.recipe.run import RecipeRun
    from dynamics.trajectories.trajectory import Trajectory


@dataclass
class _Chosen:
    """The flags that decide which other settings there are, and their defaults."""

    preset: str | None = None
    objective: str | None = None
    recipe: str | None = None


def recipe_commands(arguments: Sequence[str], saved: Saved | None = None) -> dict[str, Callable[..., None]]:
    """Commands whose settings, and the defaults of these, follow from the preset and objective that are asked for.

    Those of a saved recipe follow from it instead.

    Raises
    ------
    ConfigError
        If there is no such preset or objective.
    """
    if saved is not None and isinstance(saved.config, Recipe):
        recipe = saved.config
        compare = _compare_recipe(recipe, saved.resolved)
        return {"train": _train_recipe(recipe), "sweep": _sweep_recipe(recipe), "compare": compare}
    chosen, _ = tyro.cli(_Chosen, prog="dynamics", args=arguments, return_unknown_args=True, add_help=False)
    if chosen.preset is None and chosen.recipe is None:
        return {}
    default = recipe_preset(chosen.preset or "cpu", chosen.objective)
    commands = {} if chosen.preset is None else {"train": _train_recipe(default), "sweep": _sweep_recipe(default)}
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
        recipe: Unnamed[type(flags)] = flags,  # type: ignore[valid-type]
        out: Optionally[Path] = None,
        force: Switch = False,
        distributed: Switch = False,
    ) -> None:
        """Train a practical recipe and record its spectrum; the same command goes on with a run that was stopped.

        Parameters
        ----------
        recipe
            Settings of the run; the defaults are those of the preset for the objective.
        out
            Folder for the results; by default runs/recipe, or the next free number of it.
        force
            Replace the run that the folder holds.
        distributed
            Share the batch with the other processes of this job, which run the same command on the same
            folder. They find each other on TPU slices and under Slurm and Open MPI; elsewhere set
            JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID.
        """
        from dynamics.training.sharding import is_first_process, join_processes

        if distributed:
            join_processes()
        opened, _ = _trained("train", Recipe(**_values(recipe)), out, force, kernels=False)
        if is_first_process():
            conclude(opened.folder)

    return train


def _compare_recipe(default: Recipe, how: Mapping[str, Any] = MappingProxyType({})) -> Callable[..., None]:
    """`compare` with the settings of a practical recipe and their defaults; those of the kernels are in `how`."""
    flags = _flags_of(default)

    def compare(
        settings: Unnamed[type(flags)] = flags,  # type: ignore[valid-type]
        recipe: Literal["practical"] = "practical",
        pairs: int = how.get("pairs", 2048),
        tangent_pairs: int = how.get("tangent_pairs", 128),
        fixed_pairs: bool = how.get("fixed_pairs", True),
        out: Optionally[Path] = None,
        force: Switch = False,
    ) -> None:
        """Train a practical recipe, and say how much of it the kernels of its network explain.

        Parameters
        ----------
        settings
            Settings of the run; the defaults are those of the preset for the objective.
        recipe
            The kind of recipe.
        pairs
            Number of training images on which conjugate kernels are evaluated.
        tangent_pairs
            Number m of pairs of the probe batch on which tangent kernels are evaluated and subspaces compared.
        fixed_pairs
            Train the network on these m pairs alone, too (rung 3), which takes about as long as the run itself.
        out
            Folder for the results; a run that is finished there is not trained again. By default runs/recipe, or
            the next free number of it.
        force
            Replace the run that the folder holds.
        """
        from dynamics.cli.running import compared
        from dynamics.cli.tables import ahead_line, overlap_table, recipe_table

        how = {"pairs": pairs, "tangent_pairs": tangent_pairs, "fixed_pairs": fixed_pairs}
        opened, measured = _trained("compare", Recipe(**_values(settings)), out, force, **how)
        forecasts, comparison = compared(opened, measured, opened.run.forecast())
        show(recipe_table(measured, forecasts))
        show(f"\n{ahead_line(measured)}\n")
        show(overlap_table(comparison.kernel_overlaps))
        conclude(opened.folder)

    return compare


def _sweep_recipe(default: Recipe) -> Callable[..., None]:
    """`sweep` over the settings of a practical recipe."""
    flags = _flags_of(default)

    def sweep(
        vary: Varied,
        config: Unnamed[type(flags)] = flags,  # type: ignore[valid-type]
        jobs: Optionally[int] = None,
        parquet: Switch = False,
        out: Path = Path("runs/sweep"),
    ) -> None:
        """Train a practical recipe over a grid of settings, several runs at a time, and draw when each learned what.

        Parameters
        ----------
        vary
            A setting and its values, such as learning-rate=0.003,0.01 or seed=0,1,2; of several settings all
            combinations are run.
        config
            Settings that all runs share.
        jobs
            Runs at a time; by default one a core, or one on an accelerator.
        parquet
            Write the table as Parquet as well as CSV.
        out
            Folder for the results; the same command goes on with a sweep that was stopped.
        """
        run_sweep(Recipe(**_values(config)), vary, jobs=jobs, parquet=parquet, out=out)

    return sweep


def _trained(
    command: str, recipe: Recipe, out: Path | None, force: bool, **how: Any
) -> tuple["OpenRun[RecipeRun]", "Trajectory"]:
    """The run in its folder, trained to its end, with what it learned on the screen."""
    from dynamics.cli.running import Request, open_run, trained
    from dynamics.cli.tables import probes_line, rate_line, steps_line
    from dynamics.recipe.run import RecipeRun
    from dynamics.training.sharding import is_first_process

    opened = open_run(Request(command, "recipe", recipe, partial(RecipeRun.of, recipe, **how), out, "recipe", force))
    measured = trained(opened, recipe.checkpoint_seconds)
    if is_first_process():
        show(f"\n{steps_line(measured)}")
        if recipe.learning_rate == AUTO:
            show(rate_line(measured))
        if "linear_accuracy" in measured.metrics:
            show(probes_line(measured))
    return opened, measured
