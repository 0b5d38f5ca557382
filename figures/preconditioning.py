"""Steps to the last mode, plain against preconditioned: `uv run python figures/preconditioning.py [--quick]`.

Real networks on real digits, full batch, each method at the same fraction of its own stability limit: 1/(4γ_1) plain
and focused on small directions, 1/4 with Γ^{-1} in mode space. In the last panel a filled mark is a lazy network, a
hollow one a network at output multiplier 1. Writes `preconditioning.json`, `.png` and `.pdf` beside this file.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from dynamics.drawing.trajectories import mode_colors, style
from dynamics.experiment import Experiment, prepare
from dynamics.experiment.config import Config
from dynamics.flow import kernel_flow
from dynamics.solvable import Task, preconditioned
from dynamics.support.files import save_figure, save_json
from dynamics.training import gradient_descent, precondition_modes, precondition_spectrum
from dynamics.trajectories.comparison import step_times
from dynamics.trajectories.metrics import subspace_overlap
from dynamics.trajectories.trajectory import Trajectory

HERE = Path(__file__).parent
DIM = 8
FLOORS = (0.1, 0.01)
COLORS = {"plain": "#1b1b1b", "modes": "#1d4ed8", "wide": "#7c3aed", "focus": "#c2410c"}
TITLES = {
    "plain": "plain gradient descent",
    "modes": r"$\Gamma^{-1}$ within the $d$ strongest modes",
    "wide": r"$\Gamma^{-1}$ within $2d$ modes",
    f"focus {FLOORS[0]:g}": rf"focus on small directions, $\epsilon$ = {FLOORS[0]:g}",
    f"focus {FLOORS[1]:g}": rf"focus on small directions, $\epsilon$ = {FLOORS[1]:g}",
}
Run = tuple[Trajectory, float, Trajectory | None]


def run_all(experiment: Experiment) -> dict[str, Run]:
    """Method -> measured trajectory, its learning rate, and its forecast where there is one."""
    modes, fraction = experiment.kernel.modes, experiment.config.lr_fraction
    slow, fast = fraction * modes.stability_limit, fraction * 0.25
    methods = {
        "plain": (slow, experiment.schedule.steps, {}),
        "modes": (fast, experiment.schedule.steps // 2, {"objective": precondition_modes(modes, DIM)}),
        "wide": (fast, experiment.schedule.steps // 2, {"objective": precondition_modes(modes, 2 * DIM)}),
    }
    for floor in FLOORS:
        objective = precondition_spectrum(floor=floor)
        methods[f"focus {floor:g}"] = slow, experiment.schedule.steps // 2, {"objective": objective}
    runs = {}
    for name, (learning_rate, steps, settings) in methods.items():
        measured = gradient_descent(
            experiment.network,
            experiment.pairs,
            learning_rate=learning_rate,
            steps=steps,
            center=experiment.config.center,
            **settings,
        )
        forecast = None
        if name == "plain":
            # where features learn, the run ends before the frozen kernel has learned all dimensions
            forecast = kernel_flow(modes, experiment.initial_embeddings, experiment.frozen_schedule.times)
        elif name == "modes":
            forecast = preconditioned(Task.of(modes, experiment.initial_embeddings), measured.times)
        runs[name] = measured, learning_rate, forecast
    return runs


def summary(experiment: Experiment, runs: dict[str, Run]) -> dict[str, dict[str, float]]:
    """Steps to the first and the last mode, how much sooner the last comes than with plain descent, what is learned.

    `overlap` compares the embeddings at the end with the d strongest modes; 1 is the same subspace.
    """
    modes, results = experiment.kernel.modes, {}
    for name, (measured, learning_rate, forecast) in runs.items():
        steps = step_times(measured) / learning_rate
        row = {
            "first": steps[0],
            "last": steps[-1],
            "overlap": subspace_overlap(measured.embeddings[-1].astype(np.float64), modes, DIM, center=True),
            "final_loss": measured.loss[-1],
        }
        if forecast is not None:
            row["last_forecast"] = step_times(forecast)[-1] / learning_rate
        row["speed_up"] = results["plain"]["last"] / row["last"] if results else 1.0
        results[name] = {key: float(value) for key, value in row.items()}
    return results


def draw(runs: dict[str, Run], rows: list[dict]) -> plt.Figure:
    """Eigenvalues against training step for three methods; what each method reaches, and when, for every network."""
    shown = ("plain", "modes", f"focus {FLOORS[0]:g}")
    figure, axes = plt.subplots(1, 4, figsize=(13.0, 2.9), width_ratios=(1, 1, 1, 1.1))
    for ax, name in zip(axes, shown, strict=False):
        measured, learning_rate, forecast = runs[name]
        for trajectory, line in ((measured, "-"), (forecast, (0, (3, 1.5)))):
            if trajectory is None:
                continue
            for u, color in zip(trajectory.eigenvalues.T, mode_colors(DIM), strict=True):
                ax.plot(trajectory.times / learning_rate, u, color=color, ls=line, lw=1.3 if line == "-" else 0.9)
            ax.plot([], [], color="0.4", ls=line, label="network" if line == "-" else "forecast")
        ax.set(xscale="log", xlim=(10, runs["plain"][0].times[-1] / runs["plain"][1]), xlabel="training step")
        ax.set_title(TITLES[name])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    axes[0].set_ylabel("eigenvalues of $C$")
    _draw_summary(axes[-1], rows)
    return figure


def _draw_summary(ax: plt.Axes, rows: list[dict]) -> None:
    """Subspace overlap against steps to the last mode: one mark a run, one colour a method, filled where lazy."""
    for row in rows:
        for name, result in row["results"].items():
            color = COLORS[name.split()[0]]
            marker = "o" if name != f"focus {FLOORS[1]:g}" else "s"
            face = color if row["multiplier"] == "auto" else "none"
            ax.plot(result["last"], result["overlap"], marker, ms=4, mfc=face, mec=color, mew=0.9)
    for name, title in TITLES.items():
        marker = "o" if name != f"focus {FLOORS[1]:g}" else "s"
        ax.plot([], [], marker, ms=4, color=COLORS[name.split()[0]], label=title)
    ax.set(xscale="log", xlabel="step at which the last mode is half learned", ylim=(0.5, 1.02))
    ax.set_ylabel("overlap with the $d$ strongest modes")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def main() -> None:
    """Train, draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small network")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    cases = [("mlp", 64, "auto", 0)]
    if not arguments.quick:
        cases = [("resnet", 16, c, 0) for c in ("auto", 1.0)]
        cases += [("mlp", 512, c, seed) for c in ("auto", 1.0) for seed in range(3)]
    rows, drawn = [], None
    for network, width, multiplier, seed in cases:
        config = Config(network=network, width=width, depth=1, multiplier=multiplier, seed=seed, dim=DIM)
        experiment = prepare(config)
        runs = run_all(experiment)
        drawn = drawn or runs
        results = summary(experiment, runs)
        ratio = float(experiment.kernel.modes.eigenvalues[0] / experiment.kernel.modes.eigenvalues[DIM - 1])
        rows.append({"network": network, "width": width, "multiplier": multiplier, "seed": seed})
        rows[-1] |= {"gamma_ratio": ratio, "results": results}
        print(f"{network} width {width}, c {multiplier}, seed {seed}: γ_1/γ_d = {ratio:.2f}", flush=True)
        for name, row in results.items():
            print(
                f"  {name:10} first {row['first']:6.0f}  last {row['last']:6.0f}  {row['speed_up']:5.1f}×  "
                f"overlap {row['overlap']:.3f}  loss {row['final_loss']:.1e}",
                flush=True,
            )
    save_json(arguments.out / "preconditioning.json", {"dim": DIM, "floors": FLOORS, "rows": rows})
    with style():
        save_figure(draw(drawn, rows), arguments.out / "preconditioning")


if __name__ == "__main__":
    main()
