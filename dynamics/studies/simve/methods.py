"""Training and probing of all methods of the study of Bizeul et al. 2024 on one data set."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import jax
import numpy as np
import threadpoolctl

from dynamics.errors import DataError
from dynamics.generative import Fitted, Method, evaluate, fit, make_method
from dynamics.studies.simve.settings import Setting
from dynamics.views import Augmentation, Images, StyledViews, get_augmentation, load_images, styled_views
from dynamics.views.celeba import load_celeba

VAES = ("VAE", "β-VAE", "CR-VAE")
JOINT = ("SimCLR", "VICReg", "Barlow Twins", "L_λ")
RANDOM = "random encoder"

NAMES = dict(
    zip((*VAES, *JOINT), ("vae", "beta-vae", "cr-vae", "simclr", "vicreg", "barlow-twins", "l-lambda"), strict=True)
)
"""Title in tables and figures -> name of the method, of all but SimVAE."""

Scores = Mapping[str, np.ndarray]
"""Measure -> (seeds,)."""


@dataclass(frozen=True, eq=False)
class Task:
    """What all methods are trained on and probed with.

    Parameters
    ----------
    setting : Setting
        Setting of the training and the probes for the data set.
    images : array (n, h, w, c)
        The images to train on.
    augmentation : callable
        Augmentation (key, image) -> view.
    train, test : StyledViews
        Views that the probes are fitted to and tested on: of training images, and of images that no method was trained
        on.
    clean, clean_test : StyledViews
        The same images as they are, from which content is read.
    """

    setting: Setting
    images: np.ndarray
    augmentation: Augmentation
    train: StyledViews
    test: StyledViews
    clean: StyledViews
    clean_test: StyledViews

    @property
    def shape(self) -> tuple[int, ...]:
        """(h, w, c) of a view."""
        return self.train.views.shape[1:]


@dataclass(frozen=True, eq=False)
class Results:
    """Scores by method, and the trained models.

    Parameters
    ----------
    scores : mapping
        Method -> measure -> (seeds,).
    fitted : mapping
        Method -> trained method; random encoders are not among them.
    strengths : mapping
        Method -> the strength that was found for it.
    """

    scores: Mapping[str, Scores]
    fitted: Mapping[str, Fitted]
    strengths: Mapping[str, float] = field(default_factory=dict)

    def mean(self, method: str, measure: str) -> float:
        """Mean over the seeds."""
        return float(self.scores[method][measure].mean())

    def style(self, method: str) -> np.ndarray:
        """Mean of all style probes, (seeds,)."""
        return np.mean([v for name, v in self.scores[method].items() if name.startswith("style")], axis=0)

    def table(self) -> dict[str, dict[str, dict[str, float]]]:
        """Mean and standard deviation over the seeds, for JSON."""
        return {
            method: {name: {"mean": float(v.mean()), "std": float(v.std())} for name, v in scores.items()}
            for method, scores in self.scores.items()
        }


def load_task(setting: Setting, data_dir: Path | None, seed: int) -> Task:
    """Images, divided into a part to train on and one to test on, and the views of the probes."""
    (images, labels, attributes), test_part = _images(setting, data_dir, seed)
    shown = slice(setting.probed)
    probed = (images[shown], None if labels is None else labels[shown], {k: v[shown] for k, v in attributes.items()})
    augmentation = get_augmentation(setting.augmentation, images.shape[1:]).first
    keys = jax.random.split(jax.random.key(seed + 1), 2)
    train, test = (
        _with_attributes(styled_views(pixels, labels, augmentation, key, repeats=setting.repeats), attributes)
        for (pixels, labels, attributes), key in zip((probed, test_part), keys, strict=True)
    )
    return Task(setting, images, augmentation, train, test, *(_as_they_are(p, setting) for p in (probed, test_part)))


Part = tuple[np.ndarray, np.ndarray | None, Mapping[str, np.ndarray]]


def _as_they_are(part: Part, setting: Setting) -> StyledViews:
    """Images without augmentation; only the threshold of a binarised data set remains."""
    pixels, labels, _ = part
    return StyledViews((pixels > 0.5).astype(pixels.dtype) if setting.binarised else pixels, labels, {})


def _images(setting: Setting, data_dir: Path | None, seed: int) -> tuple[Part, Part]:
    """Pixels, classes and attributes of the images to train on and to test on."""
    if setting.dataset == "celeba":
        found = [load_celeba(data_dir, split=s, limit=n) for s, n in (("train", setting.train), ("test", setting.test))]
        return tuple((images.images, None, attributes) for images, attributes in found)
    if setting.dataset == "digits":  # has no split of its own
        loaded = load_images("digits")
        order = np.random.default_rng(seed).permutation(len(loaded))
        rows = order[: setting.train], order[setting.train : setting.train + setting.test]
        return tuple((loaded.images[r], loaded.labels[r], {}) for r in rows)
    train = load_images(setting.dataset, data_dir, split="train", limit=setting.train)
    test = load_images(setting.dataset, data_dir, split="test", limit=setting.test)
    for images in (train, test):
        _require_labels(images)
    return (train.images, train.labels, {}), (test.images, test.labels, {})


def _require_labels(images: Images) -> None:
    if images.labels is None:
        raise DataError(f"{images.name}: {images.note}; probes need labels, so add the label files.")


def _with_attributes(views: StyledViews, attributes: Mapping[str, np.ndarray]) -> StyledViews:
    repeats = {name: np.resize(values, len(views)) for name, values in attributes.items()}
    return StyledViews(views.views, views.content, {**views.style, **repeats})


def methods(setting: Setting, shape: tuple[int, ...], strengths: Mapping[str, float]) -> dict[str, Method]:
    """All methods by the names that tables and figures have."""
    model = setting.model(shape)
    simvaes = {simvae_name(J): make_method("simvae", model, num_views=J) for J in setting.views}
    others = {title: make_method(name, model, strength=strengths.get(title)) for title, name in NAMES.items()}
    return {**{title: others[title] for title in VAES}, **simvaes, **{title: others[title] for title in JOINT}}


def simvae_name(num_views: int) -> str:
    """Name of SimVAE with J views."""
    return f"SimVAE J = {num_views}"


def compare(
    task: Task,
    num_seeds: int,
    seed: int,
    *,
    strengths: Mapping[str, float],
    checkpoints: Path | None = None,
    report_cost: Callable[[float], None] | None = None,
) -> Results:
    """Train every method with several seeds and probe it; probes of one run while the next is trained."""
    setting = task.setting
    scores, fitted = {}, {}
    chosen = methods(setting, task.shape, strengths)
    with ThreadPoolExecutor(1) as pool:
        untrained = fit_method(task, chosen[VAES[0]], num_seeds, seed, steps=0)
        waiting: dict[str, Future] = {RANDOM: pool.submit(probe, untrained, task)}
        for name, method in chosen.items():
            folder = None if checkpoints is None else checkpoints / name.replace(" ", "")
            fitted[name] = fit_method(task, method, num_seeds, seed, checkpoints=folder, report_cost=report_cost)
            waiting[name] = pool.submit(probe, fitted[name], task)
            report_cost = None
        for name, future in waiting.items():
            scores[name] = future.result()
    return Results(scores, fitted, strengths)


def sweep_noise(task: Task, num_seeds: int, seed: int) -> dict[str, dict[float, Scores]]:
    """VAE and SimVAE with the most views at every τ² of the setting: name -> τ² -> scores."""
    setting, J = task.setting, max(task.setting.views)
    results: dict[str, dict[float, Scores]] = {}
    with ThreadPoolExecutor(1) as pool:
        waiting = {}
        for noise in setting.noises:
            model = setting.model(task.shape, noise)
            for title, method in (
                ("VAE", make_method("vae", model)),
                (simvae_name(J), make_method("simvae", model, num_views=J)),
            ):
                fitted = fit_method(task, method, num_seeds, seed, steps=setting.sweep_steps)
                waiting[title, noise] = pool.submit(probe, fitted, task, thorough=False)
        for (title, noise), future in waiting.items():
            results.setdefault(title, {})[noise] = future.result()
    return results


def fit_method(
    task: Task,
    method: Method,
    num_seeds: int,
    seed: int,
    *,
    steps: int | None = None,
    checkpoints: Path | None = None,
    report_cost: Callable[[float], None] | None = None,
) -> Fitted:
    """Train one method as the setting says."""
    setting = task.setting
    return fit(
        method,
        task.images,
        task.augmentation,
        steps=setting.steps if steps is None else steps,
        batch=setting.batch,
        learning_rate=setting.learning_rate,
        decay=setting.decay,
        adam_epsilon=setting.adam_epsilon,
        num_seeds=num_seeds,
        seed=seed,
        together=not setting.convolutional,
        checkpoints=checkpoints,
        report_cost=report_cost,
    )


def probe(fitted: Fitted, task: Task, *, thorough: bool = True) -> Scores:
    """Scores of every seed; only linear and k-NN probes unless thorough.

    Content is read from images as they are (`content …`), as the released code does, and for comparison from augmented
    views (`content … on views`); style from views.
    """
    with threadpoolctl.threadpool_limits(1):  # the next method trains meanwhile
        rows = [_scores(fitted, index, task, thorough) for index in range(fitted.num_seeds)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _scores(fitted: Fitted, index: int, task: Task, thorough: bool) -> dict[str, float]:
    def embed(views: np.ndarray) -> np.ndarray:
        return fitted.embed(views, index)

    starts = task.setting.mixture_starts
    clean = evaluate(
        embed, task.clean, task.clean_test, mlp=thorough, clusters=thorough, mixture_starts=starts, seed=index
    )
    on_views = evaluate(embed, task.train, task.test, mlp=False, clusters=False, seed=index)
    return clean | {f"{name} on views" if "content" in name else name: score for name, score in on_views.items()}
