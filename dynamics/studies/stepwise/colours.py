"""Are the first modes an image's average hue and saturation? Regressions of these and of brightness on modes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from dynamics.drawing.trajectories import style
from dynamics.recipe.config import Recipe, recipe_preset
from dynamics.studies.claims import Claim
from dynamics.studies.statistics import half_width
from dynamics.studies.stepwise import PAPER
from dynamics.studies.stepwise.open_questions import learned_modes
from dynamics.studies.stepwise.practical import PracticalRun, train_all
from dynamics.training.class_probes import labelled_images
from dynamics.trajectories.probes import linear_regression

MODES = 4
"""The first modes, on which colours are regressed."""

COLOURS = ("hue", "saturation", "brightness")


def colour_recipe(data_dir: Path | None, num_images: int = 5000) -> Recipe:
    """A narrow ResNet on CIFAR-10 under Barlow Twins from the small start, long enough for its first modes.

    Views are random crops without changes of colour, which would take away what the question is about.
    """
    return replace(
        recipe_preset("cpu", "barlow-twins"),
        dataset="cifar10",
        data_dir=data_dir,
        num_images=num_images,
        network="resnet10",
        width=1 / 16,
        projector=(64,),
        dim=6,
        batch=48,
        steps=700,
        learning_rate=0.04,
        probe_images=128,
        records=80,
    )


def colours_of(images: Float[np.ndarray, "n h w 3"]) -> dict[str, Float[np.ndarray, "n _"]]:
    """Mean colours of images in [0, 1].

    Hue is an angle H, so its mean is that of the unit vectors, each as long as the pixel is saturated: the two numbers
    (1/P) Σ S (cos H, sin H) over the P pixels. Saturation S and brightness V are means over the pixels.
    """
    hue, saturation, brightness = np.moveaxis(matplotlib.colors.rgb_to_hsv(np.clip(images, 0, 1)), -1, 0)
    vector = saturation[..., None] * np.stack([np.cos(2 * np.pi * hue), np.sin(2 * np.pi * hue)], axis=-1)
    return {
        "hue": vector.mean(axis=(1, 2)),
        "saturation": saturation.mean(axis=(1, 2))[:, None],
        "brightness": brightness.mean(axis=(1, 2))[:, None],
    }


def colour_table(run: PracticalRun, data_dir: Path | None) -> dict[str, Float[np.ndarray, " modes"]]:
    """Colour -> test R² of its linear regression on each of the first modes alone, and on all of them together."""
    images = labelled_images("cifar10", data_dir)
    modes = learned_modes(run, images)
    targets = colours_of(images.train), colours_of(images.test)
    chosen = [[r] for r in range(min(MODES, modes.train.shape[1]))] + [list(range(min(MODES, modes.train.shape[1])))]
    return {
        name: np.array(
            [
                linear_regression(modes.train[:, rows], targets[0][name], modes.test[:, rows], targets[1][name]).test
                for rows in chosen
            ]
        )
        for name in COLOURS
    }


def colour_claims(data_dir: Path | None, seeds: list[int]) -> tuple[list[dict[str, np.ndarray]], list[Claim]]:
    """Train, regress, and claim that the first modes hold more than half of the variance of each colour."""
    recipe = colour_recipe(data_dir)
    runs = train_all({"barlow-twins": recipe}, seeds, starts=("small",))
    tables = [colour_table(run, data_dir) for run in runs]
    source = (
        f"{PAPER}, the authors' post on this paper; cifar10, {recipe.num_images:,} images, {recipe.network} of width "
        f"{recipe.width:g}, crops alone as augmentation, {len(seeds)} seeds; the bound, half, is this project's"
    )
    claims = []
    for name in COLOURS:
        together = np.array([table[name][-1] for table in tables])
        single = np.mean([table[name][:-1] for table in tables], axis=0)
        claims.append(
            Claim.at_least(
                f"the first {MODES} modes are an image's mean {name} to more than half (R² of a linear regression on "
                f"test images; single modes {', '.join(f'{value:.2f}' for value in single)})",
                source
                if name != "brightness"
                else source.replace(", the authors' post on this paper", ", beside hue and saturation"),
                bound=0.5,
                measured=together.mean(),
                interval=half_width(together),
            )
        )
    return tables, claims


def colours_figure(tables: Sequence[dict[str, np.ndarray]]) -> Figure:
    """R² of each colour on each of the first modes, and on all of them; one mark a seed, a bar at the mean."""
    with style():
        figure, ax = plt.subplots(figsize=(4.6, 2.8))
        for index, (name, shade) in enumerate(zip(COLOURS, ("#c2410c", "#7c3aed", "0.4"), strict=True)):
            values = np.array([table[name] for table in tables])
            places = np.arange(values.shape[1]) + 0.25 * (index - 1)
            ax.bar(places, values.mean(axis=0), width=0.22, color=shade, alpha=0.5, label=name)
            ax.plot(places, values.T, "o", ms=2.5, color=shade)
        count = values.shape[1] - 1
        ax.set(xticks=range(count + 1), xticklabels=[*(f"mode {r + 1}" for r in range(count)), "all"])
        ax.set(ylabel="$R^2$ on test images", ylim=(min(0, ax.get_ylim()[0]), 1))
        ax.legend(ncols=3, loc="upper left", fontsize=6)
    return figure
