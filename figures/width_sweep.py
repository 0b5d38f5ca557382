"""How the error of the forecast falls with width: `uv run python figures/width_sweep.py [--quick]`.

MLP and ResNet, `readout` start with the conjugate kernel and `centred` start with the tangent kernel, each with the
kernel of the finite network and that of the infinitely wide one, at output multiplier 1, and with the forecasts in
which the kernel moves. `--start readout` measures one start alone. Writes `width_sweep.json`,
`.png` and `.pdf` beside this file.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from dynamics.drawing.trajectories import style
from dynamics.experiment import compare_run, forecast_trajectories, infinite_width_trajectory, prepare, train
from dynamics.experiment.bilinear import (
    bilinear_reduction,
    bilinear_trajectory,
    readout_network,
    relinearised_trajectory,
)
from dynamics.experiment.config import Config
from dynamics.flow import exact_bilinear_descent
from dynamics.support.files import save_figure, save_json
from dynamics.trajectories.ladder import rung

HERE = Path(__file__).parent
WIDTHS = {"mlp": (64, 256, 1024, 4096), "resnet": (8, 16, 32, 64)}
DEPTH = {"mlp": 1, "resnet": 1}
STARTS = {"readout": "conjugate kernel", "centred": "tangent kernel"}
FORECASTS = ("ode", "matrix_ode", "linearised", "bilinear", "bilinear_exact", "relinearised", "infinite_width")
DRAWN = tuple(name for name in FORECASTS if name != "bilinear_exact")
EXACT = {"mlp": (64, 256), "resnet": (8, 16)}
"""Widths at which a centred network is followed with features that are exactly linear, at the cost of training."""
SETTINGS = {"num_pairs": 32, "dim": 6, "init_scale": 1e-4, "multiplier": 1.0}


def measure(network: str, start: str, width: int, seed: int) -> dict[str, float]:
    """Median |predicted/measured − 1| over the d step times, for every forecast of one run."""
    config = Config(network=network, init=start, width=width, depth=DEPTH[network], seed=seed, **SETTINGS)
    experiment = prepare(config)
    forecasts = forecast_trajectories(experiment) | {"infinite_width": infinite_width_trajectory(experiment)}
    if "bilinear" not in forecasts:  # the kernel hardly moves, and is followed all the same
        reduction = bilinear_reduction(experiment)
        forecasts["bilinear"] = bilinear_trajectory(experiment, reduction)
        forecasts["relinearised"] = relinearised_trajectory(experiment, reduction)
    if start == "centred" and width in EXACT[network]:
        plan, center = experiment.schedule, experiment.config.center
        forecasts["bilinear_exact"] = exact_bilinear_descent(
            readout_network(experiment), plan.learning_rate, plan.record_at, center=center
        )
    comparison = compare_run(experiment, train(experiment), forecasts)
    return {name: comparison.median_error(name) for name in FORECASTS if name in forecasts}


def sweep(widths: dict[str, tuple[int, ...]], seeds: int, starts: tuple[str, ...]) -> list[dict]:
    """One row for every network, start, width and seed."""
    rows = []
    for network, start in ((network, start) for network in widths for start in starts):
        for width in widths[network]:
            for seed in range(seeds):
                errors = measure(network, start, width, seed)
                rows.append({"network": network, "start": start, "width": width, "seed": seed, "errors": errors})
                shown = ", ".join(f"{name} {100 * error:.1f} %" for name, error in errors.items())
                print(f"{network:7} {start:8} width {width:5} seed {seed}: {shown}", flush=True)
    return rows


def draw(rows: list[dict]) -> plt.Figure:
    """Median over seeds with the range, one panel for every network and start."""
    networks = list(dict.fromkeys(row["network"] for row in rows))
    figure, axes = plt.subplots(
        1, 2 * len(networks), figsize=(2.6 * 2 * len(networks), 2.7), sharey=True, squeeze=False
    )
    panels = [(network, start) for network in networks for start in STARTS]
    for ax, (network, start) in zip(axes[0], panels, strict=True):
        chosen = [row for row in rows if (row["network"], row["start"]) == (network, start)]
        widths = sorted({row["width"] for row in chosen})
        for name in DRAWN:
            found = {
                w: [row["errors"][name] for row in chosen if row["width"] == w and name in row["errors"]]
                for w in widths
            }
            measured, errors = [w for w in widths if found[w]], [found[w] for w in widths if found[w]]
            if not errors:
                continue
            middle = [np.median(e) for e in errors]
            model = rung(name)
            color, _ = model.line
            ax.plot(measured, middle, color=color, marker=model.marker, ms=4, label=model.label)
            ax.fill_between(measured, [min(e) for e in errors], [max(e) for e in errors], color=color, alpha=0.15, lw=0)
        ax.set(
            xscale="log",
            yscale="log",
            xlabel="width",
            title=f"{'MLP' if network == 'mlp' else 'ResNet'}, {start} start",
        )
        ax.set_xticks(widths, [str(w) for w in widths])
        ax.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes[0, 0].set_ylabel("median |predicted / measured − 1|")
    axes[0, 0].yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    curves = {label: line for ax in axes[0] for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(curves.values(), curves.keys(), loc="outside lower center", ncols=len(curves))
    return figure


def main() -> None:
    """Run the sweep, or draw it again from its numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two small widths, one seed")
    parser.add_argument("--start", choices=STARTS, help="measure this start alone, and keep the rows of the other")
    parser.add_argument("--smallest", action="store_true", help="the two smallest widths alone; keep the other rows")
    parser.add_argument("--redraw", action="store_true", help="only draw width_sweep.json again")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    path = arguments.out / "width_sweep.json"
    if arguments.redraw:
        rows = json.loads(path.read_text())["rows"]
    else:
        widths = {"mlp": (16, 64), "resnet": (4, 8)} if arguments.quick else WIDTHS
        if arguments.smallest:
            widths = {network: of_network[:2] for network, of_network in widths.items()}
        starts = (arguments.start,) if arguments.start else tuple(STARTS)
        measured = json.loads(path.read_text())["rows"] if arguments.start or arguments.smallest else []
        kept = [row for row in measured if row["start"] not in starts or row["width"] not in widths[row["network"]]]
        rows = sweep(widths, seeds=1 if arguments.quick else 3, starts=starts) + kept
        save_json(path, {"settings": SETTINGS, "depth": DEPTH, "rows": rows})
    with style():
        save_figure(draw(rows), arguments.out / "width_sweep")


if __name__ == "__main__":
    main()
