"""Fig. 1A,B: a linear model on two crops of each image, its step times and eigenvalues beside the forecast."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dynamics.drawing.axes import legend_above
from dynamics.drawing.trajectories import draw_eigenvalues, draw_loss, draw_step_marks, style
from dynamics.flow import closed_form
from dynamics.modes import contrastive_modes_from_features
from dynamics.studies.claims import Claim
from dynamics.studies.stepwise import PAPER
from dynamics.studies.stepwise.linear_model import descend, flattened, random_weights, schedule, trajectory
from dynamics.support import files
from dynamics.trajectories.comparison import step_times
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import load_pairs


def figure_1(out: Path, dataset: str, data_dir: Path | None, num_pairs: int, dim: int, seed: int) -> list[Claim]:
    """Train the linear model on pairs of a data set, draw it beside its forecast, and compare both."""
    pairs = load_pairs(dataset, data_dir=data_dir, num_pairs=num_pairs, seed=seed)
    views = flattened(pairs)
    modes = contrastive_modes_from_features(views)
    W0 = random_weights(dim, views.shape[1], 1e-3, np.random.default_rng(seed))
    rate, steps = schedule(modes.eigenvalues[:dim], np.full(dim, 1e-8), beyond=1.4)
    times = rate * steps.astype(float)
    measured = trajectory(views, descend(views, W0, rate, steps), times)
    theory = closed_form(modes, views @ W0.T, times)
    predicted = theory.mode_step_times
    measured.save(out / f"fig1_{dataset}_measured.npz")
    theory.save(out / f"fig1_{dataset}_predicted.npz")
    files.save_figure(_draw_figure_1(measured, theory, predicted), out / f"fig1_{dataset}")
    ratios = np.sort(predicted) / step_times(measured)
    source = f"{PAPER}, Fig. 1A,B; {pairs.source}, n = {num_pairs}"
    return [
        Claim.equals(
            f"linear model on {dataset}: all {dim} step times are where theory puts them "
            "(the predicted/measured ratio furthest from 1)",
            source,
            expected=1.0,
            measured=worst_ratio(ratios),
            tolerance=0.05,
        ),
        Claim.at_most(
            f"linear model on {dataset}: eigenvalues follow the closed form (mean error over modes, worst time)",
            source,
            bound=0.05,
            measured=np.abs(measured.eigenvalues - theory.eigenvalues).mean(axis=1).max(),
        ),
    ]


def worst_ratio(ratios: np.ndarray) -> float:
    """The predicted/measured ratio furthest from 1; infinite if a step is missing from theory or from the run."""
    return float(ratios[np.abs(ratios - 1).argmax()]) if np.isfinite(ratios).all() else np.inf


def _draw_figure_1(measured: Trajectory, theory: Trajectory, predicted: np.ndarray) -> Figure:
    """Loss with the predicted step times, and eigenvalues with their forecast, on logarithmic time."""
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(6.8, 2.6))
        draw_loss(left, measured, {})
        draw_step_marks(left, predicted)
        left.plot([], [], color="0.4", ls=(0, (2, 2)), lw=0.7, label="predicted steps")
        legend_above(left)
        draw_eigenvalues(right, measured, theory)
        window = (predicted.min() / 2.5, measured.times[-1])
        for ax, letter in ((left, "a"), (right, "b")):
            ax.set(xscale="log", xlim=window)
            ax.set_title(letter, loc="left", fontweight="bold", fontsize=9)
        legend_above(right)
    return figure
