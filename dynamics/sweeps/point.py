"""One point of a sweep: a run of any rung, prepared, forecast, trained, compared and written."""

from pathlib import Path

from dynamics.experiment.config import Config
from dynamics.experiment.run import ExperimentRun
from dynamics.recipe.config import Recipe
from dynamics.recipe.run import RecipeRun
from dynamics.runs.interface import PreparedRun, settings_of
from dynamics.runs.resume import checkpoints, claim, found, measured
from dynamics.runs.settings import Kind, holds_run
from dynamics.runs.store import is_compared, read_run, write_comparison, write_modes, write_trajectories
from dynamics.runs.tables import write_tables
from dynamics.views.datasets import check_images
from dynamics.views.sampling import check_dataset


def kind_of(config: Config | Recipe) -> Kind:
    """Which kind of run these settings are of."""
    return "recipe" if isinstance(config, Recipe) else "experiment"


def check_data(config: Config | Recipe) -> None:
    """Raise `DataError` or `ConfigError` if the data set of a run is known not to be there; nothing is loaded."""
    if isinstance(config, Recipe):
        check_images(config.dataset, config.data_dir, image_size=config.image_size)
    else:
        check_dataset(config.dataset, config.data_dir, augmentation=config.augmentation, image_size=config.image_size)


def prepare_run(config: Config | Recipe) -> PreparedRun:
    """Prepare a run of either kind. Of a recipe the steps are compared between runs, and no kernel is taken."""
    return RecipeRun.of(config, kernels=False) if isinstance(config, Recipe) else ExperimentRun.of(config)


def run_point(config: Config | Recipe, folder: Path) -> None:
    """Carry one run through to its comparison and tables, as `dynamics compare` does; a run that was stopped goes on.

    Raises
    ------
    DynamicsError
        If the run cannot be made, or ends early.
    """
    kind = kind_of(config)
    begun = found(folder, settings_of(kind, "compare", config))
    run = prepare_run(config)
    claim(folder, settings_of(kind, "compare", config, run))
    if run.modes is not None:
        write_modes(folder, run.modes)
    forecasts = run.forecast()
    trained = measured(folder) if begun == "finished" else None
    if trained is None:
        trained = run.train(checkpoints(folder))
    write_trajectories(folder, {**forecasts, trained.rung: trained})
    if trained.outcome.kind == "interrupted":
        raise KeyboardInterrupt(trained.outcome.describe())
    forecasts, comparison = run.compare(trained, forecasts, checkpoints(folder))
    write_trajectories(folder, forecasts)
    write_tables(read_run(folder))
    write_comparison(folder, comparison)  # last, since it says that the run is finished


def is_finished(folder: Path, config: Config | Recipe) -> bool:
    """Whether a folder holds this run, carried through to its comparison."""
    return is_compared(folder) and holds_run(folder, settings_of(kind_of(config), "compare", config))
