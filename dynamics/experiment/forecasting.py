"""The forecast as a tool: what will be learned by which training step, asked before training or during it.

>>> import numpy as np
>>> from dynamics.experiment.forecasting import Forecast
>>> gamma = np.array([0.4, 0.1, 0.09])
>>> forecast = Forecast(gamma, np.array([3.0, 12.0, 13.0]), learning_rate=0.01, stability_limit=1 / (4 * 0.4))
>>> forecast.learned_by(500), forecast.steps_for(3), forecast.blurred
(1, 1300, [(2, 3)])
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from dynamics.errors import ConfigError
from dynamics.experiment.config import Config
from dynamics.experiment.own import own_network
from dynamics.experiment.preparation import Experiment, prepare
from dynamics.experiment.rungs import moving_kernel_trajectories
from dynamics.experiment.schedule import resolve_learning_rate
from dynamics.flow.closed_form import initial_correlations, mode_correlations, mode_step_times
from dynamics.flow.start import finite_start
from dynamics.kernels import empirical_ntk, gram
from dynamics.modes import contrastive_modes
from dynamics.modes.agreement import generalise, held_out_agreement
from dynamics.networks import Architecture
from dynamics.networks.own import is_module
from dynamics.support.sketch import sketch
from dynamics.training import SmallNetwork
from dynamics.trajectories.ahead import growth_rate
from dynamics.trajectories.comparison import step_times
from dynamics.trajectories.ladder import rung
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Embedding, Spectrum
from dynamics.views import Pairs

# Two logistic steps leave a plateau between them if ln(1/u_0)(γ_j/γ_{j+1} − 1) is above this (10 % of the plateau).
SEPARATE = 4.4


@dataclass(frozen=True, eq=False)
class Forecast:
    """When each embedding dimension is learned.

    Parameters
    ----------
    eigenvalues : array (d,)
        Contrastive eigenvalues γ_j of the modes, descending; 0 or negative for dimensions that collapse.
    step_times : array (d,)
        Effective time at which half of each mode is learned (its eigenvalue of C is ½); infinite if it never is.
    learning_rate : float
        Learning rate η; a training step is effective time / η.
    stability_limit : float
        Learning rate 1/(4 γ_1) above which gradient descent diverges.
    known_until : float
        Effective time up to which the steps were measured in a run instead of forecast; 0 before training.
    model : str
        Label of the model on the ladder that the step times come from.
    predicts : bool
        Whether a model predicts this start at all. If all weights start small no kernel does, and but for MLPs the step
        times are those of the kernel of the unscaled network, which says nothing about when.
    algebraic : bool
        Whether dimensions grow algebraically instead of exponentially, as they do if all weights start small. Then the
        rate at which one grows says nothing about when it is learned, and the eigenvalues, which are those of the
        unscaled network, do not say which of them rise as one step.
    agreement : array (d,), optional
        Correlation of each mode between the partners of pairs left out of the fit (`dynamics.modes.agreement`).
    num_pairs : int
        Number n of pairs that the modes were solved for; 0 if it is not known.
    """

    eigenvalues: Spectrum
    step_times: Float[np.ndarray, " dim"]
    learning_rate: float
    stability_limit: float
    known_until: float = 0.0
    model: str = "closed form"
    predicts: bool = True
    algebraic: bool = False
    agreement: Float[np.ndarray, " dim"] | None = None
    num_pairs: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < np.inf:
            raise ConfigError(f"learning_rate is {self.learning_rate}; give a positive number.")

    def __repr__(self) -> str:
        """The model and the steps at which it has dimensions half learned, in one line."""
        steps = ", ".join(f"{step:,.0f}" if np.isfinite(step) else "never" for step in self.steps[:8])
        more = ", …" if len(self.steps) > 8 else ""
        when = f"half learned at steps {steps}{more}" if self.predicts else "when they are learned is not known"
        return f"<Forecast ({self.model}) of {len(self.steps)} dimensions: {when}; η = {self.learning_rate:.3g}>"

    def _repr_html_(self) -> str:
        """The same line with a small drawing of the steps, as notebooks show it."""
        finite = self.step_times[np.isfinite(self.step_times)]
        trajectory = self.trajectory(np.linspace(0, 1.2 * finite.max(initial=1e-12), 160))
        return sketch(trajectory.times, trajectory.eigenvalues, repr(self)[1:-1])

    @property
    def steps(self) -> Float[np.ndarray, " dim"]:
        """Training step at which half of each mode is learned; infinite if it never is."""
        return self.step_times / self.learning_rate

    def learned_by(self, step: float | int) -> int:
        """How many dimensions are at least half learned after so many training steps."""
        return int((self.steps <= step).sum())

    def steps_for(self, dims: int | None = None) -> int | None:
        """Training steps until `dims` dimensions (all of them by default) are half learned; None if they never are."""
        dims = len(self.step_times) if dims is None else dims
        if not 1 <= dims <= len(self.step_times):
            raise ConfigError(f"dims is {dims}; the forecast is about 1 to {len(self.step_times)} dimensions.")
        needed = np.sort(self.steps)[dims - 1]
        return int(np.ceil(needed)) if np.isfinite(needed) else None

    @property
    def blurred(self) -> list[tuple[int, int]]:
        """Neighbouring modes, counted from 1, that rise as one step: ln(1/u_0)(γ_j/γ_{j+1} − 1) is below 4.4."""
        # 8γτ, the growth of the later mode until its step, equals ln(1/u_0) up to rounding
        if self.algebraic:
            return []
        gamma, tau = self.eigenvalues, self.step_times
        learned = np.isfinite(tau) & (gamma > 0)
        return [
            (j + 1, j + 2)
            for j in range(len(tau) - 1)
            if learned[j] and learned[j + 1] and 8 * tau[j + 1] * (gamma[j] - gamma[j + 1]) < SEPARATE
        ]

    @property
    def generalises(self) -> bool | None:
        """Whether held-out partners agree on the modes more than by chance; None where that was not found out."""
        return None if self.agreement is None else generalise(self.agreement, self.num_pairs)

    def trajectory(self, times: Float[np.ndarray, " times"]) -> Trajectory:
        """Logistic steps at the forecast times, as a `Trajectory`."""
        u0 = np.where(np.isfinite(self.step_times), expit(-8.0 * self.eigenvalues * self.step_times), 0.0)
        u = mode_correlations(self.eigenvalues, u0, np.asarray(times, np.float64))
        return Trajectory(
            times=np.asarray(times, np.float64),
            eigenvalues=-np.sort(-u, axis=1),
            loss=((1.0 - u) ** 2).sum(axis=1),
            rung="forecast",
            mode_step_times=self.step_times,
        )

    def updated(self, measured: Trajectory) -> "Forecast":
        """The forecast in the light of a run in progress.

        Steps that the run has made are taken from the run. An eigenvalue of C that is small but already grows
        exponentially shows its own rate, 8γ_j, as the slope of its log-odds, and is extrapolated with that rate. All
        other modes keep the γ_j of this forecast, multiplied by one common factor: how much faster than forecast the
        run has made its steps so far. A learning rate, a momentum or a kernel that the forecast does not know changes
        this factor.

        Parameters
        ----------
        measured : Trajectory
            Trajectory of the run so far, with at least two records.

        Raises
        ------
        ConfigError
            If the run has another number of dimensions, or fewer than two records.
        """
        if measured.dim != len(self.step_times):
            raise ConfigError(
                f"The run has {measured.dim} embedding dimensions and the forecast {len(self.step_times)}; "
                "give both the same `dim`."
            )
        if len(measured.times) < 2:
            raise ConfigError("The run has recorded fewer than two steps; update the forecast when it has gone on.")
        now = float(measured.times[-1])
        made = step_times(measured)
        clock = _clock(self.step_times, made)
        gamma, tau = self.eigenvalues.astype(np.float64).copy(), made.copy()
        for j in map(int, np.flatnonzero(np.isnan(made))):
            u = measured.eigenvalues[:, j]
            rate = None if self.algebraic else growth_rate(measured.times, u)
            if rate is not None:
                gamma[j] = rate / 8.0
            elif np.isfinite(self.step_times[j]):
                gamma[j] = gamma[j] * clock
            tau[j] = self._continued(j, gamma[j], u[-1], now, clock)
        return replace(self, eigenvalues=gamma, step_times=tau, known_until=now)

    def _continued(self, j: int, gamma: float, u: float, now: float, clock: float) -> float:
        if gamma <= 0:
            return np.inf
        if 0 < u < 0.5 and not self.algebraic:
            return now + float(np.log(1.0 / u - 1.0) / (8.0 * gamma))
        return max(now, self.step_times[j] / clock)


def forecast(
    pairs: Pairs,
    network: Architecture | SmallNetwork | Callable[[Any, Any], Any] | Any,
    *,
    dim: int | None = None,
    learning_rate: float | None = None,
    start: Embedding | None = None,
    **settings: Any,
) -> Forecast:
    """Forecast the training of a network on your pairs, before anything is trained.

    Parameters
    ----------
    pairs : Pairs
        The n training pairs.
    network : Architecture or callable
        A declared network such as `dynamics.ResNet(width=64)`; a network of your own, which is a `SmallNetwork` or a
        module of Flax Linen, Flax NNX or Equinox and is made small by `dynamics.experiment.own.own_network`; or any
        kernel (x1 (a, …), x2 (b, …)) -> (a, b).
    dim : int, optional
        Embedding dimensions d; by default 8, or as many as your own network has outputs.
    learning_rate : float, optional
        Learning rate η; 1/20 of the stability limit by default.
    start : array (2n, d), optional
        Initial function on the views, if `network` is a kernel. By default it is a draw of the Gaussian process of that
        kernel, made small by `init_scale`.
    **settings
        Other settings of `dynamics.Config`, such as `init`, `init_scale`, `multiplier`, `center`, `seed`.

    Raises
    ------
    ConfigError, StabilityError, CollapseError
        If a setting is out of range, the learning rate is unstable, or fewer than d dimensions can be learned.

    Examples
    --------
    >>> import dynamics
    >>> pairs = dynamics.load_pairs("digits", num_pairs=32)
    >>> ahead = dynamics.forecast(pairs, dynamics.MLP(depth=1, width=128), dim=4)
    >>> ahead.learned_by(0), ahead.learned_by(ahead.steps_for(4))
    (0, 4)
    """
    if isinstance(network, SmallNetwork) or is_module(network):
        return _of_own(pairs, network, dim, learning_rate, settings)
    config = Config(dim=Config.dim if dim is None else dim, learning_rate=learning_rate, **settings)
    if isinstance(network, Architecture):
        experiment = prepare(config, pairs=pairs, declared=network)
        return forecast_of(experiment, best_moving(moving_kernel_trajectories(experiment)))
    return _of_kernel(pairs, network, config, start)


def forecast_of(experiment: Experiment, moving: Trajectory | None = None) -> Forecast:
    """The forecast of a prepared experiment.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    moving : Trajectory, optional
        A forecast in which the kernel moves, such as `relinearised` of `forecast_trajectories`. Its steps take the
        place of those of the closed form; steps that it does not reach are carried on as those of a run in progress.
        An experiment with a path from saddle to saddle has its steps from there.
    """
    frozen = Forecast(
        eigenvalues=experiment.kernel.modes.padded_eigenvalues(experiment.config.dim),
        step_times=experiment.mode_step_times,
        learning_rate=experiment.learning_rate,
        stability_limit=experiment.frozen_schedule.stability_limit,
        predicts=experiment.kernel.predicts,
        agreement=experiment.kernel.held_out_agreement(experiment.config.dim, center=experiment.config.center),
        num_pairs=len(experiment.pairs),
    )
    if experiment.saddles is not None:
        path = experiment.saddles.trajectory
        tau = np.nan_to_num(step_times(path), nan=np.inf)
        return replace(frozen, step_times=tau, model=rung(path.rung).label, predicts=True, algebraic=True)
    if moving is None:
        return frozen
    return replace(frozen.updated(moving), known_until=0.0, model=rung(moving.rung).label)


def best_moving(forecasts: Mapping[str, Trajectory]) -> Trajectory | None:
    """The highest rung among forecasts in which the kernel moves, for `forecast_of`; None if there is none."""
    return forecasts.get("relinearised", forecasts.get("bilinear"))


def _of_own(pairs: Pairs, network: Any, dim: int | None, learning_rate: float | None, settings: dict) -> Forecast:
    """The forecast of a network of one's own: that of its tangent kernel, from its own initial function."""
    config = Config(dim=dim or 1, learning_rate=learning_rate, **{"init": "centred", **settings})
    if config.init != "centred":
        raise ConfigError(
            f"A network of your own starts `centred`, not `{config.init}`; make it small in another way with "
            "`small_network`, which may be given a `readout`."
        )
    multiplier = 1.0 if isinstance(config.multiplier, str) else config.multiplier
    small = own_network(pairs, network, init_scale=config.init_scale, multiplier=multiplier, seed=config.seed)
    start = small.initial_embeddings(pairs.stacked)
    if dim not in (None, start.shape[1]):
        raise ConfigError(f"dim is {dim} and the network has {start.shape[1]} outputs; leave `dim` out.")
    return _of_kernel(pairs, empirical_ntk(small.apply, small.params), replace(config, dim=start.shape[1]), start)


