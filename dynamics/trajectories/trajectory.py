"""Trajectory: what every rung of the ladder returns.

>>> import numpy as np
>>> from dynamics.trajectories.trajectory import Trajectory
>>> t = np.linspace(0, 1, 5)
>>> trajectory = Trajectory(t, eigenvalues=np.stack([t, t / 2], axis=1), loss=(1 - t) ** 2 + (1 - t / 2) ** 2)
>>> trajectory.dim, trajectory.partial
(2, False)
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from jaxtyping import Float, Int

from dynamics.errors import DataError
from dynamics.support import archives
from dynamics.support.optional import optional
from dynamics.support.schema import ArrayField, as_record, check_arrays
from dynamics.support.sketch import sketch
from dynamics.trajectories.outcome import FINISHED, Outcome
from dynamics.trajectories.solution import SolvedModes

if TYPE_CHECKING:
    import pandas
    import xarray


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Course of training of one model of an experiment.

    Parameters
    ----------
    times : array (T,)
        Effective time t = learning rate × step (gradient-flow time), ascending from 0.
    eigenvalues : array (T, d)
        Eigenvalues of the cross-correlation C = FᵀJF/2n, descending at every time; of wide embeddings perhaps only the
        largest.
    loss : array (T,)
        The objective, dimensionless.
    covariance : array (T, d), optional
        Eigenvalues of the covariance of the embeddings, FᵀF/2n, descending.
    embeddings : array (S, 2n, d), optional
        Embeddings of the training views at `embedding_times`, followed by those of the `test_points`.
    embedding_times : array (S,), optional
        Effective times of the embeddings.
    meta : mapping
        Provenance of the trajectory: seed, learning rate, tolerance, versions. It is kept for readers of the file; no
        figure and no message depends on it.
    steps : array (T,), optional
        Training steps of the records.
    hidden : mapping
        Hidden layer -> array (T, k), eigenvalues of the covariance of its activations, descending.
    metrics : mapping
        Metric -> array (T,), such as `rankme`; NaN where it was not evaluated.
    rung : str
        Name of the model that made it, such as `closed_form`, `ode` or `network` (`dynamics.trajectories.ladder`).
    outcome : Outcome
        How the run ended.
    objective : str, optional
        Name of the objective that `loss` is; by default the Barlow Twins loss of the theory, ‖C − I‖²_F.
    mode_step_times : array (d,), optional
        Effective times at which a theory has learned half of each mode, in the order of the modes; infinite for modes
        that are never learned.
    solution : SolvedModes, optional
        What a solvable model says of each mode besides its course.
    num_modes : int, optional
        How many modes a truncated flow kept; None if it kept all of them.
    truncation_bound : float, optional
        The part of C that lies in the modes left out is at most this, in the trace norm and at all times.
    test_points : int
        How many rows at the end of each snapshot of `embeddings` belong to points that were not trained on.
    fingerprint : mapping
        What the run was of, such as `pairs` and `network` -> a hash of it; empty where the recorder was not told.
    """

    times: Float[np.ndarray, " times"]
    eigenvalues: Float[np.ndarray, "times dim"]
    loss: Float[np.ndarray, " times"]
    covariance: Float[np.ndarray, "times dim"] | None = None
    embeddings: Float[np.ndarray, "snapshots views _"] | None = None
    embedding_times: Float[np.ndarray, " snapshots"] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    steps: Int[np.ndarray, " times"] | None = None
    hidden: Mapping[str, Float[np.ndarray, "times _"]] = field(default_factory=dict)
    metrics: Mapping[str, Float[np.ndarray, " times"]] = field(default_factory=dict)
    rung: str = "trajectory"
    outcome: Outcome = FINISHED
    objective: str | None = None
    mode_step_times: Float[np.ndarray, " modes"] | None = None
    solution: SolvedModes | None = None
    num_modes: int | None = None
    truncation_bound: float | None = None
    test_points: int = 0
    fingerprint: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        times = self.eigenvalues.shape[0]
        if self.times.shape != (times,) or self.loss.shape != (times,):
            raise ValueError(
                f"times {self.times.shape}, eigenvalues {self.eigenvalues.shape} and loss {self.loss.shape} do not "
                "share their first axis."
            )
        for kind in _NAMED:
            for name, values in getattr(self, kind).items():
                if len(values) != times:
                    raise ValueError(f"{kind} {name!r} has {len(values)} records, the eigenvalues {times}.")
        modes, tau = self.solution, self.mode_step_times
        if modes is not None and tau is not None and len(tau) != len(modes.targets):
            raise ValueError(f"mode_step_times has {len(tau)} modes, the solution {len(modes.targets)}.")
        if (np.diff(self.times) <= 0).any():
            raise ValueError("times must ascend.")

    @property
    def dim(self) -> int:
        """Number of embedding dimensions d."""
        return self.eigenvalues.shape[1]

    @property
    def partial(self) -> bool:
        """Whether the run ended before its last step; `outcome` says how."""
        return self.outcome.is_partial

    def __repr__(self) -> str:
        """What it is of, in one line; the arrays themselves would fill pages."""
        end = f"{self.times[-1]:.4g}" if len(self.times) else "nothing"
        steps = "" if self.steps is None or not len(self.steps) else f", step {self.steps[-1]:,}"
        return (
            f"<Trajectory of {self.rung}: {len(self.times)} records up to t = {end}{steps}, d = {self.dim}, "
            f"{self.outcome.describe()}>"
        )

    def _repr_html_(self) -> str:
        """The same line with a small drawing of the eigenvalues, as notebooks show it."""
        return sketch(self.times, self.eigenvalues, repr(self)[1:-1])

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the records as a tidy `pandas.DataFrame`, one row a record and mode.

        Columns are `time`, `step` where it is known, `mode` (from 1), `eigenvalue`, `covariance` where it was recorded,
        `loss`, and one for each metric.

        Raises
        ------
        ConfigError
            If pandas is not installed.
        """
        pandas = optional("pandas", "to_pandas")
        records = {"time": self.times, "step": self.steps, "loss": self.loss, **self.metrics}
        columns = {name: np.repeat(values, self.dim) for name, values in records.items() if values is not None}
        columns["mode"] = np.tile(np.arange(1, self.dim + 1), len(self.times))
        columns["eigenvalue"] = self.eigenvalues.ravel()
        if self.covariance is not None:
            columns["covariance"] = self.covariance.ravel()
        first = [name for name in ("time", "step", "mode", "eigenvalue", "covariance", "loss") if name in columns]
        return pandas.DataFrame({name: columns[name] for name in [*first, *self.metrics]})

    def to_xarray(self) -> "xarray.Dataset":
        """Return the trajectory as a labelled `xarray.Dataset`.

        Dimensions are `time` (effective time, with `step` beside it where it is known), `mode` (from 1),
        `snapshot` (effective time of the embeddings), `view` and `output`. A hidden layer becomes
        `hidden_NAME (time, NAME_direction)`, a metric `metric_NAME (time)`. The attributes are `meta`, the rung, the
        objective and the outcome in words.

        Raises
        ------
        ConfigError
            If xarray is not installed.
        """
        xarray = optional("xarray", "to_xarray")
        variables: dict[str, tuple[Any, np.ndarray]] = {
            "eigenvalues": (("time", "mode"), self.eigenvalues),
            "loss": (("time",), self.loss),
        }
        coordinates: dict[str, tuple[Any, np.ndarray]] = {
            "time": (("time",), self.times),
            "mode": (("mode",), np.arange(1, self.dim + 1)),
        }
        if self.steps is not None:
            coordinates["step"] = (("time",), self.steps)
        if self.covariance is not None:
            variables["covariance"] = (("time", "mode"), self.covariance)
        if self.embeddings is not None and self.embedding_times is not None:
            variables["embeddings"] = (("snapshot", "view", "output"), self.embeddings)
            coordinates["snapshot"] = (("snapshot",), self.embedding_times)
        for name, values in self.hidden.items():
            variables[f"hidden_{name}"] = (("time", f"{name}_direction"), values)
        variables |= {f"metric_{name}": (("time",), values) for name, values in self.metrics.items()}
        if self.mode_step_times is not None and len(self.mode_step_times) == self.dim:
            variables["mode_step_times"] = (("mode",), self.mode_step_times)
        attributes = {"rung": self.rung, "outcome": self.outcome.describe()}
        if self.objective is not None:
            attributes["objective"] = self.objective
        return xarray.Dataset(variables, coordinates, attrs=dict(self.meta) | attributes)

    def save(self, path: str | Path) -> None:
        """Write an `.npz` file with a JSON header, atomically."""
        arrays = {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}
        for kind in _NAMED:
            arrays |= {f"{kind}.{name}": values for name, values in getattr(self, kind).items()}
        header = {"format": FORMAT, "meta": dict(self.meta), "outcome": asdict(self.outcome)}
        header |= {name: getattr(self, name) for name in _IN_HEADER}
        if self.solution is not None:
            solution = {field.name: getattr(self.solution, field.name) for field in fields(self.solution)}
            arrays |= {f"solution.{name}": solution.pop(name) for name in _OF_SOLUTION}
            header["solution"] = solution
        archives.save_npz(path, arrays, header=header)

    @staticmethod
    def load(path: str | Path) -> "Trajectory":
        """Read a trajectory that `save` wrote.

        Raises
        ------
        DataError
            If the file is missing or damaged, holds no trajectory, or was written by version 0.1.
        """
        arrays, header = archives.load_npz(path, required=("times", "eigenvalues", "loss"))
        if header.get("format") != FORMAT:
            raise DataError(
                f"{path}: is no trajectory of this version of dynamics, which reads format {FORMAT}; make it again."
            )
        stored = as_record(path, header, _Header)
        check_arrays(path, arrays, _DECLARED)
        declared: dict[str, Any] = {name: getattr(stored, name) for name in ("meta", "outcome", *_IN_HEADER)}
        declared |= {kind: _with_prefix(arrays, f"{kind}.") for kind in _NAMED}
        declared |= {name: arrays[name] for name in _ARRAYS if name in arrays}
        if stored.solution is not None:
            of_modes = _with_prefix(arrays, "solution.")
            if missing := set(_OF_SOLUTION) - set(of_modes):
                raise DataError(f"{path}: lacks `solution.{min(missing)}`; make the file again.")
            declared["solution"] = SolvedModes(**of_modes, **asdict(stored.solution))
        return _consistent(path, declared)


def _consistent(path: str | Path, declared: Mapping[str, Any]) -> Trajectory:
    """The trajectory, if what its shapes cannot say is in order, too."""
    embeddings, tau = declared.get("embeddings"), declared.get("mode_step_times")
    if (embeddings is None) != (declared.get("embedding_times") is None):
        raise DataError(f"{path}: holds `embeddings` or `embedding_times` without the other; make the file again.")
    if tau is not None and np.isnan(tau).any():
        raise DataError(f"{path}: `mode_step_times` has NaN entries; a mode that is never learned is infinite.")
    if not 0 <= declared["test_points"] <= (0 if embeddings is None else embeddings.shape[1]):
        raise DataError(f"{path}: `test_points` is {declared['test_points']}, more than there are embeddings.")
    try:
        return Trajectory(**declared)
    except ValueError as error:
        raise DataError(f"{path}: holds no trajectory ({str(error).splitlines()[0]})") from error


def _with_prefix(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


FORMAT = 2
"""Number of the file format, written into every file; files of version 0.1 have none and are refused."""

_ARRAYS = (
    "times",
    "eigenvalues",
    "loss",
    "covariance",
    "embeddings",
    "embedding_times",
    "steps",
    "mode_step_times",
)
_NAMED = ("hidden", "metrics")
_DECLARED = {  # what diverged, or was not evaluated, is NaN and still to be kept
    "times": ArrayField(Float[np.ndarray, " times"]),
    "eigenvalues": ArrayField(Float[np.ndarray, "times dim"], finite=False),
    "loss": ArrayField(Float[np.ndarray, " times"], finite=False),
    "covariance": ArrayField(Float[np.ndarray, "times dim"], finite=False),
    "embedding_times": ArrayField(Float[np.ndarray, " snapshots"]),
    "embeddings": ArrayField(Float[np.ndarray, "snapshots _ _"], finite=False),
    "steps": ArrayField(Int[np.ndarray, " times"]),
    "mode_step_times": ArrayField(Float[np.ndarray, " _"], finite=False),
    "hidden.*": ArrayField(Float[np.ndarray, "times _"], finite=False),
    "metrics.*": ArrayField(Float[np.ndarray, " times"], finite=False),
    "solution.*": ArrayField(Float[np.ndarray, " modes"]),
}
_IN_HEADER = ("rung", "objective", "num_modes", "truncation_bound", "test_points", "fingerprint")
_OF_SOLUTION = ("targets", "gamma", "correlation")


@dataclass(frozen=True)
class _SolutionHeader:
    """What the header says of a solved model."""

    off_diagonal: float
    source: str
    quantity: str
    loss_name: str


class _Header(msgspec.Struct):
    """The header of a file."""

    format: int
    meta: dict[str, Any]
    outcome: Outcome
    rung: str
    objective: str | None
    num_modes: int | None
    truncation_bound: float | None
    test_points: int
    solution: _SolutionHeader | None = None
    fingerprint: dict[str, str] = {}
