"""One experiment from its settings: pairs and network, modes and forecast, training and comparison.

>>> from dynamics.experiment.config import Config
>>> from dynamics.experiment.prepare import forecast, prepare
>>> experiment = prepare(Config(num_pairs=16, dim=3, network="mlp", width=32))
>>> sorted(forecast(experiment))
['closed_form', 'linearised', 'ode']
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dynamics.errors import ConfigError, StabilityError
from dynamics.experiment.config import Config
from dynamics.flow.closed_form import closed_form, initial_correlations, mode_step_times
from dynamics.flow.descent import kernel_descent, matrix_kernel_descent
from dynamics.flow.matrix_ode import centred_matrix_kernel, matrix_growth_rate, matrix_kernel_flow
from dynamics.flow.ode import kernel_flow
from dynamics.kernels.kernel import Kernel
from dynamics.modes import ContrastiveModes, contrastive_modes, contrastive_modes_from_features
from dynamics.networks import Architecture, FiberPairs, PlaneGroup, architecture
from dynamics.training import SmallNetwork, gradient_descent, recording_steps, small_network
from dynamics.trajectories.comparison import Comparison, compare
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import Pairs, load_pairs

DEFAULT_NUM_PAIRS = 64

# How much of the readout's random norm the learned readout may reach, (1/γ_d)/(c² N). Measured on digits with residual
# networks of width 8–64: the median error of the forecast is about 10 × this number, so 2e-3 keeps it near 2 %.
LAZINESS = 2e-3

# All modes of 2,000 views take the dense solver some seconds, and the time grows like the cube. Beyond, the iterative
# solver finds so many, or four for every dimension: later ones grow more slowly than those that are learned.
ALL_MODES_VIEWS, LEADING_MODES = 2000, 64

# (2nd)² float64 numbers, and three copies of them while it is made
MATRIX_KERNEL_BYTES = 2**30

_REASONS = {
    "readout": "with a small readout only the readout learns at first, so the last hidden layer's kernel drives it",
    "centred": "with the function centred all layers learn from the start, so the tangent kernel drives it",
    "all": "no kernel predicts a start with all weights small; this is the one of the unscaled network",
}


@dataclass(frozen=True, eq=False)
class Experiment:
    """An experiment ready to be forecast and run.

    Parameters
    ----------
    config : Config
        Its settings.
    pairs : Pairs
        The n training pairs.
    architecture : Architecture
        The declared network.
    network : SmallNetwork
        The finite network at its small start, multiplier included, as a function of the views.
    modes : ContrastiveModes
        Modes of the kernel that drives it, multiplier included.
    kernel, reason : str
        Which kernel, and why that one.
    multiplier : float
        Output multiplier c.
    initial_embeddings : array (2n, d)
        The network's function before training, float64, centred if the config says so.
    learning_rate, stability_limit : float
        And the rate that gradient descent bears.
    steps : int
        Training steps.
    mode_step_times : array (d,)
        Forecast of the closed form, in effective time; infinite for dimensions that collapse.
    matrix_kernel : array (2n, 2n, d, d), optional
        The network's tangent kernel with all its outputs, where training is driven by it.
    one_pass : (SmallNetwork, array), optional
        For pairs of fibers: the same network as a function of n images, whose fibers it pairs, and the images. It is
        what is trained; `pairs` are the augmented images that would show the same.
    """

    config: Config
    pairs: Pairs
    architecture: Architecture
    network: SmallNetwork
    modes: ContrastiveModes
    kernel: str
    reason: str
    multiplier: float
    initial_embeddings: np.ndarray
    learning_rate: float
    stability_limit: float
    steps: int
    mode_step_times: np.ndarray
    matrix_kernel: np.ndarray | None = None
    one_pass: tuple[SmallNetwork, np.ndarray] | None = None

    @property
    def times(self) -> np.ndarray:
        """Effective times at which every rung is recorded (T,)."""
        return self.learning_rate * recording_steps(self.steps).astype(np.float64)

    @property
    def resolved(self) -> dict[str, Any]:
        """What the automatic settings came to."""
        return {
            "pairs": self.pairs.source,
            "num_pairs": len(self.pairs),
            "architecture": describe(self.architecture),
            "kernel": self.kernel,
            "multiplier": self.multiplier,
            "stability_limit": self.stability_limit,
            "learning_rate": self.learning_rate,
            "steps": self.steps,
        }


def describe(declared: Architecture) -> str:
    """An architecture in a few words: its name and the settings that are not left to their defaults."""
    settings = {name: value for name, value in vars(declared).items() if value is not None}
    return f"{type(declared).__name__}({', '.join(f'{name} {value}' for name, value in settings.items())})"


def prepare(config: Config, *, pairs: Pairs | None = None, declared: Architecture | None = None) -> Experiment:
    """Load the pairs, build the network, solve for the modes, and settle what was left automatic.

    Parameters
    ----------
    config : Config
        The settings.
    pairs : Pairs, optional
        Pairs in memory, in place of those that the config names.
    declared : Architecture, optional
        A network, in place of the one that the config names.

    Raises
    ------
    DataError, ConfigError, KernelError
        If the pairs or the network cannot be had.
    CollapseError
        If fewer than `dim` dimensions can be learned and the config does not allow it.
    StabilityError
        If the learning rate is above the stability limit.
    """
    fibers = None
    if pairs is None and config.pairs != "augmented":
        fibers = _fiber_views(config)
        pairs = fibers.pairs
    pairs = _pairs(config) if pairs is None else pairs
    declared = _architecture(config, pairs.input_shape) if declared is None else declared
    declared.check_input(pairs.input_shape)
    module = declared.module(config.dim)
    views = jnp.asarray(pairs.stacked)
    params = _initial_parameters(module, jax.random.key(config.seed), views[:1])

    modes, kernel = _modes(config, config.kernel, declared, module, params, pairs)
    if not config.allow_collapse:
        modes.require_learnable(config.dim)
    features = partial(module.apply, method="features")
    readout_width = jax.eval_shape(features, params, views[:1]).shape[1]
    c = _multiplier(config, modes, readout_width)
    modes = modes.scaled(c**2)
    network = small_network(module.apply, params, config.init, scale=config.init_scale, multiplier=c)
    F0 = np.asarray(jax.jit(network.on(views))(network.params), np.float64)
    F0 = F0 - F0.mean(axis=0) if config.center else F0
    one_pass = None
    if config.pairs == "fibers" and fibers is not None:
        apply = fibers.law.bind(module, fibers.drawn)
        one_pass = small_network(apply, params, config.init, scale=config.init_scale, multiplier=c), fibers.images

    u0 = initial_correlations(modes, F0)
    gamma = np.pad(modes.eigenvalues[: config.dim], (0, max(0, config.dim - len(modes))))
    tau = mode_step_times(gamma, u0)
    matrix_kernel = _matrix_kernel(config, module, params, pairs, c)
    limit = modes.stability_limit
    if matrix_kernel is not None:
        limit = min(limit, 1.0 / (4.0 * matrix_growth_rate(matrix_kernel)))
    learning_rate = learning_rate_below(limit, config)
    needed = 1.2 * tau[np.isfinite(tau)].max(initial=0.0) / learning_rate
    return Experiment(
        config=config,
        pairs=pairs,
        architecture=declared,
        network=network,
        modes=modes,
        kernel=kernel,
        reason=_REASONS[config.init],
        multiplier=c,
        initial_embeddings=F0,
        learning_rate=learning_rate,
        stability_limit=limit,
        steps=config.steps or max(10, int(np.ceil(needed))),
        mode_step_times=tau,
        matrix_kernel=matrix_kernel,
        one_pass=one_pass,
    )


@partial(jax.jit, static_argnums=0)
def _initial_parameters(module: nn.Module, key: jax.Array, views: jax.Array) -> Any:
    """Compiled as a whole, once a network: op by op, a forward pass that nobody looks at takes seconds to compile."""
    return module.init(key, views)


def forecast(experiment: Experiment) -> dict[str, Trajectory]:
    """Rungs 0 to 2 on the time axis of the run.

    `closed_form`, `ode`, `matrix_ode` where all layers learn, and `linearised`: descent with the best of these kernels.
    """
    modes, F0, times = experiment.modes, experiment.initial_embeddings, experiment.times
    trajectories = {"closed_form": closed_form(modes, F0, times), "ode": kernel_flow(modes, F0, times)}
    schedule = (experiment.learning_rate, recording_steps(experiment.steps))
    if experiment.matrix_kernel is None:
        trajectories["linearised"] = kernel_descent(modes, F0, *schedule)
    else:
        trajectories["matrix_ode"] = matrix_kernel_flow(experiment.matrix_kernel, F0, times)
        trajectories["linearised"] = matrix_kernel_descent(experiment.matrix_kernel, F0, *schedule)
    return trajectories


def infinite_width_forecast(experiment: Experiment) -> Trajectory:
    """Rung 1 with the kernel of the infinitely wide network, from the same initial function."""
    config, module = experiment.config, experiment.architecture.module(experiment.config.dim)
    modes, _ = _modes(config, "infinite", experiment.architecture, module, None, experiment.pairs)
    return kernel_flow(modes.scaled(experiment.multiplier**2), experiment.initial_embeddings, experiment.times)


def infinite_width_cost(experiment: Experiment) -> float:
    """Seconds that the kernel of `infinite_width_forecast` takes, from a short probe."""
    from dynamics.kernels import estimate_cost

    kernel, _ = _infinite_kernel(experiment.config, experiment.architecture)
    return estimate_cost(kernel, experiment.pairs.stacked, dtype=experiment.config.kernel_dtype)


def train(experiment: Experiment, report_cost: Callable[[float], None] | None = None) -> Trajectory:
    """Rung 3: the finite network under full-batch gradient descent; marked partial if it ends early."""
    network, views = experiment.one_pass or (experiment.network, experiment.pairs)
    return gradient_descent(
        network,
        views,
        learning_rate=experiment.learning_rate,
        steps=experiment.steps,
        center=experiment.config.center,
        report_cost=report_cost,
    )


def compare_run(experiment: Experiment, measured: Trajectory, forecasts: Mapping[str, Trajectory]) -> Comparison:
    """The measured run against its forecasts."""
    return compare(measured, forecasts, experiment.modes, center=experiment.config.center)


def _pairs(config: Config) -> Pairs:
    stored = config.dataset.endswith(".npz")
    return load_pairs(
        config.dataset,
        data_dir=config.data_dir,
        num_pairs=config.num_pairs or (None if stored else DEFAULT_NUM_PAIRS),
        augmentation=config.augmentation,
        seed=config.seed,
    )


class _FiberViews(NamedTuple):
    """Images, pairs of their fibers, and the augmented images that show the same."""

    images: np.ndarray
    law: FiberPairs
    drawn: np.ndarray
    pairs: Pairs


def _fiber_views(config: Config) -> _FiberViews:
    images = _pairs(replace(config, pairs="augmented", distance=None, window=None, augmentation="none")).x
    if images.ndim != 4:
        raise ConfigError(f"--pairs {config.pairs} needs images; `{config.dataset}` has views {images.shape[1:]}.")
    group = PlaneGroup(config.group, *images.shape[1:3])
    if config.distance is not None:
        law, name = FiberPairs.at_distance(group, config.distance), f"distance {config.distance}"
    elif config.window is not None:
        law, name = FiberPairs.within(group, config.window), f"window {config.window}"
    else:
        law, name = FiberPairs.haar(group), "Haar"
    key = jax.random.fold_in(jax.random.key(config.seed), 1)  # the images are drawn with the key itself
    drawn = np.asarray(law.draw(key, len(images)))
    kind = "pairs of fibers" if config.pairs == "fibers" else "images transformed"
    source = f"{config.dataset} train, {kind} by {config.group} ({name}), seed {config.seed}"
    return _FiberViews(images, law, drawn, Pairs(*np.split(law.augment(images, drawn), 2), source=source))


def _architecture(config: Config, shape: tuple[int, ...]) -> Architecture:
    depth = "blocks" if config.network == "resnet" else "depth"
    settings = {"width": config.width, depth: config.depth, "head": config.head}
    if config.network == "group-convnet":
        if len(shape) != 3:
            raise ConfigError(f"A group-convnet needs views (height, width, channels), got shape {shape}.")
        settings["group"] = PlaneGroup(config.group, *shape[:2])
    return architecture(config.network, **{name: value for name, value in settings.items() if value is not None})


def _modes(
    config: Config, source: str, declared: Architecture, module: Any, params: Any, pairs: Pairs
) -> tuple[ContrastiveModes, str]:
    """Modes at multiplier 1 of the kernel that goes with the start of the network, and the name of that kernel."""
    from dynamics.kernels import empirical_ntk

    if source == "infinite":
        kernel, name = _infinite_kernel(config, declared)
        return _modes_of(config, kernel, pairs), name
    if config.init == "readout":
        features = jax.jit(partial(module.apply, method="features"))
        h = np.asarray(features(params, jnp.asarray(pairs.stacked)), np.float64)
        modes = contrastive_modes_from_features(h / h.shape[1] ** 0.5, center=config.center)
        return modes, "empirical conjugate kernel"
    # what the parameters do not say
    key = f"{declared!r} with {config.dim} outputs"
    ntk = empirical_ntk(module.apply, params, dtype=config.kernel_dtype, key=key, **_jacobian_memory(config))
    return _modes_of(config, ntk, pairs), "empirical neural tangent kernel"


def _modes_of(config: Config, kernel: Kernel, pairs: Pairs) -> ContrastiveModes:
    """All modes of few pairs; of many the leading ones, which are all that a run has time to learn."""
    from dynamics.kernels import TiledGram, gram
    from dynamics.modes.lanczos import leading_modes

    views = pairs.stacked
    few = len(views) <= ALL_MODES_VIEWS
    K = (gram if few else TiledGram)(
        kernel,
        views,
        dtype=config.kernel_dtype,
        memory=None if config.kernel_memory is None else int(config.kernel_memory * 2**30),
        cache=config.kernel_cache,
        progress=True,
    )
    if few:
        return contrastive_modes(K, center=config.center)
    return leading_modes(K, max(LEADING_MODES, 4 * config.dim), center=config.center)


def _jacobian_memory(config: Config) -> dict[str, int]:
    """Half of the memory for the derivatives, where the config bounds it."""
    return {} if config.kernel_memory is None else {"memory": int(config.kernel_memory * 2**29)}


def _infinite_kernel(config: Config, declared: Architecture) -> tuple[Kernel, str]:
    from dynamics.kernels import infinite_kernel

    if config.init == "readout":
        return infinite_kernel(declared, "nngp"), "infinite-width conjugate kernel (NNGP)"
    return infinite_kernel(declared, "ntk"), "infinite-width neural tangent kernel"


def _multiplier(config: Config, modes: ContrastiveModes, readout_width: int) -> float:
    """c with (1/γ_d)/(c² N) = LAZINESS, but at least 1: the learned weights stay small against the random ones."""
    if config.multiplier != "auto":
        return float(config.multiplier)
    last = min(config.dim, modes.num_positive) - 1
    if last < 0:
        return 1.0
    return max(1.0, float(1.0 / (modes.eigenvalues[last] * readout_width * LAZINESS)) ** 0.5)


def _matrix_kernel(config: Config, module: Any, params: Any, pairs: Pairs, multiplier: float) -> np.ndarray | None:
    """Θ (2n, 2n, d, d) of a network that starts centred, where that fits into memory."""
    from dynamics.kernels import full_empirical_ntk

    size = 8 * (2 * len(pairs) * config.dim) ** 2
    if config.init != "centred" or config.kernel != "empirical" or size > MATRIX_KERNEL_BYTES:
        return None
    settings = {"dtype": config.kernel_dtype, **_jacobian_memory(config)}
    theta = multiplier**2 * full_empirical_ntk(module.apply, params, pairs.stacked, **settings).astype(np.float64)
    return centred_matrix_kernel(theta) if config.center else theta


def learning_rate_below(limit: float, config: Config) -> float:
    """The learning rate that the config asks for; `StabilityError` unless it is below the limit."""
    learning_rate = config.lr_fraction * limit if config.learning_rate is None else config.learning_rate
    if not 0 < learning_rate < limit:
        raise StabilityError(
            f"The learning rate {learning_rate:.4g} is above the stability limit 1/(4 γ_1) = {limit:.4g} of this "
            "kernel and these pairs; use less than that, or --lr-fraction below 1."
        )
    return learning_rate
