"""What `simulate --dynamics NAME` does: the forecast of a model that can be solved, or under another objective."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from dynamics.cli.console import TYPED, conclude, print_json, show
from dynamics.experiment.config import Config

if TYPE_CHECKING:
    from dynamics.experiment.preparation import Experiment
    from dynamics.trajectories.trajectory import Trajectory


Solve = Callable[[str, "Experiment"], "Trajectory"]


def simulate_solved(name: str, config: Config, out: Path | None, force: bool, json: bool = False) -> None:
    """Forecast with a solvable model: settings, trajectory, table and figure; with `json` one object in their place."""
    from dynamics.cli.machine import solution_object
    from dynamics.cli.tables import solution_table
    from dynamics.experiment.solvable import solve
    from dynamics.solvable import solvable_model

    solvable_model(name)  # a wrong name is answered before anything long begins
    folder, experiment, trajectory = _simulated(name, config, out, force, solve)
    show(solution_table(trajectory))
    share = f"{100 * trajectory.solution.off_diagonal:.0f} %"
    show(
        f"\nThe modes are those of the {experiment.kernel.name}. In their basis {share} of the covariance of single "
        "views lies off the diagonal; these models leave that part out."
    )
    conclude(folder)
    if json:
        print_json(solution_object(trajectory, folder))


def simulate_objective(name: str, config: Config, out: Path | None, force: bool, json: bool = False) -> None:
    """Forecast under another objective: table of what is learned first, and figure; with `json` one object instead."""
    from dynamics.cli.machine import objective_object
    from dynamics.cli.tables import objective_line, objective_table
    from dynamics.experiment.objective import first_of_experiment, forecast_objective
    from dynamics.objectives.escape import escape_law

    folder, experiment, trajectory = _simulated(name, config, out, force, forecast_objective)
    first, law = first_of_experiment(name, experiment), escape_law(name, dim=max(config.dim, 2))
    show(objective_table(trajectory, first, experiment.learning_rate))
    show(f"\n{objective_line(name, law, first)}")
    show(f"\nKernel: {experiment.kernel.name}; {experiment.kernel.reason}.")
    conclude(folder)
    if json:
        print_json(objective_object(trajectory, first, law, folder))


def _simulated(
    name: str, config: Config, out: Path | None, force: bool, solve: Solve
) -> tuple[Path, "Experiment", "Trajectory"]:
    """Prepare an experiment, solve it, and write modes and trajectory into the folder of the run."""
    from dynamics.experiment.preparation import prepare
    from dynamics.runs.consistency import fingerprint
    from dynamics.runs.resume import claim, found, numbered_folder
    from dynamics.runs.settings import RunSettings
    from dynamics.runs.store import write_modes, write_trajectories

    values = config.to_dict() | {"dynamics": name}
    settings = RunSettings(
        kind="experiment", command=f"simulate --dynamics {name}", config=values, arguments=[*TYPED.get()]
    )
    folder = out or numbered_folder(Path("runs") / f"simulate-{name}", settings, config.WITHOUT_EFFECT)
    found(folder, settings, without_effect=config.WITHOUT_EFFECT, force=force)
    experiment = prepare(config)
    trajectory = solve(name, experiment)
    modes = experiment.kernel.modes
    resolved = experiment.resolved_with(experiment.frozen_schedule)  # no run is made, whose steps the moving model says
    prepared = structs.replace(settings, title=experiment.title, resolved=resolved, modes=fingerprint(modes))
    claim(folder, prepared, force=force)
    write_modes(folder, modes)
    write_trajectories(folder, {trajectory.rung: trajectory})
    return folder, experiment, trajectory
