"""When MLPs whose weights all start small learn each dimension: `uv run python figures/saddle_steps.py [--quick]`.

One and two hidden layers of 64 units, 32 pairs of digits, d = 4, three seeds, from starts of several scales α. Every
run is forecast from saddle to saddle, trained, and compared: step times, and what has been learned on each plateau.
Writes `saddle_steps.json`, `.png` and `.pdf` beside this file; a run that is finished is not made again.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from dynamics.drawing.trajectories import style
from dynamics.experiment import prepare, train
from dynamics.experiment.config import Config
from dynamics.support.files import save_figure, save_json
from dynamics.trajectories import Trajectory, step_times
from dynamics.trajectories.metrics import span_overlap

HERE = Path(__file__).parent
SETTINGS = {"num_pairs": 32, "dim": 4, "network": "mlp", "width": 64, "init": "all"}
QUICK = {**SETTINGS, "num_pairs": 8, "dim": 2, "width": 8}
SCALES = {1: (1.0, 0.3, 0.1, 0.03), 2: (1.0, 0.5, 0.25)}
"""Scales α of the start, by the number of hidden layers."""

SEEDS = (0, 1, 2)


def measured_run(settings: dict, depth: int, scale: float, seed: int) -> dict:
    """Predicted and measured step times of one run, and the overlap of what is learned on every plateau."""
    experiment = prepare(Config(depth=depth, init_scale=scale, seed=seed, **settings))
    path, measured = experiment.saddles.trajectory, train(experiment)
    tau = step_times(measured)
    return {
        "depth": depth,
        "scale": scale,
        "seed": seed,
        "training_steps": experiment.schedule.steps,
        "solver_steps": len(path.times) - 1,
        "measured": tau,
        "predicted": step_times(path),
        "overlap": [round(overlap, 3) for overlap in overlaps(path, measured, tau)],
    }


def overlaps(path: Trajectory, measured: Trajectory, tau: np.ndarray) -> list[float]:
    """Overlap of the r leading directions of both in the middle between steps r and r + 1, for every r below d."""
    found = []
    for r in range(1, len(tau)):
        if not np.isfinite(tau[r]):
            break
        middle = (tau[r - 1] + tau[r]) / 2
        F, G = (run.embeddings[np.abs(run.embedding_times - middle).argmin()] for run in (path, measured))
        found.append(span_overlap(F - F.mean(axis=0), G - G.mean(axis=0), r))
    return found


def measure(path: Path, quick: bool, depths: list[int], seeds: list[int]) -> None:
    """Make the runs that the file does not hold, and write each as it ends."""
    settings = QUICK if quick else SETTINGS
    found = json.loads(path.read_text()) if path.exists() else {"settings": settings, "runs": []}
    if found["settings"] != settings:
        raise SystemExit(f"error: {path} holds runs with other settings; remove it to measure anew")
    done = {(run["depth"], run["scale"], run["seed"]) for run in found["runs"]}
    for depth in depths:
        for scale in SCALES[depth][1:2] if quick else SCALES[depth]:
            for seed in seeds:
                if (depth, scale, seed) in done:
                    continue
                found["runs"].append(measured_run(settings, depth, scale, seed))
                save_json(path, found)
                last = found["runs"][-1]
                ratios = np.round(last["predicted"] / last["measured"], 3)
                print(f"depth {depth}, α = {scale:g}, seed {seed}: {ratios.tolist()}", flush=True)


def draw(found: dict) -> plt.Figure:
    """Measured step times against predicted ones, and their ratio against α."""
    figure, axes = plt.subplots(1, 2, figsize=(6.6, 2.9))
    for depth, color in ((1, "#1d4ed8"), (2, "#c2410c")):
        runs = [run for run in found["runs"] if run["depth"] == depth]
        if not runs:
            continue
        name = f"{depth} hidden layer{'s' if depth > 1 else ''}"
        points = [
            (run["scale"], m, p)
            for run in runs
            for m, p in zip(run["measured"], run["predicted"], strict=True)
            if m is not None and p is not None and m > 0
        ]
        scale, measured, predicted = np.array(points).T
        axes[0].plot(predicted, measured, "o", ms=3, mfc="none", color=color, label=name)
        axes[1].plot(scale, predicted / measured, "o", ms=3, mfc="none", color=color)
    ends = np.array(axes[0].get_xlim())
    low = max(ends[0], 1e-1)
    axes[0].plot([low, ends[1]], [low, ends[1]], color="0.6", lw=0.8, zorder=0)
    axes[0].set(xscale="log", yscale="log", xlabel="predicted step time t", ylabel="measured step time t")
    axes[0].legend(frameon=False)
    axes[1].axhline(1, color="0.6", lw=0.8, zorder=0)
    axes[1].axhspan(0.97, 1.03, color="0.93", zorder=-1)
    axes[1].set(xscale="log", xlabel="scale α of all weights", ylabel="predicted / measured")
    return figure


def main() -> None:
    """Make the runs that are missing, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", nargs="+", type=int, choices=SCALES, default=list(SCALES), help="hidden layers")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="seeds")
    parser.add_argument("--quick", action="store_true", help="one tiny run each: shows that it works")
    parser.add_argument("--redraw", action="store_true", help="only draw the numbers again")
    parser.add_argument("--out", type=Path, default=HERE, help="where the results go")
    arguments = parser.parse_args()
    path = arguments.out / "saddle_steps.json"
    if not arguments.redraw:
        arguments.out.mkdir(parents=True, exist_ok=True)
        measure(path, arguments.quick, arguments.depths, [0] if arguments.quick else arguments.seeds)
    with style():
        save_figure(draw(json.loads(path.read_text())), arguments.out / "saddle_steps")


if __name__ == "__main__":
    main()
