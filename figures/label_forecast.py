"""Accuracy before training, measured: forecast and network on every plateau, for three data sets and three networks.

Each is measured with the automatic multiplier, at which the kernel hardly moves, and with 1, at which it does.
`uv run python figures/label_forecast.py --data-dir DIR` needs the official files of MNIST and CIFAR-10; runs that are
done stay in `label_forecast.json`, and the same command goes on from there. `--redraw` only draws it again. `--quick`
takes tiny networks on digits.
"""

import argparse
import itertools
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from dynamics.drawing.trajectories import style
from dynamics.errors import CapacityError
from dynamics.experiment import Experiment, prepare, train
from dynamics.experiment.bilinear import bilinear_reduction, readout_network
from dynamics.experiment.config import Config
from dynamics.experiment.labels import LabelReader
from dynamics.support.files import save_figure, save_json
from dynamics.trajectories.label_bounds import least_accuracy, residual
from dynamics.trajectories.label_scores import ACCURACY, at_plateaus
from dynamics.trajectories.trajectory import Trajectory

HERE = Path(__file__).parent
GOAL = 0.03
SETTINGS = {"num_pairs": 64, "dim": 6, "init_scale": 1e-4}
LR_FRACTIONS = {"auto": 0.2, "1": 0.1}  # where the kernel grows, 0.2 of the limit at the start is too much
MULTIPLIERS = tuple(LR_FRACTIONS)
NETWORKS = {
    "mlp": {"width": 256, "depth": 1},
    "convnet": {"width": 32, "depth": 2},
    "resnet": {"width": 16, "depth": 1},
}
DATASETS = ("digits", "mnist", "cifar10")
COLORS = {"digits": "#1d4ed8", "mnist": "#c2410c", "cifar10": "#15803d"}
MARKERS = {"mlp": "o", "convnet": "s", "resnet": "^"}
LABELS = {"mlp": "MLP", "convnet": "ConvNet", "resnet": "ResNet"}


def measure(multiplier: str, dataset: str, network: str, seed: int, data_dir: Path | None, quick: bool) -> dict:
    """Forecast and measured scores on every plateau of one run."""
    settings = SETTINGS | NETWORKS[network] | {"lr_fraction": LR_FRACTIONS[multiplier]}
    settings["multiplier"] = "auto" if multiplier == "auto" else float(multiplier)
    if quick:
        settings |= {"num_pairs": 16, "dim": 2, "width": 8}
    config = Config(dataset=dataset, network=network, seed=seed, data_dir=data_dir, labels=True, **settings)
    experiment = prepare(config)
    forecast, measured = best_forecast(experiment), train(experiment)
    row = {"multiplier": multiplier, "dataset": dataset, "network": network, "seed": seed, "rung": forecast.rung}
    row["steps"] = experiment.schedule.steps
    row["scores"] = {
        name: {"forecast": at_plateaus(forecast, name).tolist(), "measured": at_plateaus(measured, name).tolist()}
        for name in ACCURACY
    }
    return row


def best_forecast(experiment: Experiment) -> Trajectory:
    """The forecast that `--labels` shows: in the bilinear model where the kernel will move and it fits the memory."""
    reader = LabelReader(experiment)
    if experiment.kernel_moves:
        try:
            return reader.bilinear(bilinear_reduction(experiment, readout_network(experiment, reader.test_views)))
        except CapacityError as error:
            print(f"the frozen kernel is taken: {error}")
    return reader.frozen()


def guarantee(dataset: str, network: str, data_dir: Path | None) -> str:
    """What bounds of the squared error can say at best: with no statistical term, that of the forecast span itself."""
    settings = SETTINGS | NETWORKS[network]
    experiment = prepare(Config(dataset=dataset, network=network, data_dir=data_dir, labels=True, **settings))
    span = experiment.kernel.modes.on_views[:, : SETTINGS["dim"]]
    epsilon = residual(span, LabelReader(experiment).probe.train)
    return (
        f"{dataset:8} {network:8} squared error {epsilon:.3f}: accuracy at least {100 * least_accuracy(epsilon):.0f} %"
    )


def errors(row: dict, name: str) -> np.ndarray:
    """|forecast − measured| on the plateaus that both have, infinite for those that one of them lacks."""
    forecast, measured = (np.array(row["scores"][name][which]) for which in ("forecast", "measured"))
    both = min(len(forecast), len(measured))
    missing = max(len(forecast), len(measured)) - both
    return np.append(np.abs(forecast[:both] - measured[:both]), np.full(missing, np.inf))


