"""Augmentations ranked before training, and the accuracy after it: `uv run python figures/augmentation_rank.py`.

Twenty augmentations of digits, and with `--data-dir DIR` (official CIFAR-10 files) twenty of CIFAR-10, each forecast
from the frozen kernel of an MLP and then trained twice under the objective of the theory: from a lazy small start, and
from the ordinary start, from which features are learned. Spearman's correlation of forecast and measured accuracy is
given with a bootstrap interval over the augmentations, beside two baselines that need the trained network: alignment
and uniformity (Wang & Isola 2020) and RankMe (Garrido et al. 2023) of its embeddings of the training views. Runs that
are done stay in `augmentation_rank.json`, and the same command goes on from there. `--redraw` only draws it again.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import scipy.stats
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from scipy.spatial.distance import pdist

from dynamics.drawing.trajectories import style
from dynamics.experiment.config import Config
from dynamics.ranking import Contender, contenders
from dynamics.support.files import output_folder, save_figure, save_json
from dynamics.training import SmallNetwork, gradient_descent
from dynamics.trajectories.metrics import rankme
from dynamics.views import get_augmentation, load_images

HERE = Path(__file__).parent
AUGMENTATIONS = {
    "digits": (
        *("none", "noise:.1", "noise:.3", "noise:.6", "noise:1.2", "shift:1", "shift:2", "roll:1", "roll:4"),
        *("crop:.7", "crop:.3", "crop:.08", "flip", "flip-vertical", "flip+flip-vertical", "blur:1", "solarize:.5"),
        *("intensity:.2", "digits", "shift:1+noise:.3"),
    ),
    "cifar10": (
        *("none", "noise:.1", "noise:.3", "noise:.6", "shift:3", "shift:10", "crop:.7", "crop:.3", "crop:.08", "flip"),
        *("flip+flip-vertical", "blur:1", "blur:3", "solarize:.5", "brightness:.8", "hue:.5", "grayscale:.5"),
        *("simclr", "barlow-twins", "crop:.3+flip+noise:.1"),
    ),
}
STARTS = ("lazy", "ordinary")
COMMON = {"network": "mlp", "depth": 1, "dim": 8, "lr_fraction": 0.2, "multiplier": "auto"}
SETTINGS = {
    "digits": COMMON | {"num_pairs": 256, "width": 256},
    "cifar10": COMMON | {"num_pairs": 192, "width": 128},
}
HELD_OUT = 1500
PREDICTORS = {
    "forecast": "forecast before training",
    "knn_forecast": "k-NN forecast before training",
    "alignment_uniformity": "−(alignment + uniformity), trained",
    "rankme": "RankMe, trained",
}
GOAL = 0.8
COLORS = {"digits": "#1d4ed8", "cifar10": "#15803d"}


def measure(dataset: str, names: tuple[str, ...], seed: int, data_dir: Path | None, quick: bool) -> Iterator[dict]:
    """One row for every augmentation: what was forecast, and for both starts what was measured."""
    settings = SETTINGS[dataset] | ({"num_pairs": 32, "width": 16, "dim": 2} if quick else {})
    images = load_images(dataset, data_dir)
    views = {name: get_augmentation(name, images.shape) for name in names}
    config = Config(dataset=dataset, seed=seed, data_dir=data_dir, **settings)
    for contender in contenders(images, views, config, held_out=HELD_OUT):
        ahead = contender.forecast()
        row = {"dataset": dataset, "augmentation": contender.augmentation, "seed": seed, "chance": ahead.chance}
        row |= {
            "forecast": ahead.linear[-1],
            "knn_forecast": ahead.knn[-1],
            "steps": contender.experiment.schedule.steps,
        }
        yield row | {start: after_training(contender, start) for start in STARTS}


def after_training(contender: Contender, start: str) -> dict[str, float | str]:
    """Scores and baselines of the trained network.

    From the ordinary start all layers learn and the kernel grows, so that the rate is half as large and the steps are
    twice as many. Output multiplier 1 in place of c makes time run c² times slower.
    """
    experiment = contender.experiment
    network, rate, steps = experiment.network, experiment.schedule.learning_rate, experiment.schedule.steps
    if start == "ordinary":
        network = SmallNetwork(experiment.random.module.apply, experiment.random.params)
        rate, steps = rate * experiment.multiplier**2 / 2, 2 * steps
    last = {}

    def keep(_: int, params: object) -> dict[str, float]:
        last["params"] = params
        return {}

    views = experiment.pairs.stacked
    run = gradient_descent(
        network, experiment.pairs, learning_rate=rate, steps=steps, center=True, measure=keep,
        record_at=np.array([0, steps]),
    )  # fmt: skip
    Z = np.asarray(network.apply(last["params"], views), np.float64)
    return {**contender.scores(last["params"]), **baselines(Z - Z.mean(axis=0)), "outcome": run.outcome.describe()}


def baselines(Z: np.ndarray) -> dict[str, float]:
    """Alignment and uniformity of normalised embeddings (Wang & Isola 2020, α = 2, t = 2), and RankMe."""
    unit = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    first, second = np.split(unit, 2)
    alignment = float(np.square(first - second).sum(axis=1).mean())
    uniformity = float(np.log(np.exp(-2 * pdist(unit, "sqeuclidean")).mean()))
    return {"alignment": alignment, "uniformity": uniformity, "rankme": rankme(Z)}


def values_of(rows: list[dict], start: str) -> dict[str, np.ndarray]:
    """Every predictor, larger for what should be better, and the measured accuracy of the linear probe."""
    after = [row[start] for row in rows]
    return {
        "forecast": np.array([row["forecast"] for row in rows]),
        "knn_forecast": np.array([row["knn_forecast"] for row in rows]),
        "alignment_uniformity": -np.array([found["alignment"] + found["uniformity"] for found in after]),
        "rankme": np.array([found["rankme"] for found in after]),
        "measured": np.array([found["linear_accuracy"] for found in after]),
        "knn_measured": np.array([found["knn_accuracy"] for found in after]),
    }


def spearman(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Spearman's correlation, and the ends of its 95 % bootstrap interval (percentiles, augmentations resampled)."""
    rng, count = np.random.default_rng(0), len(x)
    again = []
    for _ in range(4000):
        rows = rng.integers(count, size=count)
        if np.ptp(x[rows]) > 0 and np.ptp(y[rows]) > 0:
            again.append(scipy.stats.spearmanr(x[rows], y[rows]).statistic)
    low, high = np.percentile(again, (2.5, 97.5)) if again else (np.nan, np.nan)
    return float(scipy.stats.spearmanr(x, y).statistic), float(low), float(high)


