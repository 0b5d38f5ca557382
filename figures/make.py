"""Draw every figure of this folder again: `uv run python figures/make.py [NAME …] [--quick] [--data-dir DIR]`.

Without a name all are drawn, and the width sweep alone takes a quarter of an hour on two cores; `--list` says which
there are. Each comes from a command that can be run alone, and its results stay in `--runs`. `--quick` uses tiny
settings, to see that it works, and wants another `--out`.
"""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
DYNAMICS = ("-m", "dynamics")
TINY = (
    *("--num-pairs", "16", "--dim", "2", "--network", "mlp", "--width", "32", "--depth", "1", "--lr-fraction", "0.3"),
    *("--multiplier", "auto"),
)


@dataclass(frozen=True)
class Recipe:
    """One command and the figures that it makes.

    Parameters
    ----------
    command : tuple of str
        Arguments of Python; `--out FOLDER` is added.
    files : mapping
        File that the command writes -> its name in `figures/`.
    quick : tuple of str, or mapping
        Further arguments of the quick mode; of a study, settings of its `run`.
    data_files : mapping
        The same as `files`, written only where there is a `--data-dir` with the official CIFAR-10 files.
    """

    command: tuple[str, ...]
    files: Mapping[str, str]
    quick: tuple[str, ...] | Mapping[str, int] = ()
    data_files: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, folder: Path, quick: bool) -> list[str]:
        """Arguments of Python that fill `folder`."""
        if quick and isinstance(self.quick, Mapping):
            settings = "".join(f", {name}={value}" for name, value in self.quick.items())
            run = f"load_study({self.command[-1]!r}).run(Path({str(folder)!r}){settings})"
            return ["-c", f"from pathlib import Path\nfrom dynamics.studies import load_study\n{run}"]
        return [*self.command, "--out", str(folder), *(self.quick if quick else ())]


def script(name: str) -> Recipe:
    """A script of this folder, which writes its numbers beside its figure."""
    files = {f"{name}.{kind}": f"{name}.{kind}" for kind in ("png", "pdf", "json")}
    return Recipe((str(HERE / f"{name}.py"),), files, ("--quick",))


def study(name: str, figures: Mapping[str, str], quick: Mapping[str, int], data: Mapping[str, str] | None = None):
    """A study, whose figures have longer names here."""
    named, on_data = (
        {f"{made}.png": f"{kept}.png" for made, kept in (group or {}).items()} for group in (figures, data)
    )
    return Recipe((*DYNAMICS, "study", name), named, quick, on_data)


