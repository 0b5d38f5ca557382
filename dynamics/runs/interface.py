"""What every kind of run offers, so that one command serves all of them.

Rungs 0 to 3 of an experiment and rung 4, the recipe, are prepared, trained and compared alike
(`dynamics.experiment.run`, `dynamics.recipe.run`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from msgspec import structs

from dynamics.modes import ContrastiveModes
from dynamics.runs.consistency import fingerprint
from dynamics.runs.settings import RunSettings
from dynamics.training.checkpoints import Checkpoints
from dynamics.trajectories.comparison import Comparison
from dynamics.trajectories.trajectory import Trajectory


@runtime_checkable
class PreparedRun(Protocol):
    """A run ready to be forecast, trained and compared."""

    @property
    def title(self) -> str:
        """Two lines for a figure."""

    @property
    def resolved(self) -> Mapping[str, Any]:
        """What the automatic settings came to."""

    @property
    def modes(self) -> ContrastiveModes | None:
        """Modes of the kernel that drives the run, where one is known before training."""

    def describe(self) -> str:
        """Say data, network and schedule, a line each."""

    def forecast(self) -> dict[str, Trajectory]:
        """Rungs of theory that need no training, by name."""

    def train(
        self,
        checkpoints: Checkpoints | None = None,
        *,
        report_cost: Callable[[float], None] | None = None,
        report_resumed: Callable[[int], None] | None = None,
        report_records: Callable[[Trajectory], None] | None = None,
    ) -> Trajectory:
        """Train the network and record its spectrum; go on from the last checkpoint if there is one.

        Parameters
        ----------
        checkpoints : Checkpoints, optional
            Checkpoints of the training.
        report_cost : callable, optional
            Function that is called after the first few updates with the seconds that all of them will take.
        report_resumed : callable, optional
            Function that is called with the step from which training goes on.
        report_records : callable, optional
            Function that is called every few seconds with what has been recorded so far, marked as interrupted.
        """

    def compare(
        self,
        measured: Trajectory,
        forecasts: Mapping[str, Trajectory],
        checkpoints: Checkpoints | None = None,
        *,
        report_cost: Callable[[float], None] | None = None,
    ) -> tuple[dict[str, Trajectory], Comparison]:
        """Forecasts, with those that need the trained network among them, and the measured run against them."""


@runtime_checkable
class RunConfig(Protocol):
    """A record of settings: `Config` or `Recipe`."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""


def settings_of(
    kind: Any, command: str, config: RunConfig, run: PreparedRun | None = None, arguments: Sequence[str] = ()
) -> RunSettings:
    """Settings of a run for `config.json`, before it is prepared or, with `run`, after."""
    settings = RunSettings(kind=kind, command=command, config=config.to_dict(), arguments=list(arguments))
    if run is None:
        return settings
    return structs.replace(settings, title=run.title, resolved=dict(run.resolved), modes=fingerprint(run.modes))
