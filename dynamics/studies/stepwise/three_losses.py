"""Fig. 2: which losses step from the small start, which from the standard one; and Fig. 1C,D: point, line, plane."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure

from dynamics.drawing.trajectories import mode_colors, style
from dynamics.studies.claims import Claim
from dynamics.studies.statistics import half_width
from dynamics.studies.stepwise import PAPER
from dynamics.studies.stepwise.modes import plateaus
from dynamics.studies.stepwise.practical import LOSSES, STARTS, PracticalRun
from dynamics.trajectories.metrics import participation_ratio

PLATEAUS = 3
"""Plateaus on which the rank of the embeddings is counted."""


def chosen(runs: Sequence[PracticalRun], loss: str, start: str) -> list[PracticalRun]:
    """The runs of one loss from one start, one for each seed."""
    return [run for run in runs if (run.loss, run.start) == (loss, start)]


def setting(runs: Sequence[PracticalRun], loss: str) -> str:
    """Data, network and number of seeds, for the source of a claim."""
    found = chosen(runs, loss, "small")
    recipe = found[0].prepared.recipe
    return (
        f"{recipe.dataset}, {recipe.network} of width {recipe.width:g}, batches of {recipe.batch} with fresh views, "
        f"d = {recipe.dim}, {recipe.steps} steps, {len(found)} seeds"
    )


def three_losses_claims(runs: Sequence[PracticalRun]) -> list[Claim]:
    """Number of dimensions that are learned in a step of their own, by loss and start."""
    claims = []
    for loss, name in LOSSES.items():
        small, standard = (np.array([run.steps for run in chosen(runs, loss, start)], float) for start in STARTS)
        source, d = f"{PAPER}, Fig. 2; {setting(runs, loss)}; the bound is this project's", runs[0].trajectory.dim
        claims += [
            Claim.at_least(
                f"{name}, small start: more than half of the {d} dimensions are learned in steps of their own (number "
                "of distinct steps)",
                source,
                bound=d / 2 + 0.5,
                measured=small.mean(),
                interval=half_width(small),
            ),
            Claim.at_least(
                f"{name}: the standard start blurs steps (distinct steps from the small start less those from the "
                f"standard one, which has {standard.mean():.2g} ± {half_width(standard):.2g})",
                f"{PAPER}, discussion of the initialisation; {setting(runs, loss)}; the bound is this project's",
                bound=1.0,
                measured=(small - standard).mean(),
                interval=half_width(small - standard),
            ),
        ]
    return claims


def rank_claims(runs: Sequence[PracticalRun], loss: str = "barlow-twins") -> list[Claim]:
    """Point, line, plane: on plateau r the embeddings have r dimensions, counted by their participation ratio."""
    small = chosen(runs, loss, "small")
    claims = []
    for r in range(1, PLATEAUS + 1):
        ranks = np.array([_rank(run, r) for run in small])
        claims.append(
            Claim.equals(
                f"{LOSSES[loss]}, small start: on the plateau after step {r} the embeddings have rank {r} "
                "(participation ratio)",
                f"{PAPER}, Fig. 1C,D; {setting(runs, loss)}; closer to {r} than to another number",
                expected=r,
                measured=ranks.mean(),
                tolerance=0.5,
                interval=half_width(ranks),
            )
        )
    return claims


def _rank(run: PracticalRun, learned: int) -> float:
    """Participation ratio on the plateau; infinite if the run never came to it."""
    found = [plateau for plateau in plateaus(run.trajectory) if plateau.learned == learned]
    return participation_ratio(found[0].embeddings) if found else np.inf


def three_losses_figure(runs: Sequence[PracticalRun]) -> Figure:
    """Loss, and eigenvalues of C from either start, a column a loss; the first seed solid, the others faint."""
    with style():
        figure, axes = plt.subplots(3, len(LOSSES), figsize=(9.6, 6.2), sharex="col", height_ratios=(1, 1.2, 1.2))
        for column, (loss, name) in zip(axes.T, LOSSES.items(), strict=True):
            for start, panel, color in zip(STARTS, column[1:], ("#1b1b1b", "0.65"), strict=True):
                found = chosen(runs, loss, start)
                for index, run in enumerate(found):
                    x, faint = run.trajectory.steps, {"alpha": 1.0 if index == 0 else 0.25}
                    label = f"{start} start" if index == 0 else None
                    column[0].plot(x, run.trajectory.loss, color=color, lw=1.2, label=label, **faint)
                    for curve, shade in zip(run.trajectory.eigenvalues.T, mode_colors(run.trajectory.dim), strict=True):
                        panel.plot(x, curve, color=shade, lw=1.1, **faint)
                counts = " ".join(str(run.steps) for run in found)
                panel.set_title(f"{start} start; distinct steps of each seed: {counts}", fontsize=7)
            column[0].set(title=name)
            column[-1].set(xlabel="training step")
        for row, label in enumerate(("loss", "eigenvalues of $C$", "eigenvalues of $C$")):
            axes[row, 0].set_ylabel(label)
        axes[0, -1].legend(loc="upper right")
    return figure


def embeddings_figure(run: PracticalRun, labels: Int[np.ndarray, " images"]) -> Figure:
    """Embeddings of one run at the start and on its first plateaus, in their three leading directions."""
    stages = plateaus(run.trajectory)[:PLATEAUS]
    start = run.trajectory.embeddings[0].astype(np.float64)
    V = run.directions[:, :3]
    V = np.pad(V, ((0, 0), (0, 3 - V.shape[1])))  # a run may have learned fewer
    limits = np.array([-1, 1]) * max((np.quantile(np.abs(stage.embeddings @ V), 0.99) for stage in stages), default=1.0)
    with style():
        size = (2.5 * (len(stages) + 1), 2.7)
        figure, axes = plt.subplots(1, len(stages) + 1, figsize=size, squeeze=False, subplot_kw={"projection": "3d"})
        colours = plt.get_cmap("tab10")(np.r_[labels, labels])
        for ax, (learned, _, F) in zip(axes[0], [(0, 0.0, start - start.mean(axis=0)), *stages], strict=True):
            ax.scatter(*(F @ V).T, c=colours, s=5, lw=0, depthshade=False)
            ax.set(xlim=limits, ylim=limits, zlim=limits, xticklabels=[], yticklabels=[], zticklabels=[])
            title = "start" if learned == 0 else f"after step {learned}"
            ax.set_title(f"{title}: rank {participation_ratio(F):.2f}" if learned else "start: a point", fontsize=8)
    return figure
