"""The fifth stage of an experiment: the stability limit, the learning rate and the number of steps."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from dynamics.errors import ConfigError, StabilityError
from dynamics.training import recording_steps
from dynamics.trajectories.comparison import step_times
from dynamics.trajectories.trajectory import Trajectory

MARGIN = 1.2
"""A run is so many times as long as its last forecast step."""

FEWEST_STEPS = 10

MOST_STEPS = 10**9
"""Steps beyond which no run is made, unless it is asked for."""


@dataclass(frozen=True)
class Schedule:
    """When a run takes its steps, and when it is recorded.

    Parameters
    ----------
    stability_limit : float
        Largest learning rate at which gradient descent is stable, 1/(4 γ_1).
    learning_rate : float
        Learning rate η.
    steps : int
        Number of updates.
    """

    stability_limit: float
    learning_rate: float
    steps: int

    def steps_until(self, last: float) -> int:
        """How many steps a run takes whose last dimension is half learned at the effective time `last`."""
        return max(FEWEST_STEPS, int(np.ceil(MARGIN * last / self.learning_rate)))

    @property
    def record_at(self) -> Int[np.ndarray, " times"]:
        """Steps at which every rung is recorded (T,)."""
        return recording_steps(self.steps)

    @property
    def times(self) -> Float[np.ndarray, " times"]:
        """Effective times t = η × step at which every rung is recorded (T,)."""
        return self.learning_rate * self.record_at.astype(np.float64)

    def require_feasible(self) -> None:
        """Raise `ConfigError` if the run would take more than `MOST_STEPS` steps."""
        if self.steps > MOST_STEPS:
            raise ConfigError(
                f"At the learning rate {self.learning_rate:.4g} the forecast needs {self.steps:.3g} steps; raise "
                "`learning_rate` or `init_scale`, or say in `steps` how far to go."
            )


def schedule(
    stability_limit: float,
    step_times: Float[np.ndarray, " dim"],
    *,
    learning_rate: float | None,
    fraction: float,
    steps: int | None,
) -> Schedule:
    """Choose the learning rate and the number of steps where the user has not.

    Parameters
    ----------
    stability_limit : float
        Largest stable learning rate 1/(4 γ_1).
    step_times : array (d,)
        Forecast times at which each mode is half learned. Infinite times do not make the run longer.
    learning_rate, steps
        Values that the user has chosen, or None where they are to be chosen here.
    fraction : float
        Learning rate as a fraction of the limit, used where `learning_rate` is None.

    Raises
    ------
    StabilityError
        If the learning rate is not below the limit.
    ConfigError
        If the forecast needs more than `MOST_STEPS` steps, and `steps` says nothing else.
    """
    rate = resolve_learning_rate(stability_limit, learning_rate, fraction)
    plan = Schedule(stability_limit, rate, FEWEST_STEPS if steps is None else steps)
    last = step_times[np.isfinite(step_times)].max(initial=0.0)
    if steps is not None:
        return plan
    plan = replace(plan, steps=plan.steps_until(last))
    plan.require_feasible()
    return plan


def lengthened(frozen: Schedule, foreseen: Trajectory) -> Schedule:
    """The schedule of a run whose steps come as foreseen, however many they are.

    Parameters
    ----------
    frozen : Schedule
        A schedule with the learning rate of the run.
    foreseen : Trajectory
        A forecast that reaches all dimensions that will be learned.
    """
    tau = step_times(foreseen)
    return replace(frozen, steps=frozen.steps_until(tau[np.isfinite(tau)].max(initial=0.0)))


def resolve_learning_rate(stability_limit: float, learning_rate: float | None, fraction: float) -> float:
    """The given learning rate, or the fraction of the limit; `StabilityError` unless it is below the limit."""
    rate = fraction * stability_limit if learning_rate is None else learning_rate
    if not 0 < rate < stability_limit:
        raise StabilityError(
            f"The learning rate {rate:.4g} is not below the stability limit 1/(4 γ_1) = {stability_limit:.4g} of this "
            "kernel and these pairs; lower learning_rate or lr_fraction."
        )
    return rate