def _of_kernel(pairs: Pairs, kernel: Any, config: Config, start: Embedding | None) -> Forecast:
    K = gram(kernel, pairs.stacked)
    modes = contrastive_modes(K, center=config.center)
    if not config.allow_collapse:
        modes.require_learnable(config.dim)
    if start is None:
        start = config.init_scale * _gaussian_process(K, config.dim, config.seed)
    start = finite_start(start, len(K))
    start = start - start.mean(axis=0) if config.center else start
    gamma, u0 = modes.padded_eigenvalues(config.dim), initial_correlations(modes, start)
    return Forecast(
        eigenvalues=gamma,
        step_times=mode_step_times(gamma, u0),
        learning_rate=resolve_learning_rate(modes.stability_limit, config.learning_rate, config.lr_fraction),
        stability_limit=modes.stability_limit,
        agreement=held_out_agreement(modes.on_views, config.dim, center=config.center),
        num_pairs=len(pairs),
    )


def _gaussian_process(K: np.ndarray, dim: int, seed: int) -> np.ndarray:
    """`dim` draws from N(0, K), (2n, dim)."""
    values, Q = np.linalg.eigh((K + K.T) / 2)
    return Q @ (np.sqrt(np.maximum(values, 0))[:, None] * np.random.default_rng(seed).normal(size=(len(K), dim)))


def _clock(predicted: np.ndarray, made: np.ndarray) -> float:
    """How much faster the run goes than the forecast: the median over the steps that it has made, 1 without any."""
    both = np.isfinite(made) & np.isfinite(predicted) & (made > 0)
    return float(np.median(predicted[both] / made[both])) if both.any() else 1.0
