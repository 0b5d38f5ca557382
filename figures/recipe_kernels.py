"""How much of three practical runs the kernels of their network explain, before and after training.

    uv run python figures/recipe_kernels.py [--quick] [--runs FOLDER] [--out FOLDER]

Three runs of `dynamics compare --recipe practical --preset cpu`, minutes each on two cores. A run that was stopped
goes on where it was, and one that is finished is not run again. The figure is that of Barlow Twins.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from dynamics.support.files import save_json
from dynamics.trajectories.comparison import Comparison

HERE = Path(__file__).parent
OBJECTIVES = ("barlow-twins", "vicreg", "simclr")
QUICK = (
    *("--network", "resnet10", "--width", "0.0625", "--projector", "8", "--dim", "3", "--batch", "8"),
    *("--num-images", "40", "--probe-images", "16", "--steps", "24", "--pairs", "32", "--tangent-pairs", "6"),
)


def compared(objective: str, folder: Path, quick: bool) -> Comparison:
    """The comparison of one run, made by the command line."""
    command = ("compare", "--recipe", "practical", "--preset", "cpu", "--objective", objective, "--out", str(folder))
    subprocess.run([sys.executable, "-m", "dynamics", *command, *(QUICK if quick else ())], check=True)
    return Comparison.load(folder / "comparison.json")


def numbers(comparison: Comparison) -> dict:
    """Overlap of what was learned with the modes of each kernel at the end, and predicted / measured step times."""
    kernels = comparison.kernel_overlaps
    return {
        "overlap_at_the_end": {name: round(float(values[-1]), 3) for name, values in kernels.overlaps.items()},
        "chance": round(kernels.chance, 3),
        "step_time_ratio": {name: np.round(ratio, 2) for name, ratio in comparison.step_time_ratio.items()},
    }


def main() -> None:
    """Run what is missing, and keep its numbers and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny settings")
    parser.add_argument("--runs", type=Path, help="where the runs stay; by default below --out, or runs/recipe_kernels")
    parser.add_argument("--out", type=Path, default=HERE, help="where the results go")
    arguments = parser.parse_args()
    runs = arguments.runs or (Path("runs/recipe_kernels") if arguments.out == HERE else arguments.out / "runs")
    found = {name: numbers(compared(name, runs / name, arguments.quick)) for name in OBJECTIVES}
    save_json(arguments.out / "recipe_kernels.json", found)
    for kind in ("png", "pdf"):
        shutil.copyfile(runs / OBJECTIVES[0] / f"comparison.{kind}", arguments.out / f"recipe_kernels.{kind}")


if __name__ == "__main__":
    main()
