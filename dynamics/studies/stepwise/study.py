"""Simon, Knutins, Liu, Geisz, Fetterman, Albrecht (2023), On the Stepwise Nature of Self-Supervised Learning.

The claims that a linear model (exact theory, rungs 0 and 1), a small network (rung 3) and practical recipes (rung 4)
can test; Fig. 1A,B: two random 20×20 crops each of 500 CIFAR-10 images, f(x) = W x, full-batch gradient descent;
Fig. 1C,D: embeddings in their leading directions; Fig. 2: three losses; and three questions left open by the authors.
Without CIFAR-10 files the figures are drawn for the embedded 8×8 digits. Numbers of outputs, learning rates and scales
of the start are not stated in the captions of the figures; they are choices made here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from dynamics.errors import ConfigError
from dynamics.experiment.config import Config
from dynamics.recipe.config import Recipe
from dynamics.studies.claims import Claim
from dynamics.studies.stepwise.blur import linear_blur, linear_blur_claims, network_blur_claims
from dynamics.studies.stepwise.colours import colour_claims, colours_figure
from dynamics.studies.stepwise.exact import end_point, exact_solution, kernel_form, plateaus, small_starts
from dynamics.studies.stepwise.first_figure import figure_1
from dynamics.studies.stepwise.hidden import hidden_claims
from dynamics.studies.stepwise.kernel_after import kernel_claims
from dynamics.studies.stepwise.mlp import network_claims
from dynamics.studies.stepwise.open_questions import (
    accuracy_by_mode,
    learned_modes,
    modes_figure,
    same_modes_claims,
    usefulness_claims,
)
from dynamics.studies.stepwise.practical import LOSSES, PracticalRun, digits_recipes, full_recipes, train_all
from dynamics.studies.stepwise.three_losses import (
    chosen,
    embeddings_figure,
    rank_claims,
    three_losses_claims,
    three_losses_figure,
)
from dynamics.support import files
from dynamics.training.class_probes import labelled_images
from dynamics.views import load_images
from dynamics.views.datasets import check_images


def run(
    out: Path,
    *,
    data_dir: Path | None = None,
    full: bool = False,
    seed: int = 0,
    num_pairs: int = 500,
    dim: int = 10,
    width: int = 512,
    num_seeds: int = 4,
) -> list[Claim]:
    """Test the claims and draw the figures.

    Parameters
    ----------
    out : Path
        Folder for figures (PNG and PDF), trajectories and numbers (JSON).
    data_dir : Path, optional
        Folder with the official CIFAR-10 files: adds the reproduction of Fig. 1A,B on them, and colours of modes.
    full : bool
        The paper's data (downloaded if there is no `data_dir`), a network on 50 CIFAR-10 pairs, and three losses at
        full size: ResNet-18 on CIFAR-10 and ResNet-50 on STL-10. Hours on an accelerator; runs that were stopped go on.
    seed : int
        Seed of data, views and weights; of repeated runs the first one.
    num_pairs, dim, width : int
        Pairs and outputs of the linear model, hidden units of the network.
    num_seeds : int
        Number of seeds of the practical networks and of the linear model at several scales, at least 2.

    Raises
    ------
    ConfigError
        If `num_seeds` is below 2.
    """
    if num_seeds < 2:
        raise ConfigError(f"num_seeds is {num_seeds}; give at least 2, so that there is an interval.")
    out, seeds = Path(out), [seed + i for i in range(num_seeds)]
    real = full or data_dir is not None
    for dataset in ("cifar10", "stl10") if full else ("cifar10",) if real else ():
        check_images(dataset, data_dir)  # a missing file is reported before anything long begins
    claims = [
        *exact_solution(num_pairs, seed),
        *small_starts(num_pairs, seed),
        *plateaus(num_pairs, dim, seed),
        *end_point(num_pairs, seed),
        *kernel_form(num_pairs, dim, seed),
        *linear_blur_claims(linear_blur(num_pairs, seeds), num_pairs),
        *figure_1(out, "digits", None, num_pairs, dim, seed),
    ]
    if real:
        claims += figure_1(out, "cifar10", data_dir, num_pairs, dim, seed)
    claims += network_claims(
        out, Config(num_pairs=48, dim=min(dim, 6), network="mlp", width=width, depth=1, seed=seed, multiplier="auto")
    )
    if full:
        settings = {"dataset": "cifar10", "data_dir": data_dir, "num_pairs": 50, "network": "mlp", "width": 2048}
        claims += network_claims(out, Config(**settings, dim=10, depth=1, seed=seed, multiplier="auto"))
    claims += practical_claims(out, digits_recipes(), seeds)
    if real:
        tables, found = colour_claims(data_dir, seeds)
        files.save_figure(colours_figure(tables), out / "colours")
        claims += found
    if full:
        for recipes in full_recipes(data_dir).values():
            claims += practical_claims(out, recipes, seeds, checkpoints=out / "checkpoints")
    return claims


def practical_claims(
    out: Path, recipes: Mapping[str, Recipe], seeds: list[int], checkpoints: Path | None = None
) -> list[Claim]:
    """Everything about practical networks of one data set: Fig. 1C,D and 2, hidden layers, kernels, open questions.

    Parameters
    ----------
    out : Path
        Folder for figures and trajectories.
    recipes : mapping
        Loss -> its recipe.
    seeds : list of int
        Seeds of the runs.
    checkpoints : path, optional
        Folder for the checkpoints of the runs.
    """
    first = next(iter(recipes.values()))
    runs = list(_kept(train_all(recipes, seeds, checkpoints), out, first.dataset))
    images = labelled_images(first.dataset, first.data_dir)
    small = {loss: chosen(runs, loss, "small") for loss in LOSSES}
    learned = {loss: [learned_modes(each, images) for each in found] for loss, found in small.items()}
    accuracies = {loss: [accuracy_by_mode(modes, images) for modes in found] for loss, found in learned.items()}
    labels = load_images(first.dataset, first.data_dir, limit=first.probe_images).labels
    files.save_figure(three_losses_figure(runs), out / f"fig2_{first.dataset}")
    files.save_figure(embeddings_figure(small["barlow-twins"][0], labels), out / f"fig1cd_{first.dataset}")
    files.save_figure(modes_figure(accuracies, learned), out / f"modes_{first.dataset}")
    files.save_json(
        out / f"modes_{first.dataset}.json",
        {loss: [{"alone": alone, "up_to_it": upto} for alone, upto in rows] for loss, rows in accuracies.items()},
    )
    claims = [
        *three_losses_claims(runs),
        *rank_claims(runs),
        *hidden_claims(runs),
        *kernel_claims(runs),
        *network_blur_claims(runs),
        *usefulness_claims(accuracies, runs),
        *same_modes_claims(learned, runs),
    ]
    return [replace(claim, claim=f"{first.dataset}: {claim.claim}") for claim in claims]


def _kept(runs: Iterable[PracticalRun], out: Path, dataset: str) -> Iterable[PracticalRun]:
    """The runs as they come, their trajectories saved."""
    for each in runs:
        each.trajectory.save(out / f"fig2_{dataset}_{each.loss}_{each.start}_{each.seed}.npz")
        yield each
