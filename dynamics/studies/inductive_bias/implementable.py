"""φ_m of real networks: how well m orthonormal functions that an architecture can implement agree on real partners.

The protocol of HaoChen & Ma (2023), Section 6: train L_1 (the spectral contrastive loss) with k outputs, go on with L_λ
for each λ, whiten, and take the smallest discrepancy over λ. Any m directions of k ≥ m whitened outputs are also m
orthonormal functions, so the best m of every run count for φ_m, which therefore cannot fall with m. Measured on fresh
augmentations of images that were not trained on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dynamics.modes.restricted import PairMoments, pair_moments, restricted_modes
from dynamics.networks import MLP, ConvNet, ResNet
from dynamics.networks.encoder import Encoder
from dynamics.networks.standard_resnet import StandardResNet
from dynamics.networks.vit import VisionTransformer
from dynamics.objectives import generalised_spectral
from dynamics.objectives.heads import Head
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


DIGITS = Budget((2, 5, 10, 20, 30), (10, 30), (1.0, 10.0), pretraining=250, tuning=75, batch=100)
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
        Architecture -> array (sizes,), NaN where training diverged.
    sizes : tuple of int
        Numbers m at which φ_m was measured.
    dataset : str
        Data set, with the number of images and how they were augmented.
    """

    phi: dict[str, np.ndarray]
    sizes: tuple[int, ...]
    dataset: str

    def table(self) -> list[dict[str, str | float]]:
        """One row an architecture."""
        return [
            {"architecture": name, **dict(zip(map(str, self.sizes), row, strict=True))}
            for name, row in self.phi.items()
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
    seed: int = 0,
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
    seed : int
        Seed of images, networks and augmentations.
    report : callable, optional
        Function that is called with a line about the cost of the training before it begins.
    """
    data = _load(dataset, budget.augmentation or default_augmentation(dataset), data_dir, seed)
    phi = {}
    for name, (network, rate) in networks(data.view_shape, full).items():
        spectra = [
            deltas
            for k in budget.outputs
            for deltas in _discrepancies(f"{name}, k = {k}", network(k), rate, budget, data, seed, report)
        ]
        phi[name] = np.array(
            [min((d[:m].mean() for d in spectra if len(d) >= m), default=np.nan) for m in budget.sizes]
        )
    return Implementable(phi, budget.sizes, data.name)


@dataclass(frozen=True, eq=False)
class _Data:
    train: np.ndarray
    test: np.ndarray
    two_views: Callable[[jax.Array, jax.Array], jax.Array]
    view_shape: tuple[int, ...]
    name: str


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
    return _Data(train, test, two_views, shape, f"{dataset}, {len(train):,} images, augmentation {preset}")


def _discrepancies(
    name: str,
    module: nn.Module,
    rate: float,
    budget: Budget,
    data: _Data,
    seed: int,
    report: Callable[[str], None] | None,
) -> list[np.ndarray]:
    """δ of the whitened outputs on held-out images, ascending, for each λ."""
    key = jax.random.key(seed)
    adjust = optimiser("adam", rate, steps=budget.pretraining + budget.tuning, decay="constant")

    def update(state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        rows_key, view_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        images, weight = state.model_state["images"], state.model_state["weight"]
        x = data.two_views(view_key, images[jax.random.randint(rows_key, (budget.batch,), 0, len(images))])
        loss, gradient = jax.value_and_grad(lambda params: generalised_spectral(module.apply(params, x), weight))(
            state.params
        )
        return apply_gradient(adjust, state, gradient), {"loss": loss}

    params = jax.jit(module.init)(key, jnp.zeros((1, *data.view_shape)))
    # in the state, since as a constant of the program the images would be copied into it
    state = initial_state(params, adjust, key, {"weight": jnp.asarray(1.0), "images": jnp.asarray(data.train)})
    began = time.perf_counter()

    def cost(seconds: float) -> None:
        if report is not None:
            whole = seconds * (1 + len(budget.weights) * budget.tuning / budget.pretraining)
            report(f"{name}: about {whole + time.perf_counter() - began:.0f} s")

    def trained(state: TrainState, steps: int, what: str) -> TrainState | None:
        state, outcome = run(update, state, steps=steps, description=what, report_cost=cost if what == name else None)
        if outcome.kind == "interrupted":
            raise KeyboardInterrupt(outcome.describe())
        if outcome.is_partial and report is not None:
            report(f"{what} diverged: {outcome.describe()}")
        return None if outcome.is_partial else state

    state = trained(state, budget.pretraining, name)
    if state is None:
        return []
    embed = jax.jit(lambda params, key, images: module.apply(params, data.two_views(key, images)))
    found = []
    for weight in budget.weights:
        # the run takes over the memory of the state it is given
        start = jax.tree.map(jnp.array, state)
        start.model_state["weight"] = jnp.asarray(weight)
        steps = budget.pretraining + budget.tuning
        tuned = trained(start, steps, f"{name}, λ = {weight:g}")
        if tuned is None:
            continue
        moments = []
        for repetition in range(_REPETITIONS):
            keys = jax.random.fold_in(jax.random.key(seed + 1), repetition)
            for first in range(0, len(data.test) - _CHUNK + 1, _CHUNK):
                chunk = jnp.asarray(data.test[first : first + _CHUNK])
                moments.append(pair_moments(embed(tuned.params, jax.random.fold_in(keys, first), chunk)))
        found.append(restricted_modes(PairMoments.average(moments), tolerance=1e-6).discrepancies)
    return found
