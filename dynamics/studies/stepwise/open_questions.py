"""What the authors ask at the end: whether early modes are more useful, and whether methods learn the same modes."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from sklearn.neighbors import KNeighborsClassifier

from dynamics.drawing.trajectories import mode_colors, style
from dynamics.studies.claims import Claim
from dynamics.studies.statistics import half_width, lower_end
from dynamics.studies.stepwise import PAPER
from dynamics.studies.stepwise.practical import LOSSES, PracticalRun
from dynamics.studies.stepwise.three_losses import setting
from dynamics.training.class_probes import LabelledImages
from dynamics.trajectories.metrics import span_overlap
from dynamics.trajectories.probes import linear_probe

NEIGHBOURS = 20
EARLY = 2
"""Modes whose span is compared beside that of all."""


class Learned(NamedTuple):
    """Modes (n, r) of a run on images as they are, to fit a probe to and to test it on, in the order of learning."""

    train: Float[np.ndarray, "train modes"]
    test: Float[np.ndarray, "test modes"]

    @property
    def every(self) -> Float[np.ndarray, "images modes"]:
        """On all images, centred."""
        Z = np.concatenate(self)
        return Z - Z.mean(axis=0)


def learned_modes(run: PracticalRun, images: LabelledImages) -> Learned:
    """Final embeddings along each direction in the order in which they were learned."""
    V = run.directions
    return Learned(run.embed(images.train) @ V, run.embed(images.test) @ V)


def accuracy_by_mode(modes: Learned, images: LabelledImages) -> Float[np.ndarray, "2 modes"]:
    """Test accuracy of the nearest neighbours along each mode alone, and of a linear probe on all modes up to it."""
    labels, expected = images.train_labels, images.test_labels
    count = modes.train.shape[1]
    alone = [
        KNeighborsClassifier(NEIGHBOURS).fit(modes.train[:, [r]], labels).score(modes.test[:, [r]], expected)
        for r in range(count)
    ]
    upto = [linear_probe(modes.train[:, : r + 1], labels, modes.test[:, : r + 1], expected).test for r in range(count)]
    return np.array([alone, upto])


def usefulness_claims(
    accuracies: Mapping[str, list[Float[np.ndarray, "2 modes"]]], runs: Sequence[PracticalRun]
) -> list[Claim]:
    """Earlier modes against later ones, each alone."""
    claims = []
    for loss, name in LOSSES.items():
        ahead = np.array([_ahead(alone) for alone, _ in accuracies[loss]])
        claims.append(
            Claim.at_least(
                f"{name}: the earlier half of the modes is more useful than the later one (mean accuracy of "
                f"{NEIGHBOURS} nearest neighbours along one mode, difference {ahead.mean():+.3f}, lower end of the 95 "
                "% interval)",
                f"asked in {PAPER} as an open question; {setting(runs, loss)}, images as they are",
                bound=0.001,  # a tie is no advantage
                measured=lower_end(ahead),
            )
        )
    return claims


def _ahead(alone: Float[np.ndarray, " modes"]) -> float:
    """Mean accuracy of the earlier half of the modes less that of the later one; 0 if there are no two."""
    half = len(alone) // 2
    return float(alone[:half].mean() - alone[half:].mean()) if half else 0.0


def method_overlaps(learned: Mapping[str, list[Learned]], rank: int | None) -> dict[tuple[str, str], np.ndarray]:
    """Overlap of the spans of the first `rank` modes, or of all, for pairs of methods and of seeds of one method.

    Methods are compared seed by seed, from the same weights; a method with itself over all pairs of seeds.
    """

    def overlap(a: Learned, b: Learned) -> float:
        r = min(a.train.shape[1], b.train.shape[1], rank or a.train.shape[1])
        return span_overlap(a.every[:, :r], b.every[:, :r], r) if r else 0.0

    found = {
        (a, b): np.array([overlap(*pair) for pair in zip(learned[a], learned[b], strict=True)])
        for a, b in combinations(learned, 2)
    }
    return found | {(a, a): np.array([overlap(*pair) for pair in combinations(learned[a], 2)]) for a in learned}


def same_modes_claims(learned: Mapping[str, list[Learned]], runs: Sequence[PracticalRun]) -> list[Claim]:
    """Methods among each other beside seeds of one method among each other, and beside chance."""
    num_images, dim = learned["barlow-twins"][0].every.shape
    claims = []
    for rank, which in ((EARLY, f"the first {EARLY} modes"), (None, "all modes")):
        overlaps = method_overlaps(learned, rank)
        seeds = np.mean([overlaps[loss, loss].mean() for loss in learned])
        for a, b in combinations(learned, 2):
            both = overlaps[a, b]
            claims.append(
                Claim.equals(
                    f"{LOSSES[a]} and {LOSSES[b]} learn the same functions: {which} span the same space as far as "
                    f"those of two seeds of one method do (overlap; chance {(rank or dim) / num_images:.3f})",
                    f"asked in {PAPER} as an open question; {setting(runs, a)}, images as they are, same weights at "
                    "the start; the tolerance is this project's",
                    expected=seeds,
                    measured=both.mean(),
                    tolerance=0.1,
                    interval=half_width(both),
                )
            )
    return claims


def modes_figure(
    accuracies: Mapping[str, list[Float[np.ndarray, "2 modes"]]], learned: Mapping[str, list[Learned]]
) -> Figure:
    """Accuracy of each mode alone and of all up to it; overlaps of methods, early and in all."""
    with style():
        figure, axes = plt.subplots(1, 4, figsize=(10.4, 2.8), width_ratios=(1, 1, 0.8, 0.8))
        for ax, row, title in zip(
            axes[:2], (0, 1), ("one mode alone, 20 neighbours", "all up to it, linear"), strict=True
        ):
            for (loss, found), color in zip(accuracies.items(), mode_colors(len(accuracies)), strict=True):
                for index, values in enumerate(found):
                    label = LOSSES[loss] if index == 0 else None
                    ax.plot(
                        np.arange(1, values.shape[1] + 1), values[row], "o-", ms=3, lw=0.8, color=color, label=label
                    )
            ax.set(title=title, xlabel="mode, in the order of learning", ylabel="accuracy", ylim=(0, 1))
        axes[1].legend(loc="lower right")
        for ax, rank, title in zip(axes[2:], (EARLY, None), (f"first {EARLY} modes", "all modes"), strict=True):
            overlaps, names = method_overlaps(learned, rank), list(learned)
            matrix = np.array([[overlaps.get((a, b), overlaps.get((b, a))).mean() for b in names] for a in names])
            ax.imshow(matrix, vmin=0, vmax=1, cmap="Greys")
            for (i, j), value in np.ndenumerate(matrix):
                ax.text(j, i, f"{value:.2f}", ha="center", va="center", color="w" if value > 0.5 else "k", fontsize=7)
            ax.set(title=f"overlap, {title}", xticks=range(len(names)), yticks=range(len(names)))
            ax.set_xticklabels([LOSSES[name] for name in names], fontsize=6)
            ax.set_yticklabels([LOSSES[name] for name in names] if rank else [], fontsize=6)
    return figure
