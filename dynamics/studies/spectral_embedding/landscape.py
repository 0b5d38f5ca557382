"""Who wins where: every method over sizes of the data and over how much of the relation is misaligned with the task.

The relation is a mixture (1 − t) G_labels + t G_brightness of the two relations of the downstream part, so t = 0 is
aligned, t = 1 misaligned, and what the recommendations leave open lies between. A regime that is looked for is found on
half of the seeds and judged on the other half: the best of many cells is ahead by luck on the seeds that chose it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import threadpoolctl
from jaxtyping import Float
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from dynamics.drawing.trajectories import style
from dynamics.studies.claims import Claim
from dynamics.studies.spectral_embedding import PAPER
from dynamics.studies.spectral_embedding.downstream import BARLOW, HIGH, SIMCLR, SMALL
from dynamics.studies.spectral_embedding.probes import METHODS, SPACES, pixels_of, relation, spaces
from dynamics.studies.statistics import half_width, lower_end
from dynamics.support.progress import progress_bar
from dynamics.trajectories.probes import linear_probe
from dynamics.views import load_images

SIZES = (50, 100, 200, 400)
MIXTURES = (0.0, 0.25, 0.5, 0.75, 1.0)
LOW, ALIGNED, MISALIGNED = 100, 0.25, 0.75
"""Low data are at most so many images, and more are full data; aligned is t at most 0.25, misaligned at least 0.75."""

GROUPS = {"VICReg, high weight": HIGH, "VICReg, small weight": SMALL, "SimCLR": SIMCLR, "Barlow Twins": BARLOW}
"""What the recommendations tell apart -> its methods."""

Cell = tuple[str, float, int]
"""Functions, mixture t and number of images."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """Test accuracies of linear probes.

    Parameters
    ----------
    test : mapping
        (functions, t, images) -> method -> array (seeds,).
    name : str
        Name of the data set.
    """

    test: Mapping[Cell, Mapping[str, Float[np.ndarray, " seeds"]]]
    name: str

    def best(self, cell: Cell, methods: Sequence[str], choose: slice, judge: slice) -> Float[np.ndarray, " judged"]:
        """Accuracy on the seeds `judge` of the method that is best on the seeds `choose`."""
        scores = self.test[cell]
        return scores[max(methods, key=lambda method: scores[method][choose].mean())][judge]

    def advantage(
        self, cell: Cell, group: tuple[str, ...], rivals: Sequence[str], choose: slice, judge: slice
    ) -> Float[np.ndarray, " judged"]:
        """Accuracy of the best of a group less that of the best of its rivals, each chosen on other seeds."""
        return self.best(cell, group, choose, judge) - self.best(cell, rivals, choose, judge)

    def table(self) -> list[dict[str, str | float]]:
        """One row for every cell and method: mean accuracy with half of its 95 % interval."""
        return [
            {
                **dict(zip(("functions", "mixture", "images", "method"), (*cell, method), strict=True)),
                "test": float(values.mean()),
                "test_half_width": half_width(values),
            }
            for cell, scores in self.test.items()
            for method, values in scores.items()
        ]


def explore(
    dataset: str,
    *,
    data_dir: Path | None = None,
    sizes: Sequence[int] = SIZES,
    mixtures: Sequence[float] = MIXTURES,
    num_test: int = 500,
    num_seeds: int = 8,
    seed: int = 0,
) -> Landscape:
    """Measure every method in every cell; seeds draw training and test images, which all methods share.

    Parameters
    ----------
    dataset : str
        A data set of labelled images.
    data_dir : path, optional
        Folder with its official files.
    sizes, mixtures : sequence
        Numbers of training images, and parts t of the misaligned relation.
    num_test, num_seeds, seed : int
        Number of test images, of repetitions, and seed of the first.
    """
    loaded = load_images(dataset, data_dir=data_dir, limit=None if dataset == "digits" else 20_000)
    pixels, labels = pixels_of(loaded.images), loaded.labels
    test: dict[Cell, dict[str, list[float]]] = {}
    with threadpoolctl.threadpool_limits(1), progress_bar(f"map of {dataset}", total=num_seeds) as done:
        for s in range(num_seeds):
            order = np.random.default_rng([seed, s, 1]).permutation(len(pixels))
            held_out = order[:num_test]
            for size in sizes:
                chosen = order[num_test : num_test + size]
                aligned, other = (
                    relation(kind, pixels[chosen], labels[chosen]).dense() for kind in ("aligned", "misaligned")
                )
                for name, space, rows, test_rows in spaces(pixels[chosen], pixels[held_out]):
                    for t in mixtures:
                        G = (1 - t) * aligned + t * other
                        scores = test.setdefault((name, t, size), {})
                        for method, optimise in METHODS.items():
                            embed = optimise(space, G).embed
                            views = embed(rows), labels[chosen], embed(test_rows), labels[held_out]
                            scores.setdefault(method, []).append(_accuracy(*views))
            done(s + 1)
    return Landscape({cell: {m: np.array(v) for m, v in scores.items()} for cell, scores in test.items()}, dataset)


def _accuracy(Z: np.ndarray, labels: np.ndarray, Z_test: np.ndarray, expected: np.ndarray) -> float:
    """Test accuracy of a linear probe; that of the most frequent class where the weight has left no dimension."""
    if not np.ptp(Z, axis=0).any():
        return float((expected == np.bincount(labels).argmax()).mean())
    return linear_probe(Z, labels, Z_test, expected).test


RECOMMENDATIONS = (
    ("arXiv (a)", "VICReg, high weight", "aligned", "low"),
    ("NeurIPS (a)", "VICReg, high weight", "aligned", "low"),
    ("NeurIPS (a)", "SimCLR", "aligned", "low"),
    ("arXiv (b)", "VICReg, small weight", "misaligned", "full"),
    ("NeurIPS (b)", "VICReg, small weight", "misaligned", "full"),
    ("NeurIPS (b)", "Barlow Twins", "misaligned", "full"),
)


def rivals_of(version: str, group: str) -> tuple[str, ...]:
    """Methods that a version sets a recommended group against: all that it does not recommend."""
    if version == "arXiv (b)":
        return (*SIMCLR, *BARLOW)
    also = {other for v, other, *_ in RECOMMENDATIONS if v == version}
    return sum((methods for name, methods in GROUPS.items() if name not in also), ())


def in_regime(cell: Cell, kind: str, data: str) -> bool:
    """Whether a cell belongs to a regime that a recommendation names."""
    _, t, size = cell
    return (t <= ALIGNED if kind == "aligned" else t >= MISALIGNED) and (size <= LOW) == (data == "low")


def landscape_claims(found: Landscape) -> list[Claim]:
    """Whether each recommendation holds somewhere in its regime, and somewhere at all."""
    seeds = len(next(iter(next(iter(found.test.values())).values())))
    choose, judge = slice(0, seeds // 2), slice(seeds // 2, None)
    claims = []
    for version, group, kind, data in RECOMMENDATIONS:
        rivals = rivals_of(version, group)
        inside = [cell for cell in found.test if in_regime(cell, kind, data)]
        named = f"somewhere with {kind} relations and {data} data"
        for cells, where in ((inside, named), (list(found.test), "anywhere")):
            best = max(cells, key=lambda cell: lower_end(found.advantage(cell, GROUPS[group], rivals, choose, choose)))
            ahead = found.advantage(best, GROUPS[group], rivals, choose, judge)
            claims.append(
                Claim.at_least(
                    f"{version}, {where}: {group} tests better than what is not recommended (lower end of the 95 % "
                    f"interval; {best[0]} functions, t = {best[1]:g}, {best[2]} images: {ahead.mean():+.3f})",
                    f"{PAPER}, recommendation {version[-3:]}, {version[:-4]} version; {found.name}, the best "
                    f"of {len(cells)} cells on {seeds // 2} seeds, judged on {seeds - seeds // 2} others",
                    bound=0.001,  # a tie is no advantage
                    measured=lower_end(ahead),
                )
            )
    return claims


def landscape_figure(found: Landscape) -> Figure:
    """Winner of every cell, with its lead over the best of the other groups; grey where the lead may be chance."""
    palette = ListedColormap(["0.92", "#1d4ed8", "#93c5fd", "#fdba74", "#d8b4fe"])
    sizes, mixtures = (sorted({cell[axis] for cell in found.test}) for axis in (2, 1))
    with style():
        figure, axes = plt.subplots(1, len(SPACES), figsize=(7.6, 3.0), sharey=True)
        for ax, space in zip(axes, SPACES, strict=True):
            winners = np.zeros((len(sizes), len(mixtures)), int)
            for (i, size), (j, t) in ((a, b) for a in enumerate(sizes) for b in enumerate(mixtures)):
                first, lead = winner(found, (space, t, size))
                winners[i, j] = first + 1 if lower_end(lead) > 0.001 else 0
                ax.text(j, i, f"{lead.mean():+.3f}", ha="center", va="center", fontsize=6.5)
            ax.imshow(winners, cmap=palette, vmin=-0.5, vmax=len(GROUPS) + 0.5, aspect="auto", alpha=0.75)
            ax.set(title=f"{space} functions", xlabel="misaligned part $t$ of the relation")
            ax.set(xticks=range(len(mixtures)), xticklabels=[f"{t:g}" for t in mixtures])
            ax.set(yticks=range(len(sizes)), yticklabels=sizes)
        axes[0].set_ylabel("training images")
        marks = [
            plt.Line2D([], [], color=palette(index), marker="s", ms=7, lw=0, label=name)
            for index, name in enumerate(("no one for sure", *GROUPS))
        ]
        figure.legend(handles=marks, loc="outside lower center", ncols=len(marks))
    return figure


def winner(found: Landscape, cell: Cell) -> tuple[int, Float[np.ndarray, " seeds"]]:
    """Index of the group whose best method is best on all seeds, and its lead over the other groups, seed by seed."""
    every = slice(None)
    groups = list(GROUPS.values())
    first = int(np.argmax([found.best(cell, methods, every, every).mean() for methods in groups]))
    others = sum((methods for index, methods in enumerate(groups) if index != first), ())
    return first, found.advantage(cell, groups[first], others, every, every)
