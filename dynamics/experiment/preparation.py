"""An experiment put together from its settings, stage by stage.

>>> from dynamics.experiment import Config, prepare
>>> experiment = prepare(Config(num_pairs=16, dim=3, network="mlp", width=32))
>>> experiment.kernel.name
'empirical conjugate kernel'
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np

from dynamics.errors import CapacityError, ConfigError, DataError, DivergenceError
from dynamics.experiment.config import Config
from dynamics.experiment.driving_kernel import DrivingKernel, KernelBudget, empirical_kernel, infinite_width_kernel
from dynamics.experiment.moving_kernel import ROUNDS, MovingKernel, features_and_readout, moving_kernel, shortened
from dynamics.experiment.multiplier import LAZINESS, laziness, lazy_multiplier
from dynamics.experiment.network import RandomNetwork, declared_network, random_network
from dynamics.experiment.pairs import GroupPairs, dataset_pairs, group_pairs, held_out_pairs
from dynamics.experiment.schedule import Schedule, lengthened, schedule
from dynamics.flow.closed_form import closed_form, initial_correlations, mode_step_times
from dynamics.flow.readout_network import ReadoutNetwork
from dynamics.flow.saddles import SaddlePath, saddle_to_saddle_flow
from dynamics.modes import ContrastiveModes
from dynamics.networks import MLP, Architecture
from dynamics.support.progress import note
from dynamics.support.sketch import sketch
from dynamics.training import SmallNetwork, small_network
from dynamics.typing import Views
from dynamics.views import Pairs


@dataclass(frozen=True, eq=False)
class Experiment:
    """An experiment ready to be forecast and run.

    Parameters
    ----------
    config : Config
        Settings of the experiment.
    pairs : Pairs
        The n training pairs.
    random : RandomNetwork
        The declared network with its random parameters, before it was made small.
    network : SmallNetwork
        The finite network at its small start, multiplier included, as a function of the views.
    kernel : DrivingKernel
        The kernel that drives the network, multiplier included, with its modes.
    multiplier : float
        Output multiplier c.
    initial_embeddings : array (2n, d)
        The network's function before training, float64, centred if the config says so.
    mode_step_times : array (d,)
        Effective times at which the closed form has learned half of each mode; infinite for dimensions that collapse.
    frozen_schedule : Schedule
        Learning rate, its stability limit, and the steps that the config or the frozen kernel says. With a path from
        saddle to saddle, rate and limit are those of the path.
    held_out : Pairs, optional
        Labelled pairs that are not trained on, where labels are to be read from what was learned.
    fiber_training : (SmallNetwork, array), optional
        What is trained where pairs are fibers: the same network as a function of n images, whose fibers it pairs, and
        these images. `pairs` are then the augmented images that would give the same embeddings.
    saddles : SaddlePath, optional
        The path from saddle to saddle of an MLP all of whose weights start small.
    """

    config: Config
    pairs: Pairs
    random: RandomNetwork
    network: SmallNetwork
    kernel: DrivingKernel
    multiplier: float
    initial_embeddings: np.ndarray
    mode_step_times: np.ndarray
    frozen_schedule: Schedule
    held_out: Pairs | None = None
    fiber_training: tuple[SmallNetwork, np.ndarray] | None = None
    saddles: SaddlePath | None = None

    def __repr__(self) -> str:
        """The two lines of a figure's title."""
        return f"<Experiment: {self.title}>"

    def _repr_html_(self) -> str:
        """The same lines with the steps that the closed form foresees, as notebooks show them."""
        times = self.frozen_schedule.times
        foreseen = closed_form(self.kernel.modes, self.initial_embeddings, times)
        return sketch(times, foreseen.eigenvalues, self.title)

    @property
    def kernel_moves(self) -> bool:
        """Whether the weights learn so much that the kernel will not stay what it was at the start.

        So it is if the learned part of the readout reaches more than twice the `LAZINESS` at which a frozen kernel is
        within 2 %. A network all of whose weights start small has no such measure.
        """
        config, width = self.config, self.random.readout_width
        return config.init != "all" and laziness(self.kernel.modes, dim=config.dim, readout_width=width) > 2 * LAZINESS

    def taken_apart(self, test_views: Views | None = None) -> ReadoutNetwork:
        """The network at its start as features and a readout, on the training views and on others (b, …)."""
        centred = self.config.init == "centred"
        # trained is the displacement of a centred network, and θ₀ + displacement are its weights
        params = self.random.params if centred else self.network.params
        network = features_and_readout(self.random.module, params, self.multiplier, self.pairs.stacked, test_views)
        return network.made_small(self.config.init_scale / self.multiplier) if centred else network

    @cached_property
    def moving(self) -> MovingKernel | None:
        """The model in which readout and features learn together, where the kernel moves (`kernel_moves`).

        It is None, too, where the model does not fit into the memory or does not stay finite; a note says so.
        """
        if not self.kernel_moves:
            return None
        test_views = None if self.held_out is None else self.held_out.stacked
        rounds = ROUNDS[self.config.init]
        try:
            return moving_kernel(
                self.taken_apart(test_views), self.frozen_schedule, center=self.config.center, rounds=rounds
            )
        except (CapacityError, DivergenceError) as error:
            note(f"The bilinear forecast is left out: {error}")
            return None

    @cached_property
    def schedule(self) -> Schedule:
        """Learning rate and steps of the run, which ends a fifth after its last forecast step.

        Where the kernel moves this is the last step of `moving`, if it reaches all dimensions that the frozen kernel
        learns; else it is that of the frozen kernel. With a path from saddle to saddle it is the last step of the path,
        which may be of more steps than a run can make. Steps that the config says are kept.
        """
        if self.config.steps is not None:
            return self.frozen_schedule
        if self.saddles is not None:
            return lengthened(self.frozen_schedule, self.saddles.trajectory)
        if self.moving is None:
            return self.frozen_schedule
        return shortened(self.frozen_schedule, self.moving.foreseen)

    @property
    def learning_rate(self) -> float:
        """Learning rate η of every schedule of the experiment."""
        return self.frozen_schedule.learning_rate

    @property
    def resolved(self) -> dict[str, Any]:
        """Values that the automatic settings came to."""
        return self.resolved_with(self.schedule)

    def resolved_with(self, schedule: Schedule) -> dict[str, Any]:
        """Values that the automatic settings came to, with the steps of another schedule than that of a run."""
        return {
            "pairs": self.pairs.source,
            "num_pairs": len(self.pairs),
            "architecture": self.random.description,
            "kernel": self.kernel.name,
            "reason": self.kernel.reason,
            "multiplier": self.multiplier,
            "stability_limit": schedule.stability_limit,
            "learning_rate": schedule.learning_rate,
            "steps": schedule.steps,
        }

    @property
    def title(self) -> str:
        """Two lines for a figure: what was trained on what, and how."""
        config = self.config
        return (
            f"{self.pairs.source}; {self.random.description}; n = {len(self.pairs)}, d = {config.dim}\n"
            f"{config.init} start, α = {config.init_scale:g}, c = {self.multiplier:.3g}; "
            f"η = {self.learning_rate:.3g}; {self.kernel.name}{', centred' if config.center else ''}"
        )


