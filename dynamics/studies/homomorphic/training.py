"""Augmentation against homomorphic SSL by training: accuracy, invariance and time of both, with and without structure.

Every row is trained with Adam on fresh pairs, for several seeds of weights, batches and pairs: with L₁ of HaoChen & Ma,
or by predicting one view from the other as BYOL and SimSiam do.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Float

from dynamics.errors import DivergenceError
from dynamics.networks.equivariant import EquivariantNetwork
from dynamics.networks.fiber_pairs import FiberPairs
from dynamics.networks.groups import PlaneGroup
from dynamics.networks.projector import HeadNetwork
from dynamics.objectives import byol, generalised_spectral, simsiam
from dynamics.objectives.heads import Head
from dynamics.studies.statistics import half_width
from dynamics.training.fiber_update import fiber_update
from dynamics.training.loop import run
from dynamics.training.state import TrainState, Update, initial_state
from dynamics.trajectories.probes import linear_probe
from dynamics.views import Images

DIM = 10
WIDTH = 8
BATCH_SIZE = 64
LEARNING_RATE = 5e-3
PROBE_RIDGE = 1e-3


class Objective(NamedTuple):
    """A loss of the embeddings, or of predictions and targets; and the decay of a moving target if it has one."""

    loss: Callable[..., jax.Array]
    predictor: HeadNetwork | None = None
    target_decay: float | None = None


_PREDICTOR = HeadNetwork(Head(hidden=(4 * DIM,), dim=DIM, norm="none", bias=True, readout_bias=True))
OBJECTIVES: Mapping[str, Objective] = {
    "L₁": Objective(generalised_spectral),
    "BYOL": Objective(byol, _PREDICTOR, target_decay=0.99),
    "SimSiam": Objective(simsiam, _PREDICTOR),
}
"""What is trained. The predictor's width and BYOL's decay, a memory of 100 updates of some thousand, are choices made
here."""


@dataclass(frozen=True, eq=False)
class SchemeScores:
    """What training by one scheme gave, one entry for each seed.

    Parameters
    ----------
    name : str
        The name of the scheme.
    upright, rotated : array (seeds,)
        Accuracy of a linear probe of the embedding, fitted upright, on test images as they are and as the other
        elements of the group show them.
    inv_ratio : array (seeds,)
        E‖f(T_h x) − f(x)‖² / 2·variance over test images and those elements: 0 if invariant, 1 if unrelated.
    seconds : array (seeds,)
        Duration of the training, without compilation.
    """

    name: str
    upright: Float[np.ndarray, " seeds"]
    rotated: Float[np.ndarray, " seeds"]
    inv_ratio: Float[np.ndarray, " seeds"]
    seconds: Float[np.ndarray, " seeds"]

    def table(self) -> dict[str, object]:
        """Every seed, with mean and half of the 95 % interval of every quantity where there are two seeds; for JSON."""
        quantities = {name: values for name, values in asdict(self).items() if name != "name"}
        means = {f"{name}_mean": float(values.mean()) for name, values in quantities.items()}
        halves = {f"{name}_half_width": half_width(v) for name, v in quantities.items() if len(v) > 1}
        return {"name": self.name, **quantities, **means, **halves}


@dataclass(frozen=True)
class Scheme:
    """One way to train: which pairs, which structure of the network, and where the pairs are made.

    Parameters
    ----------
    name : str
        Name in tables and figures.
    pairs : FiberPairs
        The law that the two group elements of a pair are drawn from.
    tied : bool
        Whether the network is equivariant; otherwise its turned filters are free.
    homomorphic : bool
        Whether a pair is two fibers of one pass, in place of two transformed images.
    steps : int
        Number of updates; 0 leaves the network as it was initialised.
    objective : {"L₁", "BYOL", "SimSiam"}
        What is trained.
    """

    name: str
    pairs: FiberPairs
    tied: bool
    homomorphic: bool
    steps: int
    objective: str = "L₁"


def rotation_schemes(shape: tuple[int, ...], steps: int) -> list[Scheme]:
    """The rows of the table: A-SSL and H-SSL with Haar pairs, p4 network and plain one, and p4 weights at random.

    The p4 network is also trained by prediction, where nothing in the loss keeps embeddings apart.
    """
    haar = FiberPairs.haar(PlaneGroup("c4", *shape[:2]))
    return [
        Scheme("p4, random", haar, True, True, 0),
        Scheme("p4, A-SSL", haar, True, False, steps),
        Scheme("p4, H-SSL", haar, True, True, steps),
        Scheme("CNN, A-SSL", haar, False, False, steps),
        Scheme("CNN, “H-SSL”", haar, False, True, steps),
        *(
            Scheme(f"p4, {kind}, {objective}", haar, True, kind == "H-SSL", steps, objective)
            for objective in ("BYOL", "SimSiam")
            for kind in ("A-SSL", "H-SSL")
        ),
    ]


def sweep_schemes(shape: tuple[int, ...], steps: int) -> list[Scheme]:
    """H-SSL over every fixed distance and every window: quarter turns, and shifts along the rows."""
    schemes = []
    for group in (PlaneGroup("c4", *shape[:2]), PlaneGroup("cyclic", *shape[:2])):
        for law in (FiberPairs.at_distance, FiberPairs.within):
            for distance in range(1, int(group.lengths.max()) + 1):
                name = f"{group.name}, {'distance' if law is FiberPairs.at_distance else 'window'} {distance}"
                schemes.append(Scheme(name, law(group, distance), True, True, steps))
    return schemes


def measure(schemes: list[Scheme], images: Images, seeds: list[int]) -> list[SchemeScores]:
    """Train by each scheme once for each seed, and look at what it has learned.

    Parameters
    ----------
    schemes : list of Scheme
        The ways to train.
    images : Images
        Images with labels. Two thirds are for training and for the probe, the rest for testing.
    seeds : list of int
        Seeds of weights, batches and pairs. The first also decides which images are tested on.

    Raises
    ------
    DivergenceError
        If the loss does not stay finite.
    """
    order = np.random.default_rng(seeds[0]).permutation(len(images))
    x = ((images.images - images.images.mean()) / images.images.std())[order]
    halves = np.split(np.arange(len(order)), [2 * len(order) // 3])
    (fit, labels), (test, expected) = ((x[rows], images.labels[order][rows]) for rows in halves)
    measured = []
    for index, scheme in enumerate(schemes):
        pairs, group = scheme.pairs, scheme.pairs.group
        network = EquivariantNetwork(group, width=WIDTH, dim=DIM, tied=scheme.tied)
        optimiser, objective = optax.adam(LEARNING_RATE), OBJECTIVES[scheme.objective]
        update = fiber_update(
            network,
            pairs,
            fit,
            objective.loss,
            optimiser,
            batch_size=BATCH_SIZE,
            homomorphic=scheme.homomorphic,
            predictor=objective.predictor,
            target_decay=objective.target_decay,
        )
        init, embed = jax.jit(network.init), jax.jit(network.apply)
        rows = []
        for seed in seeds:
            key = jax.random.key(seed)
            state = _start(objective, init(key, fit[:1]), optimiser, key)
            number = index * len(seeds) + len(rows) + 1
            description = f"{number} of {len(schemes) * len(seeds)}: {scheme.name}"
            state, seconds = _train(update, state, scheme.steps, description)
            moved = [group.act(h, test) for h in range(1, group.order)]
            params = state.params if objective.predictor is None else state.params["network"]
            views = [np.asarray(embed(params, view)) for view in (fit, test, *moved)]
            rows.append((*_look(views, labels, expected), seconds))
        measured.append(SchemeScores(scheme.name, *np.array(rows).T))
    return measured


def _start(objective: Objective, params: Any, optimiser: optax.GradientTransformation, key: jax.Array) -> TrainState:
    """State before training: the network, and the predictor and the target's network where there are such."""
    if objective.predictor is None:
        return initial_state(params, optimiser, key)
    predictor = objective.predictor.init(jax.random.fold_in(key, 1), np.zeros((1, DIM), np.float32))
    target = None if objective.target_decay is None else {"target": params}
    return initial_state({"network": params, "predictor": predictor}, optimiser, key, target)


