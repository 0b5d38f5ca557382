"""Accuracy before training, measured: forecast and network on every plateau, for three data sets and three networks.

`uv run python figures/label_forecast.py --data-dir DIR` needs the official files of MNIST and CIFAR-10 and takes about
half an hour on two cores; runs that are done stay in `label_forecast.json`, and the same command goes on from there.
`--redraw` only draws it again. `--quick` takes tiny networks on digits.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from dynamics.drawing.trajectories import style
from dynamics.experiment import forecast_trajectories, prepare, train
from dynamics.experiment.config import Config
from dynamics.support.files import save_figure, save_json
from dynamics.trajectories.label_scores import ACCURACY, at_plateaus, scored_forecast

HERE = Path(__file__).parent
GOAL = 0.03
SETTINGS = {"num_pairs": 64, "dim": 6, "lr_fraction": 0.2, "init_scale": 1e-4, "multiplier": "auto"}
NETWORKS = {
    "mlp": {"width": 256, "depth": 1},
    "convnet": {"width": 32, "depth": 2},
    "resnet": {"width": 16, "depth": 1},
}
DATASETS = ("digits", "mnist", "cifar10")
COLORS = {"digits": "#1d4ed8", "mnist": "#c2410c", "cifar10": "#15803d"}
MARKERS = {"mlp": "o", "convnet": "s", "resnet": "^"}
LABELS = {"mlp": "MLP", "convnet": "ConvNet", "resnet": "ResNet"}


def measure(dataset: str, network: str, seed: int, data_dir: Path | None, quick: bool) -> dict:
    """Forecast and measured scores on every plateau of one run."""
    settings = SETTINGS | NETWORKS[network]
    if quick:
        settings |= {"num_pairs": 16, "dim": 2, "width": 8}
    config = Config(dataset=dataset, network=network, seed=seed, data_dir=data_dir, labels=True, **settings)
    experiment = prepare(config)
    forecast, measured = scored_forecast(forecast_trajectories(experiment)), train(experiment)
    row = {"dataset": dataset, "network": network, "seed": seed, "rung": forecast.rung, "steps": config.steps}
    row["steps"] = experiment.schedule.steps
    row["scores"] = {
        name: {"forecast": at_plateaus(forecast, name).tolist(), "measured": at_plateaus(measured, name).tolist()}
        for name in ACCURACY
    }
    return row


def errors(row: dict, name: str) -> np.ndarray:
    """|forecast − measured| on the plateaus that both have, infinite for those that one of them lacks."""
    forecast, measured = (np.array(row["scores"][name][which]) for which in ("forecast", "measured"))
    both = min(len(forecast), len(measured))
    missing = max(len(forecast), len(measured)) - both
    return np.append(np.abs(forecast[:both] - measured[:both]), np.full(missing, np.inf))


def summary(rows: list[dict]) -> list[str]:
    """One line for every data set and network: the largest error of each score, and the plateaus within the goal."""
    lines = []
    for dataset, network in dict.fromkeys((row["dataset"], row["network"]) for row in rows):
        chosen = [row for row in rows if (row["dataset"], row["network"]) == (dataset, network)]
        cells = []
        for name in ACCURACY:
            found = np.concatenate([errors(row, name) for row in chosen])
            cells.append(f"{name} {100 * found.max():.1f} ({(found <= GOAL).sum()} of {found.size})")
        lines.append(f"{dataset:8} {network:8} largest error in points (plateaus within 3): {', '.join(cells)}")
    return lines


def draw(rows: list[dict]) -> plt.Figure:
    """Measured against forecast accuracy on every plateau, one panel a probe."""
    figure, axes = plt.subplots(1, 3, figsize=(10.2, 3.4), layout="constrained")
    titles = ("linear probe, held out", "k-NN probe, held out", "linear probe, training pairs")
    for ax, name, title in zip(axes, ACCURACY, titles, strict=True):
        values = []
        for row in rows:
            forecast, measured = (np.array(row["scores"][name][which]) for which in ("forecast", "measured"))
            both = min(len(forecast), len(measured))
            look = {"marker": MARKERS[row["network"]], "color": COLORS[row["dataset"]], "lw": 0, "ms": 4, "alpha": 0.7}
            ax.plot(forecast[:both], measured[:both], **look)
            values += [*forecast[:both], *measured[:both]]
        ends = np.array([min(values) - 0.02, max(values) + 0.02])
        ax.plot(ends, ends, color="0.6", lw=0.8, zorder=0)
        ax.fill_between(ends, ends - GOAL, ends + GOAL, color="0.85", lw=0, zorder=-1)
        ax.set(xlabel="forecast", ylabel="measured", title=title, xlim=ends, ylim=ends, aspect="equal")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=0))
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        axes[0].plot([], [], "o", color=COLORS[dataset], label=dataset)
    for network in dict.fromkeys(row["network"] for row in rows):
        axes[0].plot([], [], MARKERS[network], color="0.4", label=LABELS[network])
    figure.legend(loc="outside lower center", ncols=6)
    return figure


def main() -> None:
    """Measure what is missing, print the summary, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with the official files of MNIST and CIFAR-10")
    parser.add_argument("--dataset", nargs="*", choices=DATASETS, default=DATASETS)
    parser.add_argument("--network", nargs="*", choices=tuple(NETWORKS), default=tuple(NETWORKS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="tiny networks on digits")
    parser.add_argument("--redraw", action="store_true", help="only draw label_forecast.json again")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    path = arguments.out / "label_forecast.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    datasets = ("digits",) if arguments.quick else arguments.dataset
    wanted = [
        (dataset, network, seed)
        for seed in range(1 if arguments.quick else arguments.seeds)
        for dataset in datasets
        for network in arguments.network
    ]
    done = {(row["dataset"], row["network"], row["seed"]) for row in rows}
    for dataset, network, seed in [] if arguments.redraw else wanted:
        if (dataset, network, seed) in done:
            continue
        data_dir = None if dataset == "digits" else arguments.data_dir
        rows.append(measure(dataset, network, seed, data_dir, arguments.quick))
        print("\n".join(summary(rows[-1:])), flush=True)
        save_json(path, {"settings": SETTINGS, "networks": NETWORKS, "rows": rows})
    print("\n".join(summary(rows)))
    with style():
        save_figure(draw(rows), arguments.out / "label_forecast")


if __name__ == "__main__":
    main()
