"""What a relation teaches a downstream task: linear probes on closed-form optima, trained and tested on real images."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import scipy.spatial.distance
import threadpoolctl
from matplotlib.figure import Figure

from dynamics.drawing.trajectories import style
from dynamics.optima import (
    FunctionSpace,
    Optimum,
    barlow_twins_normalised_optimum,
    canonical_directions,
    kernel_space,
    linear_space,
    simclr_squared_optimum,
    vicreg_squared_optimum,
)
from dynamics.studies.statistics import half_width, of_the_best
from dynamics.support.progress import progress_bar
from dynamics.trajectories.probes import linear_probe
from dynamics.views import Relation, load_images

DIM = 32
# Laplacians of classes with weights 1/N_c have eigenvalues up to 1: below 1/1 the weight keeps all dimensions.
SMALL_WEIGHTS, HIGH_WEIGHTS = (0.1, 0.5), (1.5, 3.0)


def _vicreg(weight: float) -> Callable[[FunctionSpace, np.ndarray], Optimum]:
    return lambda space, G: vicreg_squared_optimum(space, G, DIM, weight)


METHODS: dict[str, Callable[[FunctionSpace, np.ndarray], Optimum]] = {
    **{f"VICReg {weight}": _vicreg(weight) for weight in (*SMALL_WEIGHTS, *HIGH_WEIGHTS)},
    "SimCLR": lambda space, G: simclr_squared_optimum(space, G, DIM),
    "Barlow Twins": lambda space, G: _barlow_twins(space, G),
}
RELATIONS = ("aligned", "misaligned")
SPACES = ("linear", "kernel")


@dataclass(frozen=True, eq=False)
class Probes:
    """Accuracies of linear probes.

    Parameters
    ----------
    test, train : dict
        (space, relation, data, method) -> array (seeds,), shares of images classified correctly.
    images : dict
        data -> number of training images.
    name : str
        Name of the data set.
    """

    test: dict[tuple[str, str, str, str], np.ndarray]
    train: dict[tuple[str, str, str, str], np.ndarray]
    images: dict[str, int]
    name: str

    def table(self) -> list[dict[str, str | float]]:
        """One row for every setting: mean accuracies with half of their 95 % intervals."""
        return [
            {
                **dict(zip(("functions", "relation", "data", "method"), key, strict=True)),
                "images": self.images[key[2]],
                "train": float(self.train[key].mean()),
                "test": float(test.mean()),
                "test_half_width": half_width(test),
            }
            for key, test in self.test.items()
        ]

    def advantage(
        self, space: str, relation: str, data: str, recommended: tuple[str, ...], others: tuple[str, ...]
    ) -> tuple[str, float, float]:
        """How much better the best recommended method tests than the best of the others, seed by seed.

        For every seed the two methods are chosen on all other seeds.

        Returns
        -------
        comparison : str
            The two methods that are best on all seeds.
        mean, low : float
            Difference of their accuracies, and the lower end of its 95 % confidence interval.
        """
        ours, theirs = ({m: self.test[space, relation, data, m] for m in methods} for methods in (recommended, others))
        best, rival = (max(scores, key=lambda m, scores=scores: scores[m].mean()) for scores in (ours, theirs))
        difference = of_the_best(ours) - of_the_best(theirs)
        return f"{best} against {rival}", float(difference.mean()), float(difference.mean() - half_width(difference))


def probe_relations(
    dataset: str,
    *,
    data_dir: Path | None = None,
    images: dict[str, int],
    num_test: int,
    num_seeds: int,
    seed: int,
) -> Probes:
    """Learn from labels (aligned with the task) or from brightness (misaligned), then classify the images.

    Aligned partners show the same digit, misaligned ones fall into the same tenth of mean brightness; both with
    weights 1/N_c within a class. Every seed draws its own training and test images, which all methods share. Images of
    28×28 pixels are averaged to 14×14, so that the full data are more images than pixels.
    """
    loaded = load_images(dataset, data_dir=data_dir, limit=None if dataset == "digits" else 20_000)
    pixels, labels = pixels_of(loaded.images), loaded.labels
    test, train = {}, {}
    # hundreds of small eigenproblems: threads would only wait for each other
    with threadpoolctl.threadpool_limits(1), progress_bar(f"probes on {dataset}", total=num_seeds) as done:
        for s in range(num_seeds):
            order = np.random.default_rng([seed, s]).permutation(len(pixels))
            held_out = order[:num_test]
            for data, count in images.items():
                chosen = order[num_test : num_test + count]
                for space_name, space, rows, test_rows in spaces(pixels[chosen], pixels[held_out]):
                    for kind in RELATIONS:
                        G = relation(kind, pixels[chosen], labels[chosen]).dense()
                        for method, optimise in METHODS.items():
                            optimum = optimise(space, G)
                            key = space_name, kind, data, method
                            accuracies = linear_probe(
                                optimum.embed(rows), labels[chosen], optimum.embed(test_rows), labels[held_out]
                            )
                            train.setdefault(key, []).append(accuracies[0])
                            test.setdefault(key, []).append(accuracies[1])
            done(s + 1)
    arrays = ({key: np.array(values) for key, values in group.items()} for group in (test, train))
    return Probes(*arrays, images=images, name=dataset)


def probes_figure(probes: Probes) -> Figure:
    """Test accuracy (filled) and training accuracy (hollow) of every method, with 95 % intervals."""
    with style():
        figure, axes = plt.subplots(2, 2, figsize=(7.0, 4.4), sharex=True, sharey=True)
        colours = ("#93c5fd", "#3b82f6", "#1d4ed8", "#172554", "#c2410c", "#7e22ce")
        groups = [(relation, data) for relation in RELATIONS for data in probes.images]
        for row, space in zip(axes, SPACES, strict=True):
            for ax, relation in zip(row, RELATIONS, strict=True):
                for g, (_, data) in enumerate(group for group in groups if group[0] == relation):
                    for m, (method, colour) in enumerate(zip(METHODS, colours, strict=True)):
                        at = g + 0.12 * (m - 2.5)
                        for accuracies, face in ((probes.train, "none"), (probes.test, colour)):
                            sample = accuracies[space, relation, data, method]
                            ax.errorbar(
                                at, sample.mean(), half_width(sample), color=colour, marker="o", ms=4, mfc=face, lw=1
                            )
                ax.set(
                    title=f"{relation} relation, {space} functions",
                    xticks=range(len(probes.images)),
                    xticklabels=[f"{data} data\n{count} images" for data, count in probes.images.items()],
                    ylim=(0, 1.03),
                )
                ax.axhline(0.1, color="0.7", lw=0.7, ls=(0, (2, 2)), zorder=0)
            row[0].set_ylabel("accuracy of a linear probe")
        marks = [
            plt.Line2D([], [], color=colour, marker="o", ms=4.5, lw=0, label=method)
            for method, colour in zip(METHODS, colours, strict=True)
        ]
        marks += [
            plt.Line2D([], [], color="0.4", marker="o", ms=4.5, lw=0, mfc=face, label=label)
            for face, label in (("0.4", "test"), ("none", "training"))
        ]
        figure.legend(handles=marks, loc="outside lower center", ncols=8, handletextpad=0.1, columnspacing=0.9)
    return figure


def pixels_of(images: np.ndarray) -> np.ndarray:
    """One row an image; large images at half their resolution."""
    n, height, width, channels = images.shape
    if height >= 16:
        images = images.reshape(n, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
    return images.reshape(n, -1).astype(np.float64)


def spaces(train: np.ndarray, test: np.ndarray) -> list[tuple[str, FunctionSpace, np.ndarray, np.ndarray]]:
    """Linear maps of centred pixels, and a Gaussian kernel as wide as the median distance."""
    mean = train.mean(axis=0)
    linear_rows, linear_test = train - mean, test - mean
    distances = scipy.spatial.distance.cdist(train, train, "sqeuclidean")
    width = np.median(distances)

    def kernel(squared: np.ndarray) -> np.ndarray:
        return np.exp(-squared / width)

    K = kernel(distances)
    K_test = kernel(scipy.spatial.distance.cdist(test, train, "sqeuclidean"))
    return [
        ("linear", linear_space(linear_rows), linear_rows, linear_test),
        ("kernel", kernel_space(K), K, K_test),
    ]


def relation(kind: str, pixels: np.ndarray, labels: np.ndarray) -> Relation:
    """Partners of the same class, or of the same tenth of mean brightness; weights 1/N_c within a class."""
    if kind == "aligned":
        return Relation.labels(labels, per_class=True)
    brightness = pixels.mean(axis=1).argsort().argsort()
    return Relation.labels(brightness * 10 // len(brightness), per_class=True)


def _barlow_twins(space: FunctionSpace, graph: np.ndarray) -> Optimum:
    """The optimum with as many of the outputs as there are positive canonical correlations."""
    rho, _ = canonical_directions(space, graph, 0)
    return barlow_twins_normalised_optimum(space, graph, max(1, min(DIM, int((rho > 1e-9).sum()))))