RECIPES: dict[str, Recipe] = {
    "compare": Recipe((*DYNAMICS, "compare"), {"comparison.png": "compare.png", "comparison.pdf": "compare.pdf"}, TINY),
    "width_sweep": script("width_sweep"),
    "diagnosis": Recipe(
        (str(HERE.parent / "tests" / "benchmarks" / "bench_diagnosis.py"),),
        {"diagnosis.json": "diagnosis.json"},
        ("--only", "vicreg"),
    ),
    "label_forecast": Recipe(
        (str(HERE / "label_forecast.py"),),
        {},
        ("--quick",),
        {f"label_forecast.{kind}": f"label_forecast.{kind}" for kind in ("png", "pdf", "json")},
    ),
    "augmentation_rank": Recipe(
        (str(HERE / "augmentation_rank.py"),),
        {},
        ("--quick",),
        {f"augmentation_rank.{kind}": f"augmentation_rank.{kind}" for kind in ("png", "pdf", "json")},
    ),
    "preconditioning": script("preconditioning"),
    "jepa_phases": script("jepa_phases"),
    "objective_steps": script("objective_steps"),
    "cost": Recipe(
        (str(HERE.parent / "tests" / "benchmarks" / "run.py"), "--only", "exponents"),
        {f"cost.{kind}": f"cost.{kind}" for kind in ("png", "pdf", "json")},
        ("--quick",),
    ),
    "recipe": script("recipe"),
    "recipe_kernels": script("recipe_kernels"),
    "practical_steps": script("practical_steps"),
    "saddle_steps": script("saddle_steps"),
    "stepwise": study(
        "stepwise",
        {
            "mlp_digits": "stepwise_mlp_digits",
            "fig1cd_digits": "stepwise_fig1cd",
            "fig2_digits": "stepwise_fig2",
            "modes_digits": "stepwise_modes",
        },
        {"num_pairs": 60, "dim": 4, "width": 32, "num_seeds": 2},
        {"fig1_cifar10": "stepwise_fig1_cifar10", "colours": "stepwise_colours"},
    ),
    "spectral-embedding": study(
        "spectral-embedding",
        {
            "twins": "spectral_twins",
            "flows": "spectral_flows",
            "downstream_digits": "spectral_downstream",
            "landscape_digits": "spectral_landscape",
        },
        {"num_images": 60, "num_seeds": 2},
    ),
    "inductive-bias": study(
        "inductive-bias",
        {
            "errors": "inductive_errors",
            "bounds": "inductive_bounds",
            "phi": "inductive_phi",
            "clusters": "inductive_clusters",
        },
        {"num_seeds": 1},
    ),
    "homomorphic": study(
        "homomorphic",
        {name: f"homomorphic_{name}" for name in ("filter", "scales", "steps", "ladders", "table", "sweep")},
        {"num_seeds": 1, "steps": 5, "sweep_steps": 5, "num_images": 8, "dim": 2},
    ),
    "kernel-drift": study("kernel-drift", {"drifts": "kernel_drift"}, {"num_seeds": 3}),
    "simve": study(
        "simve",
        {
            "linear_dynamics": "simve_dynamics",
            "linear_thresholds": "simve_thresholds",
            "methods_digits": "simve_methods",
            "budgets_digits": "simve_budgets",
            "images_digits": "simve_images",
            "noise_digits": "simve_noise",
        },
        {"num_seeds": 2, "steps": 5},
    ),
}


def make(name: str, out: Path, runs: Path, quick: bool, data_dir: Path | None) -> None:
    """Run one recipe and copy its figures to `out`."""
    recipe, folder = RECIPES[name], runs / name
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *recipe.arguments(folder, quick)]
    files = dict(recipe.files)
    if recipe.data_files and data_dir is not None:
        command += ["--data-dir", str(data_dir)]
        files |= recipe.data_files
    print(f"{name}: python {' '.join(command[1:])}".splitlines()[0], flush=True)
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print(done.stdout[-2000:])
        raise SystemExit(f"error: {name} ended with status {done.returncode}; the other figures are as they were.")
    for made, kept in files.items():
        shutil.copyfile(folder / made, out / kept)
    print(f"{name}: {', '.join(files.values())} ({time.perf_counter() - began:.0f} s)", flush=True)
    for missing in recipe.data_files.values() if data_dir is None else ():
        print(f"{name}: {missing} left as it was; it needs --data-dir with the official CIFAR-10 files")


def main() -> None:
    """Parse the command line and make what it names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to draw; everything by default")
    parser.add_argument("--list", action="store_true", help="say which there are")
    parser.add_argument("--quick", action="store_true", help="tiny settings")
    parser.add_argument("--out", type=Path, default=HERE, help="where the figures go")
    parser.add_argument("--runs", type=Path, default=Path("runs/figures"), help="where the results stay")
    parser.add_argument("--data-dir", type=Path, help="folder with the official files of real data sets")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in RECIPES]
    if unknown:
        parser.error(f"there is no figure {unknown[0]!r}; known are {', '.join(RECIPES)}")
    if arguments.list:
        for name, recipe in RECIPES.items():
            print(f"{name:20} {', '.join([*recipe.files.values(), *recipe.data_files.values()])}")
        return
    if arguments.quick and arguments.out == HERE:
        parser.error("--quick needs another --out: tiny settings are not what this folder should show")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or list(RECIPES):
        make(name, arguments.out, arguments.runs, arguments.quick, arguments.data_dir)


if __name__ == "__main__":
    main()