def prepare(
    config: Config,
    *,
    pairs: Pairs | None = None,
    declared: Architecture | None = None,
    held_out: Pairs | None = None,
) -> Experiment:
    """Load the pairs, build the network, solve for the modes, and settle what was left automatic.

    Parameters
    ----------
    config : Config
        The settings.
    pairs : Pairs, optional
        Pairs in memory, in place of those that the config names.
    declared : Architecture, optional
        A network, in place of the one that the config names.
    held_out : Pairs, optional
        Pairs with labels that are not trained on, standardised as the training pairs are; by default those that the
        config's `labels` asks for.

    Raises
    ------
    DataError, ConfigError, KernelError
        If the pairs cannot be loaded, or the network cannot be built.
    CollapseError
        If fewer than `dim` dimensions can be learned and the config does not allow it.
    StabilityError
        If the learning rate is not below the stability limit.
    """
    grouped = _group_pairs(config) if pairs is None and config.pairs != "augmented" else None
    if pairs is None:
        pairs = _dataset_pairs(config) if grouped is None else grouped.pairs
        if config.labels and held_out is None:
            held_out = _held_out_pairs(config, len(pairs))
    _require_labels(config, pairs, held_out)
    random = _random_network(config, pairs, declared)
    kernel = _driving_kernel(config, random)
    if not config.allow_collapse:
        kernel.modes.require_learnable(config.dim)
    c = _multiplier(config, kernel.modes, random)
    kernel = kernel.scaled(c**2)

    start = {"start": config.init, "scale": config.init_scale, "multiplier": c}
    network = small_network(random.module.apply, random.params, **start)
    fiber_training = None
    if grouped is not None and config.pairs == "fibers":
        fiber_apply = grouped.law.bind(random.module, grouped.drawn)
        fiber_training = small_network(fiber_apply, random.params, **start), grouped.images

    F0 = network.initial_embeddings(pairs.stacked)
    F0 = F0 - F0.mean(axis=0) if config.center else F0
    tau = mode_step_times(kernel.modes.padded_eigenvalues(config.dim), initial_correlations(kernel.modes, F0))
    saddles = _saddle_path(config, random, network)
    limit = kernel.stability_limit if saddles is None else saddles.stability_limit
    rates = {"learning_rate": config.learning_rate, "fraction": config.lr_fraction, "steps": config.steps}
    return Experiment(
        config=config,
        pairs=pairs,
        random=random,
        network=network,
        kernel=kernel,
        multiplier=c,
        initial_embeddings=F0,
        mode_step_times=tau,
        frozen_schedule=schedule(limit, tau, **rates),
        held_out=held_out,
        fiber_training=fiber_training,
        saddles=saddles,
    )