def summary(rows: list[dict]) -> list[dict]:
    """Spearman's correlation of every predictor with the accuracy after training, for each data set and start."""
    found = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        chosen = [row for row in rows if row["dataset"] == dataset]
        for start in STARTS if len(chosen) > 2 else ():
            values = values_of(chosen, start)
            for name in PREDICTORS:
                measured = values["knn_measured" if name == "knn_forecast" else "measured"]
                rho, low, high = spearman(values[name], measured)
                found.append(
                    {"dataset": dataset, "start": start, "predictor": name, "runs": len(chosen)}
                    | {"spearman": rho, "interval": [low, high]}
                )
    return found


def draw(rows: list[dict]) -> plt.Figure:
    """Measured against forecast accuracy, one panel a data set and start, the augmentations named."""
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    figure, axes = plt.subplots(
        len(datasets), 2, figsize=(10.2, 4.4 * len(datasets)), squeeze=False, layout="constrained"
    )
    for dataset, panels in zip(datasets, axes, strict=True):
        chosen = [row for row in rows if row["dataset"] == dataset]
        for ax, start in zip(panels, STARTS, strict=True):
            values = values_of(chosen, start)
            ax.plot(values["forecast"], values["measured"], "o", color=COLORS[dataset], ms=4)
            ends = np.array([*values["forecast"], *values["measured"]])
            ax.plot([ends.min(), ends.max()], [ends.min(), ends.max()], color="0.7", lw=0.8, zorder=0)
            title = f"{dataset}, {start} start"
            if len(chosen) > 2:
                rho, low, high = spearman(values["forecast"], values["measured"])
                title += f": ρ = {rho:.2f} [{low:.2f}, {high:.2f}]"
            ax.set(xlabel="forecast accuracy", ylabel="accuracy after training", title=title)
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
            name_points(ax, values["forecast"], values["measured"], [row["augmentation"] for row in chosen])
    return figure


