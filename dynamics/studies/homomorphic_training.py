"""Augmentation against homomorphic SSL by training: accuracy, invariance and time of both, with and without structure.

Every row is trained with L₁ of HaoChen & Ma and Adam on fresh pairs, for several seeds of split, weights and pairs.
"""

import time
from dataclasses import asdict, dataclass

import jax
import numpy as np
import optax
from jaxtyping import Float

from dynamics.errors import DivergenceError
from dynamics.metrics import linear_probe
from dynamics.networks.equivariant import EquivariantNetwork
from dynamics.networks.fiber_pairs import FiberPairs
from dynamics.networks.groups import PlaneGroup
from dynamics.objectives import generalised_spectral
from dynamics.training.fiber_update import fiber_update
from dynamics.training.loop import initial_state, run
from dynamics.views import Images

DIM = 10
WIDTH = 8
BATCH_SIZE = 64
LEARNING_RATE = 5e-3
PROBE_RIDGE = 1e-3


@dataclass(frozen=True, eq=False)
class Measured:
    """What one setting gave, entry by entry of its seeds.

    Parameters
    ----------
    name : str
        The setting.
    upright, rotated : array (seeds,)
        Accuracy of a linear probe of the embedding, fitted upright, on test images as they are and as the other
        elements of the group show them.
    inv_ratio : array (seeds,)
        E‖f(T_h x) − f(x)‖² / 2·variance over test images and those elements: 0 if invariant, 1 if unrelated.
    seconds : array (seeds,)
        Of training, after compilation.
    """

    name: str
    upright: Float[np.ndarray, " seeds"]
    rotated: Float[np.ndarray, " seeds"]
    inv_ratio: Float[np.ndarray, " seeds"]
    seconds: Float[np.ndarray, " seeds"]

    def table(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Setting:
    """What to train: pairs, structure, and where the pairs are made; no steps leave the network as it started."""

    name: str
    pairs: FiberPairs
    tied: bool
    homomorphic: bool
    steps: int


def rotation_settings(shape: tuple[int, ...], steps: int) -> list[Setting]:
    """The rows of the table: A-SSL and H-SSL with Haar pairs, p4 network and plain one, and p4 weights at random."""
    haar = FiberPairs.haar(PlaneGroup("c4", *shape[:2]))
    return [
        Setting("p4, random", haar, True, True, 0),
        Setting("p4, A-SSL", haar, True, False, steps),
        Setting("p4, H-SSL", haar, True, True, steps),
        Setting("CNN, A-SSL", haar, False, False, steps),
        Setting("CNN, “H-SSL”", haar, False, True, steps),
    ]


def sweep_settings(shape: tuple[int, ...], steps: int) -> list[Setting]:
    """H-SSL over every fixed distance and every window: quarter turns, and shifts along the rows."""
    settings = []
    for group in (PlaneGroup("c4", *shape[:2]), PlaneGroup("cyclic", *shape[:2])):
        for law in (FiberPairs.at_distance, FiberPairs.within):
            for distance in range(1, int(group.lengths.max()) + 1):
                name = f"{group.name}, {'distance' if law is FiberPairs.at_distance else 'window'} {distance}"
                settings.append(Setting(name, law(group, distance), True, True, steps))
    return settings


def measure(settings: list[Setting], images: Images, seeds: list[int]) -> list[Measured]:
    """Train each setting once for each seed, and look at what it has learned.

    Parameters
    ----------
    settings : list of Setting
        What to train.
    images : Images
        With labels; two thirds are for training and for the probe, the rest for testing.
    seeds : list of int
        Of split, weights and pairs.

    Raises
    ------
    DivergenceError
        If the loss does not stay finite.
    """
    measured, at = [], 0
    for setting in settings:
        rows = []
        for seed in seeds:
            at += 1
            rows.append(_measure_once(setting, images, seed, f"{at} of {len(settings) * len(seeds)}: {setting.name}"))
        measured.append(Measured(setting.name, *np.array(rows).T))
    return measured


def _measure_once(setting: Setting, images: Images, seed: int, description: str) -> tuple[float, ...]:
    order = np.random.default_rng(seed).permutation(len(images))
    x = (images.images - images.images.mean()) / images.images.std()
    train, test = np.split(order, [2 * len(order) // 3])
    group = setting.pairs.group
    network = EquivariantNetwork(group, width=WIDTH, dim=DIM, tied=setting.tied)
    params = jax.jit(network.init)(jax.random.key(seed), x[:1])
    seconds = 0.0
    if setting.steps:
        optimiser = optax.adam(LEARNING_RATE)
        update = fiber_update(
            network,
            setting.pairs,
            x[train],
            generalised_spectral,
            optimiser,
            batch_size=BATCH_SIZE,
            homomorphic=setting.homomorphic,
        )
        clock = _Clock(setting.steps)
        state, ended_early = run(
            update,
            initial_state(params, optimiser, jax.random.key(seed)),
            steps=setting.steps,
            observe=clock,
            observe_at=clock.steps,
            description=description,
        )
        if ended_early:
            raise (KeyboardInterrupt if ended_early.startswith("interrupted") else DivergenceError)(
                f"{setting.name}, seed {seed}: {ended_early}."
            )
        params, seconds = state.params, clock.seconds
    embed = jax.jit(lambda params, x: network.apply(params, x))
    fit, upright = np.asarray(embed(params, x[train])), np.asarray(embed(params, x[test]))
    moved = [np.asarray(embed(params, group.act(h, x[test]))) for h in range(1, group.order)]
    labels, expected = images.labels[train], images.labels[test]

    def accuracy(Z: np.ndarray) -> float:
        return linear_probe(fit, labels, Z, expected, ridge=PROBE_RIDGE).test

    variance = upright.var(axis=0).sum()
    change = np.mean([np.square(Z - upright).sum(axis=1).mean() for Z in moved])
    return accuracy(upright), float(np.mean([accuracy(Z) for Z in moved])), float(change / (2 * variance)), seconds


class _Clock:
    """Seconds of a run without its first steps, which compile, counted up to its whole length."""

    def __init__(self, steps: int):
        self._from = min(3, steps - 1)
        self._all, self.steps = steps, (self._from, steps)
        self.seconds = float("nan")
        self._began = 0.0

    def __call__(self, state: object, metrics: object) -> None:
        now = time.perf_counter()
        if self._began:
            self.seconds = (now - self._began) * self._all / (self._all - self._from)
        self._began = now
