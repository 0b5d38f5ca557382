"""φ_m of real networks: how well m orthonormal functions that an architecture can implement agree on real partners.

The protocol of HaoChen & Ma (2023), Section 6: train L_1 (the spectral contrastive loss) with k outputs, go on with L_λ
for each λ, whiten, and take the smallest discrepancy over λ. Any m directions of k ≥ m whitened outputs are also m
orthonormal functions, so the best m of every run count for φ_m, which therefore cannot fall with m. Measured on fresh
augmentations of images that were not trained on.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dynamics.modes.restricted import pair_moments, restricted_modes
from dynamics.networks import MLP, ConvNet, ResNet
from dynamics.networks.encoder import Encoder
from dynamics.networks.standard_resnet import StandardResNet
from dynamics.networks.vit import VisionTransformer
from dynamics.objectives import generalised_spectral
from dynamics.objectives.heads import Head
from dynamics.studies.inductive_bias.clusters import ClusterProbe, probe_clusters
from dynamics.training.loop import run
from dynamics.training.optimisers import optimiser
from dynamics.training.state import TrainState, apply_gradient, initial_state
from dynamics.views import default_augmentation, get_augmentation, load_images

PAPER_TABLE = {
    "ResNet-18": (0.131, 0.166, 0.224, 0.521),
    "ResNet-101": (0.053, 0.090, 0.163, 0.459),
    "WRN": (0.080, 0.093, 0.138, 0.340),
    "ViT": (0.072, 0.108, 0.168, 0.389),
}
"""HaoChen & Ma (2023), Table 1, CIFAR-10, at m = 10, 30, 100, 300."""

PAPER_SIZES = (10, 30, 100, 300)


@dataclass(frozen=True)
class Budget:
    """How much is trained.

    Parameters
    ----------
    sizes : tuple of int
        Numbers m at which φ_m is reported.
    outputs : tuple of int
        Numbers k of outputs that are trained.
    weights : tuple of float
        Weights λ of the covariance term.
    pretraining, tuning : int
        Number of updates with L_1, and then with each L_λ.
    batch : int
        Number of pairs in a batch.
    augmentation : str
        Name of the augmentation; empty for that of the data set.
    """

    sizes: tuple[int, ...]
    outputs: tuple[int, ...]
    weights: tuple[float, ...]
    pretraining: int
    tuning: int
    batch: int
    augmentation: str = ""


DIGITS = Budget((2, 5, 10, 20, 30), (30,), (1.0, 10.0), pretraining=250, tuning=75, batch=100)
CIFAR = Budget((2, 5, 10, 20), (20,), (1.0, 10.0), pretraining=150, tuning=50, batch=64)
FULL = Budget(
    PAPER_SIZES,
    PAPER_SIZES,
    (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0),
    pretraining=100 * 390,
    tuning=10 * 390,
    batch=128,
    augmentation="simclr",
)
"""100 and 10 epochs of 50,000 images; the paper has 800 and 200, its λ, m and batch."""


@dataclass(frozen=True, eq=False)
class Implementable:
    """φ_m of several architectures on one data set.

    Parameters
    ----------
    phi : dict
        Architecture -> array (seeds, sizes), NaN where training diverged.
    sizes : tuple of int
        Numbers m at which φ_m was measured.
    dataset : str
        Data set, with the number of images and how they were augmented.
    clusters : dict
        Architecture -> one entry for each seed: what the theorem needs of clusters, and the error of a probe.
    """

    phi: dict[str, np.ndarray]
    sizes: tuple[int, ...]
    dataset: str
    clusters: dict[str, list[ClusterProbe]] = field(default_factory=dict)

    def table(self) -> list[dict[str, Any]]:
        """One row for every architecture and seed."""
        return [
            {
                "architecture": name,
                "run": index,
                **dict(zip(map(str, self.sizes), row, strict=True)),
                **(asdict(self.clusters[name][index]) if name in self.clusters else {}),
            }
            for name, rows in self.phi.items()
            for index, row in enumerate(rows)
        ]


Network = Callable[[int], nn.Module]

_CHUNK = 200  # held-out images embedded at a time
_REPETITIONS = 6  # pairs of views of each, so that their moments are known well


def networks(image_shape: tuple[int, ...], full: bool) -> dict[str, tuple[Network, float]]:
    """Architectures as functions of the number of outputs, each with its learning rate of Adam.

    MLP, CNN and the small ResNet are in the parameterisation of the kernel limit, whose weights are of size 1: their
    rate is larger. At full size the ResNet is ResNet-18.
    """
    small = image_shape[0] <= 8
    width, patch = 64 if full else 16, 2 if small else 4
    vit = {"width": 192, "depth": 9, "heads": 3} if full else {"width": 48, "depth": 2}
    found: dict[str, tuple[Network, float]] = {
        "MLP": (MLP(width=16 * width, depth=2).module, 0.01),
        "CNN": (ConvNet(width=width, depth=3, head="flatten" if small else "pool").module, 0.01),
        "ResNet": (ResNet(width=width, stages=2 if small else 3, head="pool").module, 0.01),
        "ViT": (lambda dim: VisionTransformer(dim, patch=patch, **vit), 0.001),
    }
    if full:
        # group normalisation: with batch statistics the outputs would be no function of the single image
        found["ResNet"] = (lambda dim: Encoder(StandardResNet(norm="group"), Head((), dim)), 0.001)
    return found


def measure(
    dataset: str,
    budget: Budget,
    *,
    data_dir: Path | None = None,
    full: bool = False,
    seeds: Sequence[int] = (0,),
    report: Callable[[str], None] | None = None,
) -> Implementable:
    """Train every architecture and measure φ_m.

    Parameters
    ----------
    dataset : str
        A data set of images.
    budget : Budget
        How much to train.
    data_dir : Path, optional
        Folder with the official files of the data set.
    full : bool
        Whether to train networks of the usual size.
    seeds : sequence of int
        Seeds of networks and augmentations; the first one also chooses the images.
    report : callable, optional
        Function that is called with a line about the cost of the training before it begins.
    """
    data = _load(dataset, budget.augmentation or default_augmentation(dataset), data_dir, seeds[0])
    phi, clusters = {}, {}
    for name, (network, rate) in networks(data.view_shape, full).items():
        found: list[list[_Outputs]] = [[] for _ in seeds]
        for k in budget.outputs:
            trained = _trained(f"{name}, k = {k}", network(k), rate, budget, data, seeds, report)
            for runs, new in zip(found, trained, strict=True):
                runs += new
        phi[name] = np.array([[_smallest(runs, m) for m in budget.sizes] for runs in found])
        clusters[name] = [probe_clusters([run.values for run in runs], data.repeated_labels) for runs in found]
    return Implementable(phi, budget.sizes, data.name, clusters)


def _smallest(runs: list["_Outputs"], m: int) -> float:
    """Smallest mean discrepancy of m orthonormal functions over the runs; NaN if none has so many."""
    return min((run.discrepancies[:m].mean() for run in runs if len(run.discrepancies) >= m), default=np.nan)


@dataclass(frozen=True, eq=False)
class _Data:
    train: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    two_views: Callable[[jax.Array, jax.Array], jax.Array]
    view_shape: tuple[int, ...]
    name: str

    @property
    def repeated_labels(self) -> np.ndarray:
        """Classes of the held-out images in the order in which `_held_out` embeds them, of one view each."""
        return np.tile(self.test_labels[: len(self.test) // _CHUNK * _CHUNK], _REPETITIONS)


def _load(dataset: str, preset: str, data_dir: Path | None, seed: int) -> _Data:
    """Images to train on and others to measure on, and how to make two standardised views of them."""
    images = load_images(dataset, data_dir)
    order = np.random.default_rng(seed).permutation(len(images))
    held_out = min(2000, len(order) // 4)
    test, train = (np.asarray(images.images[rows], np.float32) for rows in (order[:held_out], order[held_out:]))
    views, mean, scale = get_augmentation(preset, images.shape), train.mean(), train.std()

    def two_views(key: jax.Array, batch: jax.Array) -> jax.Array:
        first, second = (jax.random.split(part, len(batch)) for part in jax.random.split(key))
        pair = jax.vmap(views.first)(first, batch), jax.vmap(views.second)(second, batch)
        return (jnp.concatenate(pair) - mean) / scale

    one = jax.ShapeDtypeStruct((1, *images.shape), jnp.float32)
    shape = jax.eval_shape(two_views, jax.random.key(0), one).shape[1:]
    return _Data(
        train,
        test,
        images.labels[order[:held_out]],
        two_views,
        shape,
        f"{dataset}, {len(train):,} images, augmentation {preset}",
    )


@dataclass(frozen=True, eq=False)
class _Outputs:
    """Outputs (2n, k) of a trained network on held-out pairs, and the δ of their whitened directions, ascending."""

    values: np.ndarray
    discrepancies: np.ndarray


def _trained(
    name: str,
    module: nn.Module,
    rate: float,
    budget: Budget,
    data: _Data,
    seeds: Sequence[int],
    report: Callable[[str], None] | None,
) -> list[list[_Outputs]]:
    """Outputs on held-out images for every seed and each λ."""
    adjust = optimiser("adam", rate, steps=budget.pretraining + budget.tuning, decay="constant")

    def update(state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        rows_key, view_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        images, weight = state.model_state["images"], state.model_state["weight"]
        x = data.two_views(view_key, images[jax.random.randint(rows_key, (budget.batch,), 0, len(images))])
        loss, gradient = jax.value_and_grad(lambda params: generalised_spectral(module.apply(params, x), weight))(
            state.params
        )
        return apply_gradient(adjust, state, gradient), {"loss": loss}

    began = time.perf_counter()

    def cost(seconds: float) -> None:
        if report is not None:
            whole = seconds * len(seeds) * (1 + len(budget.weights) * budget.tuning / budget.pretraining)
            report(f"{name}: about {whole + time.perf_counter() - began:.0f} s")

    def advanced(state: TrainState, steps: int, what: str, first: bool) -> TrainState | None:
        state, outcome = run(update, state, steps=steps, description=what, report_cost=cost if first else None)
        if outcome.kind == "interrupted":
            raise KeyboardInterrupt(outcome.describe())
        if outcome.is_partial and report is not None:
            report(f"{what} diverged: {outcome.describe()}")
        return None if outcome.is_partial else state

    init = jax.jit(module.init)
    embed = jax.jit(lambda params, key, images: module.apply(params, data.two_views(key, images)))
    found: list[list[_Outputs]] = []
    for seed in seeds:
        key = jax.random.key(seed)
        # in the state, since as a constant of the program the images would be copied into it
        kept = {"weight": jnp.asarray(1.0), "images": jnp.asarray(data.train)}
        state = initial_state(init(key, jnp.zeros((1, *data.view_shape))), adjust, key, kept)
        start = advanced(state, budget.pretraining, f"{name}, seed {seed}", seed == seeds[0])
        found.append([])
        for weight in budget.weights if start is not None else ():
            # the run takes over the memory of the state it is given
            state = jax.tree.map(jnp.array, start)
            state.model_state["weight"] = jnp.asarray(weight)
            what = f"{name}, λ = {weight:g}, seed {seed}"
            tuned = advanced(state, budget.pretraining + budget.tuning, what, False)
            if tuned is not None:
                found[-1].append(_held_out(lambda *of, params=tuned.params: embed(params, *of), data, seeds[0]))
    return found


def _held_out(embed: Callable[..., jax.Array], data: _Data, seed: int) -> _Outputs:
    """Outputs on fresh views of the held-out images, x of all before x' of all."""
    halves: tuple[list, list] = [], []
    for repetition in range(_REPETITIONS):
        keys = jax.random.fold_in(jax.random.key(seed + 1), repetition)
        for first in range(0, len(data.test) - _CHUNK + 1, _CHUNK):
            chunk = jnp.asarray(data.test[first : first + _CHUNK])
            for half, part in zip(
                halves, np.split(np.asarray(embed(jax.random.fold_in(keys, first), chunk)), 2), strict=True
            ):
                half.append(part)
    values = np.concatenate([*halves[0], *halves[1]]).astype(np.float64)
    return _Outputs(values, restricted_modes(pair_moments(values), tolerance=1e-6).discrepancies)