def case_of(row: dict) -> tuple[str, str, str]:
    """Multiplier, data set and network, which the seeds of a row share."""
    return row["multiplier"], row["dataset"], row["network"]


def summary(rows: list[dict]) -> list[str]:
    """One line for every multiplier, data set and network: largest error of each score, plateaus within the goal."""
    lines = []
    for case in dict.fromkeys(case_of(row) for row in rows):
        chosen = [row for row in rows if case_of(row) == case]
        cells = []
        for name in ACCURACY:
            found = np.concatenate([errors(row, name) for row in chosen])
            cells.append(f"{name} {100 * found.max():.1f} ({(found <= GOAL).sum()} of {found.size})")
        head = f"c = {case[0]:5} {case[1]:8} {case[2]:8} {len(chosen)} seed{'s' * (len(chosen) > 1)}"
        lines.append(f"{head}: largest error in points (plateaus within 3): {', '.join(cells)}")
    return lines


def draw(rows: list[dict]) -> plt.Figure:
    """Measured against forecast accuracy on every plateau, one panel a probe, one row of panels a multiplier."""
    multipliers = [c for c in MULTIPLIERS if any(row["multiplier"] == c for row in rows)]
    size = {"figsize": (10.2, 3.4 * len(multipliers)), "layout": "constrained", "squeeze": False}
    figure, axes = plt.subplots(len(multipliers), 3, **size)
    titles = ("linear probe, held out", "k-NN probe, held out", "linear probe, training pairs")
    for multiplier, panels in zip(multipliers, axes, strict=True):
        draw_row(panels, [row for row in rows if row["multiplier"] == multiplier])
        for ax, title in zip(panels, titles, strict=True):
            ax.set_title(f"{title}, c {'automatic' if multiplier == 'auto' else f'= {multiplier}'}")
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        axes[0, 0].plot([], [], "o", color=COLORS[dataset], label=dataset)
    for network in dict.fromkeys(row["network"] for row in rows):
        axes[0, 0].plot([], [], MARKERS[network], color="0.4", label=LABELS[network])
    figure.legend(loc="outside lower center", ncols=6)
    return figure


def draw_row(axes: list[plt.Axes], rows: list[dict]) -> None:
    """The three panels of one multiplier."""
    for ax, name in zip(axes, ACCURACY, strict=True):
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
        ax.set(xlabel="forecast", ylabel="measured", xlim=ends, ylim=ends, aspect="equal")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=0))


def main() -> None:
    """Measure what is missing, print the summary, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with the official files of MNIST and CIFAR-10")
    parser.add_argument("--dataset", nargs="*", choices=DATASETS, default=DATASETS)
    parser.add_argument("--network", nargs="*", choices=tuple(NETWORKS), default=tuple(NETWORKS))
    parser.add_argument("--multiplier", nargs="*", choices=MULTIPLIERS, default=MULTIPLIERS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny networks on digits")
    parser.add_argument("--redraw", action="store_true", help="only draw label_forecast.json again")
    parser.add_argument("--bounds", action="store_true", help="only print what the squared error on pairs guarantees")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    path = arguments.out / "label_forecast.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    datasets = ("digits",) if arguments.quick else arguments.dataset
    if arguments.bounds:
        for dataset, network in itertools.product(datasets, arguments.network):
            print(guarantee(dataset, network, None if dataset == "digits" else arguments.data_dir), flush=True)
        return
    seeds = range(1 if arguments.quick else arguments.seeds)
    wanted = itertools.product(seeds, arguments.multiplier, datasets, arguments.network)
    done = {(row["seed"], *case_of(row)) for row in rows}
    for seed, multiplier, dataset, network in [] if arguments.redraw else wanted:
        if (seed, multiplier, dataset, network) in done:
            continue
        data_dir = None if dataset == "digits" else arguments.data_dir
        rows.append(measure(multiplier, dataset, network, seed, data_dir, arguments.quick))
        print("\n".join(summary(rows[-1:])), flush=True)
        save_json(path, {"settings": SETTINGS | {"lr_fraction": LR_FRACTIONS}, "networks": NETWORKS, "rows": rows})
    print("\n".join(summary(rows)))
    with style():
        save_figure(draw(rows), arguments.out / "label_forecast")


if __name__ == "__main__":
    main()