def name_points(ax: plt.Axes, x: np.ndarray, y: np.ndarray, names: list[str]) -> None:
    """Write a name at every point, at the nearest place that is free of points and other names, with a line to it."""
    figure = ax.figure
    figure.draw_without_rendering()  # the layout decides where points are
    points = ax.transData.transform(np.stack([x, y], axis=1))
    taken = [Bbox.from_extents(*(point - 6), *(point + 6)) for point in points]
    distances = np.arange(5, 90, 5)
    angles = np.deg2rad([-20, 20, 200, 160, -60, 60, 240, 120])
    places = [(r * np.cos(angle), r * np.sin(angle)) for r in distances for angle in angles]
    for name, at in sorted(zip(names, zip(x, y, strict=True), strict=True), key=lambda item: -item[1][1]):
        for right, up in places:
            note = ax.annotate(
                name, at, (right, up), textcoords="offset points", fontsize=5.5, color="0.3", va="center",
                ha="left" if right > 0 else "right",
                arrowprops={"arrowstyle": "-", "lw": 0.4, "color": "0.6", "shrinkA": 0, "shrinkB": 2},
            )  # fmt: skip
            note.set_in_layout(False)
            note.update_positions(figure.canvas.get_renderer())
            box = Text.get_window_extent(note).expanded(1.02, 1.05)
            if not any(box.overlaps(other) for other in taken) and ax.bbox.x0 < box.x0 and box.x1 < ax.bbox.x1:
                break
            note.remove()
        else:
            raise ValueError(f"There is no room for {name}; make the panel larger.")
        taken.append(box)


def main() -> None:
    """Measure what is missing, print the correlations, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with the official CIFAR-10 files")
    parser.add_argument("--dataset", nargs="*", choices=tuple(AUGMENTATIONS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="three augmentations of a tiny network")
    parser.add_argument("--redraw", action="store_true", help="only draw augmentation_rank.json again")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    path = output_folder(arguments.out) / "augmentation_rank.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    possible = ("digits",) if arguments.quick or arguments.data_dir is None else tuple(AUGMENTATIONS)
    for dataset in () if arguments.redraw else arguments.dataset or possible:
        for seed in range(arguments.seeds):
            done = {row["augmentation"] for row in rows if (row["dataset"], row["seed"]) == (dataset, seed)}
            names = AUGMENTATIONS[dataset][: 3 if arguments.quick else None]
            missing = tuple(name for name in names if name not in done)
            for row in measure(dataset, missing, seed, arguments.data_dir, arguments.quick):
                rows.append(row)
                after = ", ".join(f"{start} {row[start]['linear_accuracy']:.3f}" for start in STARTS)
                print(
                    f"{dataset} {row['augmentation']}, seed {seed}: forecast {row['forecast']:.3f}, {after}", flush=True
                )
                save_json(path, {"settings": SETTINGS, "rows": rows, "summary": summary(rows)})
    for line in summary(rows):
        low, high = line["interval"]
        head = f"{line['dataset']:8} {line['start']:9} {PREDICTORS[line['predictor']]:36}"
        print(f"{head} {line['spearman']:.2f} [{low:.2f}, {high:.2f}]")
    save_json(path, {"settings": SETTINGS, "rows": rows, "summary": summary(rows)})
    with style():
        save_figure(draw(rows), arguments.out / "augmentation_rank")


if __name__ == "__main__":
    main()
