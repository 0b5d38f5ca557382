"""Log: what the record of a run says of its embeddings and its loss, whichever program wrote it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dynamics.errors import DataError
from dynamics.support.one_line import one_line
from dynamics.trajectories.trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class Log:
    """Records of a run in the order of its steps.

    Parameters
    ----------
    steps : array (T,)
        Training steps of the records, ascending.
    covariance : array (T, k), optional
        Eigenvalues of the covariance of the embeddings, descending; of wide embeddings perhaps only the largest.
    correlation : array (T, k), optional
        Eigenvalues of the cross-correlation of partners, descending.
    loss : array (T,), optional
        The objective; NaN where it was not recorded.
    dim : int, optional
        Number d of embedding dimensions; by default that of the eigenvalues.
    objective : str, optional
        Name of the objective, as in `dynamics.objectives.OBJECTIVES`; `barlow-twins` is the loss of the theory.
    diverged : bool
        Whether whoever wrote the record says that the loss stopped being finite.

    Raises
    ------
    DataError
        If there are neither eigenvalues nor losses, steps do not ascend, or lengths differ.
    """

    steps: Int[np.ndarray, " records"]
    covariance: Float[np.ndarray, "records _"] | None = None
    correlation: Float[np.ndarray, "records _"] | None = None
    loss: Float[np.ndarray, " records"] | None = None
    dim: int | None = None
    objective: str | None = None
    diverged: bool = False

    __repr__ = one_line

    def __post_init__(self) -> None:
        present = {name: getattr(self, name) for name in ("covariance", "correlation", "loss")}
        present = {name: values for name, values in present.items() if values is not None}
        if not present:
            raise DataError("The log holds neither eigenvalues nor losses.")
        if len(self.steps) == 0 or (np.diff(self.steps) <= 0).any():
            raise DataError("The steps of the log must ascend, one for each record.")
        for name, values in present.items():
            if len(values) != len(self.steps):
                raise DataError(f"The log has {len(self.steps)} steps and {len(values)} records of {name}.")

    @property
    def spectrum(self) -> Float[np.ndarray, "records _"] | None:
        """What shows whether directions are lost: the covariance, or the cross-correlation where that is all."""
        return self.correlation if self.covariance is None else self.covariance

    @property
    def dims(self) -> int | None:
        """Number d of embedding dimensions, as far as it is known."""
        if self.dim is not None or self.spectrum is None:
            return self.dim
        return self.spectrum.shape[1]

    def until(self, records: int) -> "Log":
        """The log as it was after so many records."""

        def first(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[:records]

        return Log(
            self.steps[:records],
            first(self.covariance),
            first(self.correlation),
            first(self.loss),
            self.dim,
            self.objective,
            self.diverged and records >= len(self.steps),
        )


def log_of(trajectory: Trajectory) -> Log:
    """The log that a trajectory is.

    Raises
    ------
    DataError
        If the trajectory has no training steps, as a forecast in effective time has none.
    """
    if trajectory.steps is None:
        raise DataError("The trajectory has no training steps: it is a forecast, and there is no run to diagnose.")
    return Log(
        trajectory.steps,
        trajectory.covariance,
        trajectory.eigenvalues,
        trajectory.loss,
        objective=trajectory.objective or "barlow-twins",
        diverged=trajectory.outcome.kind == "diverged",
    )