def _train(update: Update, state: TrainState, steps: int, description: str) -> tuple[TrainState, float]:
    """Train, and say how many seconds it took but for compilation."""
    warm_up, began = min(3, steps), time.perf_counter()
    state, outcome = run(update, state, steps=warm_up, description=description)
    if not outcome.is_partial:
        began = time.perf_counter()
        state, outcome = run(update, state, steps=steps, description=description)
    if outcome.is_partial:
        kind = KeyboardInterrupt if outcome.kind == "interrupted" else DivergenceError
        raise kind(f"Training {description}: {outcome.describe()}.")
    return state, (time.perf_counter() - began) * steps / max(steps - warm_up, 1)


def _look(views: list[np.ndarray], labels: np.ndarray, expected: np.ndarray) -> tuple[float, float, float]:
    """Accuracy upright and transformed, and inv-ratio, of embeddings of training, test and transformed test images."""
    fit, upright, *moved = views

    def accuracy(Z: np.ndarray) -> float:
        return linear_probe(fit, labels, Z, expected, ridge=PROBE_RIDGE).test

    change = np.mean([np.square(Z - upright).sum(axis=1).mean() for Z in moved])
    inv_ratio = change / (2 * upright.var(axis=0).sum())
    return accuracy(upright), float(np.mean([accuracy(Z) for Z in moved])), float(inv_ratio)
