"""Barlow Twins, VICReg and SimCLR on a ResNet-18 of width 1/8, from a small and from the standard start.

    uv run python figures/recipe.py [--quick] [--redraw] [--runs FOLDER]

Six runs of `dynamics train --preset cpu`, a few minutes each on two cores. A run that was stopped goes on where
it was, and one that is finished is not run again.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from dynamics.drawing.trajectories import mode_colors, style
from dynamics.errors import DynamicsError
from dynamics.recipe.config import Recipe, recipe_preset
from dynamics.recipe.run import RecipeRun
from dynamics.runs import resume
from dynamics.runs.interface import settings_of
from dynamics.runs.store import write_trajectories
from dynamics.support.files import save_figure, save_json
from dynamics.trajectories.comparison import distinct_steps
from dynamics.trajectories.ladder import MEASURED
from dynamics.trajectories.trajectory import Trajectory

HERE = Path(__file__).parent
OBJECTIVES = {"barlow-twins": "Barlow Twins", "vicreg": "VICReg", "simclr": "SimCLR"}
STARTS = {"small": "small start", "standard": "standard start"}
QUICK = {
    "network": "resnet10",
    "width": 1 / 16,
    "projector": (16,),
    "dim": 3,
    "batch": 16,
    "num_images": 64,
    "probe_images": 32,
    "steps": 30,
}


def trained(recipe: Recipe, folder: Path) -> Trajectory:
    """The trajectory of a recipe, from its folder if it is finished there."""
    if resume.found(folder, settings_of("recipe", "train", recipe)) == "finished":
        return resume.measured(folder)
    run = RecipeRun.of(recipe)
    resume.claim(folder, settings_of("recipe", "train", recipe, run))
    print(f"{folder}: {recipe.steps:,} steps", flush=True)
    trajectory = run.train(resume.checkpoints(folder))
    write_trajectories(folder, {trajectory.rung: trajectory})
    if trajectory.partial:
        raise SystemExit(f"{trajectory.outcome.describe()}; the same command goes on from there")
    return trajectory


def measure(runs: Path, quick: bool) -> dict:
    """Numbers of the figure by objective and start."""
    found = {}
    for objective in OBJECTIVES:
        for start in STARTS:
            recipe = replace(recipe_preset("cpu", objective), init=start)
            recipe = replace(recipe, **QUICK) if quick else recipe
            trajectory = trained(recipe, runs / f"{objective}-{start}")
            found.setdefault(objective, {})[start] = {
                "steps": trajectory.steps,
                "loss": trajectory.loss.round(3),
                "eigenvalues": trajectory.eigenvalues.round(3),
                "distinct_steps": len(distinct_steps(trajectory)),
                "recipe": recipe.to_dict(),
            }
    return found


def draw(found: dict) -> plt.Figure:
    """Loss, and eigenvalues from either start, one column a method."""
    figure, axes = plt.subplots(3, len(found), figsize=(10.2, 6.4), sharex="col", height_ratios=(1, 1.2, 1.2))
    for column, (objective, starts) in enumerate(found.items()):
        loss, *panels = axes[:, column]
        for start, color, width in (("standard", "0.65", 1.2), ("small", MEASURED, 1.8)):
            loss.plot(starts[start]["steps"], starts[start]["loss"], color=color, lw=width, label=STARTS[start])
        loss.set(title=OBJECTIVES[objective], ylabel="loss" if column == 0 else "")
        for ax, start in zip(panels, STARTS, strict=True):
            u = np.array(starts[start]["eigenvalues"])
            for curve, color in zip(u.T, mode_colors(u.shape[1]), strict=True):
                ax.plot(starts[start]["steps"], curve, color=color, lw=1.1)
            count = starts[start]["distinct_steps"]
            ax.set_title(f"{STARTS[start]}: {count} of {u.shape[1]} in distinct steps", fontsize=7.5)
            ax.set_ylabel("eigenvalues of $C$" if column == 0 else "")
        panels[-1].set_xlabel("training step")
    axes[0, 0].legend(loc="upper right")
    return figure


def main() -> None:
    """Train, or draw again from the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny networks and 30 steps: shows that it works")
    parser.add_argument("--redraw", action="store_true", help="only draw recipe.json again")
    parser.add_argument("--runs", type=Path, help="folder of the six runs (default: runs/figure-recipe)")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    path = arguments.out / "recipe.json"
    if not arguments.redraw:
        arguments.out.mkdir(parents=True, exist_ok=True)
        runs = arguments.runs or Path("runs", "figure-recipe-quick" if arguments.quick else "figure-recipe")
        try:
            save_json(path, measure(runs, arguments.quick))
        except DynamicsError as error:
            raise SystemExit(f"error: {error}") from None
    with style():
        save_figure(draw(json.loads(path.read_text())), arguments.out / "recipe")


if __name__ == "__main__":
    main()
