"""Bizeul, Schölkopf, Allen (2024), A Probabilistic Model Behind Self-Supervised Learning.

The generative model and its exactly solvable part, and SimVAE against VAEs and joint-embedding methods on the same
encoder: what their representations know of content (the class) and of style (what the augmentation did). No accuracy of
the paper is known here; the numbers expected on digits are this project's own calibration.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from dynamics.errors import ConfigError
from dynamics.generative import frechet_distance
from dynamics.studies.claims import Claim
from dynamics.studies.simve import PAPER
from dynamics.studies.simve.budget import budget_curves, budget_table
from dynamics.studies.simve.exact import (
    THRESHOLDS,
    content_given_up,
    dynamics_claims,
    expansion_claims,
    linear_courses,
    mehler_claims,
    prior_claims,
    threshold_claims,
    transient_claims,
)
from dynamics.studies.simve.figures import (
    budget_figure,
    courses_figure,
    images_figure,
    methods_figure,
    noise_figure,
    thresholds_figure,
)
from dynamics.studies.simve.generated import Extractor, classifier_features
from dynamics.studies.simve.methods import (
    JOINT,
    VAES,
    Results,
    Scores,
    Task,
    compare,
    load_task,
    simvae_name,
    sweep_noise,
)
from dynamics.studies.simve.search import best_strengths, described
from dynamics.studies.simve.settings import Setting, setting
from dynamics.studies.statistics import half_width, of_the_best
from dynamics.support import files
from dynamics.support.progress import note

_SHOWN = 10
_GENERATED = 3


def run(
    out: Path,
    *,
    data_dir: Path | None = None,
    full: bool = False,
    seed: int = 0,
    dataset: str = "digits",
    num_seeds: int = 3,
    steps: int | None = None,
    extractor: Extractor | None = None,
) -> list[Claim]:
    """Test the claims and draw the figures.

    Parameters
    ----------
    out : Path
        Folder for figures (PNG and PDF), trajectories and scores (JSON). A run that was stopped left its trainings in
        the subfolder `unfinished`, and goes on from there.
    data_dir : Path, optional
        Folder with the official files of a real data set.
    full : bool
        Whether to use the sizes of the released code, which are meant for an accelerator.
    seed : int
        Seed of everything that is random.
    dataset : str
        `digits`, `mnist`, `fashion-mnist`, `cifar10` or `celeba`.
    num_seeds : int
        Number of trainings of every method.
    steps : int, optional
        Number of updates of every training, in place of the setting's.
    extractor : callable, optional
        Function images (n, h, w, c) -> features (n, d). With it, Fréchet distances of generated images are measured
        too; they are FIDs only with the Inception network of Heusel et al. (2017). Distances by the features of a
        classifier of the same images are always measured, where the images have classes.
    """
    if num_seeds < 2:
        raise ConfigError(f"num_seeds is {num_seeds}; give at least 2, for error bars.")
    out = Path(out)
    chosen = setting(dataset, full)
    if steps is not None:
        most = {name: min(steps, getattr(chosen, name)) for name in ("sweep_steps", "search_steps")}
        chosen = replace(chosen, steps=steps, budgets=tuple(b for b in chosen.budgets if b < steps), **most)
    task = load_task(chosen, data_dir, seed)  # missing files are reported before anything long begins
    claims = _exact(out, seed)
    unfinished = out / "unfinished" / _digest(chosen, num_seeds, seed)
    strengths = best_strengths(task, seed, checkpoints=unfinished)
    note(f"simve on {dataset}: strengths found by the search are {described(strengths)}.")
    results = compare(
        task,
        num_seeds,
        seed,
        strengths=strengths,
        checkpoints=unfinished,
        report_cost=lambda seconds: _say_cost(chosen, seconds),
    )
    measure = _main_measure(task)
    curves = budget_curves(task, results, num_seeds, seed, measure=measure, checkpoints=unfinished)
    shutil.rmtree(unfinished.parent)
    files.save_json(out / f"scores_{dataset}.json", results.table())
    files.save_json(out / f"strengths_{dataset}.json", dict(strengths))
    files.save_figure(_methods_figure(results, task), out / f"methods_{dataset}")
    files.save_figure(images_figure(_image_rows(results, task, seed)), out / f"images_{dataset}")
    files.save_json(out / f"budgets_{dataset}.json", budget_table(curves))
    files.save_figure(budget_figure(curves, measure), out / f"budgets_{dataset}")
    claims += _orderings(results, chosen)
    if dataset == "digits":
        claims += _calibration(results)
    if chosen.noises:
        sweep = sweep_noise(task, num_seeds, seed)
        content = [] if task.train.content is None else ["content linear on views", "content knn on views"]
        measures = [*content, *_styles(task)]
        files.save_figure(noise_figure(sweep, measures, _chance(task)), out / f"noise_{dataset}")
        claims += _noise(sweep, max(chosen.views))
    if extractor is not None:
        files.save_json(out / f"frechet_{dataset}.json", _frechet(results, task, extractor, seed))
    if task.clean.content is not None:
        own = classifier_features(task.clean.views, task.clean.content, seed=seed)
        files.save_json(out / f"classifier_distance_{dataset}.json", _frechet(results, task, own, seed))
    return claims


def _exact(out: Path, seed: int) -> list[Claim]:
    thresholds = threshold_claims()
    courses = linear_courses(seed)
    run, variances = content_given_up()
    for course in courses.values():
        course.trajectory.save(out / f"{course.trajectory.rung}.npz")
    run.trajectory.save(out / "content_given_up.npz")
    files.save_figure(courses_figure(courses), out / "linear_dynamics")
    measured = dict(zip(THRESHOLDS, (claim.measured for claim in thresholds), strict=True))
    times = run.trajectory.times
    files.save_figure(thresholds_figure(measured, times, variances, "style, variance 1.4"), out / "linear_thresholds")
    return [
        *prior_claims(seed),
        *thresholds,
        *mehler_claims(seed),
        *expansion_claims(seed),
        *dynamics_claims(courses),
        *transient_claims(variances),
    ]


# ---------------------------------------------------------------- claims


def _orderings(results: Results, chosen: Setting) -> list[Claim]:
    """What the paper says of the order of the methods, each with the 95 % interval of the difference.

    Content is read from images as they are, the protocol of the released code.
    """
    simvaes = [simvae_name(J) for J in chosen.views]
    source = f"{PAPER}, experiments; {chosen.dataset}"
    claims = []
    if "content linear" in next(iter(results.scores.values())):

        def content(names: Sequence[str]) -> dict[str, np.ndarray]:
            return {name: results.scores[name]["content linear"] for name in names}

        ours, vae, joint = content(simvaes), content(VAES), content(JOINT)
        behind = of_the_best(joint) - of_the_best(ours)
        claims += [
            _ahead(f"content: {_best(ours)} reads better than the best VAE ({_best(vae)})", source, ours, vae),
            Claim.at_most(
                f"content: {_best(ours)} is near the best joint-embedding method ({_best(joint)}); accuracy behind it",
                f"{source} (MNIST and Fashion-MNIST; a clear gap on CIFAR-10 and CelebA); bound of this project",
                bound=0.05,
                measured=behind.mean(),
                interval=half_width(behind),
            ),
        ]
    ours, joint = ({name: results.style(name) for name in names} for names in (simvaes, JOINT))
    claims.append(
        _ahead(
            f"style: {_best(ours)} reads better than the best joint-embedding method ({_best(joint)})",
            source,
            ours,
            joint,
        )
    )
    return claims


def _ahead(claim: str, source: str, ours: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> Claim:
    """Which methods are the best is chosen for every seed on the others; the names are those of the best mean."""
    difference = of_the_best(ours) - of_the_best(others)
    low = difference.mean() - half_width(difference)
    return Claim.at_least(f"{claim}: by {difference.mean():.3f}, at least (95 %)", source, bound=0.0, measured=low)


def _best(scores: Mapping[str, np.ndarray]) -> str:
    return max(scores, key=lambda name: scores[name].mean())


def _calibration(results: Results) -> list[Claim]:
    """The effects on digits, with margins from an earlier calibration of this project."""
    source = "8×8 digits, shift × intensity, MLP 256–256, content on views; this project's calibration"
    simvae, shift, linear, knn = simvae_name(6), "style shift linear", "content linear on views", "content knn on views"
    gain = results.mean(simvae, linear) - results.mean("VAE", linear)
    neighbours = results.mean(simvae, knn) - results.mean("VAE", knn)
    return [
        Claim.at_least("SimVAE J = 6 reads digits linearly better than the VAE, by", source, bound=0.20, measured=gain),
        Claim.at_most(
            "most of it is linearisation: the k-NN probe gains less than a quarter as much (ratio)",
            source,
            bound=0.25,
            measured=neighbours / gain,
        ),
        Claim.at_least(
            "more views help: J = 6 against J = 2, linear",
            source,
            bound=0.0,
            measured=results.mean(simvae, linear) - results.mean(simvae_name(2), linear),
        ),
        Claim.equals(
            "SimVAE J = 6 keeps the shift as the VAE does (difference)",
            source,
            expected=0.0,
            measured=results.mean(simvae, shift) - results.mean("VAE", shift),
            tolerance=0.06,
        ),
        Claim.at_least(
            "SimVAE J = 6 knows the shift better than Barlow Twins, by",
            source,
            bound=0.5,
            measured=results.mean(simvae, shift) - results.mean("Barlow Twins", shift),
        ),
        Claim.at_least(
            "Barlow Twins reads digits linearly better than SimVAE J = 6, by",
            source,
            bound=0.0,
            measured=results.mean("Barlow Twins", linear) - results.mean(simvae, linear),
        ),
    ]


def _noise(sweep: dict[str, dict[float, Scores]], num_views: int) -> list[Claim]:
    source = "8×8 digits, sweep of the decoder noise; this project's calibration"
    simvae = sweep[simvae_name(num_views)]
    lowest, highest = min(simvae), max(simvae)
    return [
        Claim.at_least(
            f"decoder noise decides: SimVAE J = {num_views} reads digits better at τ² = {lowest} than at {highest}, by",
            source,
            bound=0.2,
            measured=(simvae[lowest]["content linear on views"] - simvae[highest]["content linear on views"]).mean(),
        ),
        Claim.at_most(
            f"the VAE collapses at τ² = {highest} (k-NN probe; chance 0.10)",
            source,
            bound=0.2,
            measured=sweep["VAE"][highest]["content knn on views"].mean(),
        ),
    ]


# ---------------------------------------------------------------- figures and files


def _styles(task: Task) -> list[str]:
    return [f"style {name} linear" for name in task.train.style]


def _chance(task: Task) -> dict[str, float]:
    """Score of knowing nothing: the most frequent class, or R² = 0."""
    content = _largest_class(task.test.content)
    chance = {f"content {probe}{where}": content for probe in ("linear", "knn") for where in ("", " on views")}
    for name, values in task.test.style.items():
        chance[f"style {name} linear"] = _largest_class(values) if np.issubdtype(values.dtype, np.integer) else 0.0
    return chance


def _largest_class(labels: np.ndarray | None) -> float:
    return 0.0 if labels is None else float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def _main_measure(task: Task) -> str:
    """What methods are compared by first: the class, or an attribute where a data set has no classes."""
    return "content linear" if task.train.content is not None else "style gender linear"


def _methods_figure(results: Results, task: Task):
    content = _main_measure(task)
    styles = [name for name in _styles(task) if name != content][:3]
    return methods_figure(results, content, styles, f"{task.setting.dataset}: mean and s.d. over seeds", _chance(task))


def _image_rows(results: Results, task: Task, seed: int) -> dict[str, np.ndarray]:
    """Views, and what the VAE and the SimVAE with the most views make of them."""
    views = task.test.views[:_SHOWN]
    rows = {"view": views}
    simvae = simvae_name(max(task.setting.views))
    for name in ("VAE", simvae):
        fitted = results.fitted[name]
        rows[f"{name}: reconstruction"] = np.asarray(fitted.method.model.reconstruct(fitted.of_seed(0), views))
    fitted = results.fitted[simvae]
    generated = fitted.method.model.cross_view(fitted.of_seed(0), jax.random.key(seed), views, _GENERATED)
    return {**rows, **{f"{simvae}: new view {k}": images for k, images in enumerate(np.asarray(generated), start=1)}}


def _frechet(results: Results, task: Task, extractor: Extractor, seed: int) -> dict[str, float]:
    """Distance of decoded draws from the prior's marginal, N(0, (g² + σ²)I), to views that no one was trained on."""
    real = extractor(task.test.views)
    distances = {}
    for name, fitted in results.fitted.items():
        if fitted.method.generative:
            model, params = fitted.method.model, fitted.of_seed(0)
            prior, J = model.prior, fitted.method.num_views
            std = (prior.between(J) + prior.within_variance) ** 0.5
            z = std * jax.random.normal(jax.random.key(seed), (len(real), model.latent))
            distances[name] = frechet_distance(real, extractor(np.asarray(model.decode(params, z))))
    return distances


def _digest(chosen: Setting, num_seeds: int, seed: int) -> str:
    """Name for what the trainings depend on: a run with other settings does not go on from their checkpoints."""
    return hashlib.blake2b(repr((chosen, num_seeds, seed)).encode(), digest_size=8).hexdigest()


def _say_cost(chosen: Setting, seconds: float) -> None:
    """Say what the study will cost, from the time of the first method: all methods, shorter budgets and the sweep."""
    methods = len(VAES) + len(chosen.views) + len(JOINT)
    budgets = sum(chosen.budgets) / chosen.steps
    sweeps = 2 * len(chosen.noises) * chosen.sweep_steps / chosen.steps
    minutes = seconds * (methods * (1 + budgets) + sweeps) / 60
    note(f"simve on {chosen.dataset}: {methods} methods of {chosen.steps:,} updates take about {minutes:.0f} min.")