def kernel_budget(config: Config) -> KernelBudget:
    """Precision, memory and cache of kernels as the config asks for them."""
    memory = None if config.kernel_memory is None else int(config.kernel_memory * 2**30)
    return KernelBudget(config.kernel_dtype, memory, config.kernel_cache)


def _dataset_pairs(config: Config) -> Pairs:
    return dataset_pairs(
        config.dataset,
        data_dir=config.data_dir,
        num_pairs=config.num_pairs,
        augmentation=config.augmentation,
        seed=config.seed,
        image_size=config.image_size,
    )


def _held_out_pairs(config: Config, num_pairs: int) -> Pairs:
    return held_out_pairs(
        config.dataset,
        num_pairs,
        data_dir=config.data_dir,
        augmentation=config.augmentation,
        seed=config.seed,
        image_size=config.image_size,
    )


def _require_labels(config: Config, pairs: Pairs, held_out: Pairs | None) -> None:
    """Raise unless there are labels of the training pairs and of held-out ones, or none are asked for."""
    if config.labels and held_out is None:
        raise ConfigError("Labels are read from pairs in memory only if `held_out` pairs with labels are given.")
    if held_out is None:
        return
    for part in (pairs, held_out):
        if part.labels is None:
            raise DataError(f"{part.source}: the pairs have no labels; give `labels`, one for each pair.")
    if held_out.input_shape != pairs.input_shape:
        raise DataError(
            f"The held-out views have shape {held_out.input_shape} and the training views {pairs.input_shape}."
        )


def _group_pairs(config: Config) -> GroupPairs:
    return group_pairs(
        config.dataset,
        config.pairs,
        config.group,
        distance=config.distance,
        window=config.window,
        data_dir=config.data_dir,
        num_pairs=config.num_pairs,
        seed=config.seed,
        image_size=config.image_size,
    )


def _random_network(config: Config, pairs: Pairs, declared: Architecture | None) -> RandomNetwork:
    if declared is None:
        declared = declared_network(
            config.network,
            pairs.input_shape,
            width=config.width,
            depth=config.depth,
            head=config.head,
            group=config.group,
        )
    return random_network(declared, pairs.stacked, dim=config.dim, seed=config.seed)


def _driving_kernel(config: Config, random: RandomNetwork) -> DrivingKernel:
    """The kernel that the config names, at multiplier 1."""
    settings = {"dim": config.dim, "center": config.center, "budget": kernel_budget(config)}
    if config.kernel == "infinite":
        return infinite_width_kernel(random.architecture, random.views, config.init, **settings)
    return empirical_kernel(random, config.init, **settings)


def _saddle_path(config: Config, random: RandomNetwork, network: SmallNetwork) -> SaddlePath | None:
    """The path of an MLP all of whose weights start small; None for others, and with a note where it has no end."""
    if config.init != "all" or not isinstance(random.architecture, MLP):
        return None
    try:
        path = saddle_to_saddle_flow(network.on(jnp.asarray(random.views)), network.params, center=config.center)
    except (DataError, DivergenceError) as error:
        note(f"The forecast from saddle to saddle is left out: {error}")
        return None
    return path if len(path.events) else None


def _multiplier(config: Config, modes: ContrastiveModes, random: RandomNetwork) -> float:
    if config.multiplier == "auto":
        return lazy_multiplier(modes, dim=config.dim, readout_width=random.readout_width)
    return float(config.multiplier)
