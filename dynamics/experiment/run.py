"""Rungs 0 to 3 behind the interface that all runs share (`dynamics.runs.interface`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dynamics.experiment.config import Config
from dynamics.experiment.preparation import Experiment, prepare
from dynamics.experiment.rungs import compare_run, forecast_trajectories, train
from dynamics.modes import ContrastiveModes
from dynamics.training.checkpoints import Checkpoints
from dynamics.trajectories.comparison import Comparison
from dynamics.trajectories.trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class ExperimentRun:
    """An experiment as a `PreparedRun`.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    """

    experiment: Experiment

    @staticmethod
    def of(config: Config) -> "ExperimentRun":
        """Prepare the run of a config; errors are those of `dynamics.experiment.preparation`."""
        return ExperimentRun(prepare(config))

    @property
    def title(self) -> str:
        """Two lines for a figure."""
        return self.experiment.title

    @property
    def resolved(self) -> Mapping[str, Any]:
        """What the automatic settings came to."""
        return self.experiment.resolved

    @property
    def modes(self) -> ContrastiveModes | None:
        """Modes of the kernel that drives training."""
        return self.experiment.kernel.modes

    def describe(self) -> str:
        """Say data, network and schedule, a line each."""
        experiment, schedule = self.experiment, self.experiment.schedule
        automatic = " (automatic)" if experiment.config.multiplier == "auto" else ""
        return (
            f"{experiment.pairs.source}: {len(experiment.pairs)} pairs of {experiment.pairs.input_shape}\n"
            f"{experiment.random.description}\n"
            f"output multiplier c = {experiment.multiplier:.4g}{automatic}; learning rate {schedule.learning_rate:.4g} "
            f"of at most {schedule.stability_limit:.4g}; {schedule.steps:,} steps"
        )

    def forecast(self) -> dict[str, Trajectory]:
        """Rungs 0 to 2."""
        return forecast_trajectories(self.experiment)

    def train(
        self,
        checkpoints: Checkpoints | None = None,
        *,
        report_cost: Callable[[float], None] | None = None,
        report_resumed: Callable[[int], None] | None = None,
        report_records: Callable[[Trajectory], None] | None = None,
    ) -> Trajectory:
        """Train the finite network, rung 3; the parameters are those of `PreparedRun.train`."""
        return train(
            self.experiment,
            checkpoints,
            report_cost=report_cost,
            report_resumed=report_resumed,
            report_records=report_records,
        )

    def compare(
        self,
        measured: Trajectory,
        forecasts: Mapping[str, Trajectory],
        checkpoints: Checkpoints | None = None,
        *,
        report_cost: Callable[[float], None] | None = None,
    ) -> tuple[dict[str, Trajectory], Comparison]:
        """The forecasts as they are, and the measured run against them."""
        return dict(forecasts), compare_run(self.experiment, measured, forecasts)
