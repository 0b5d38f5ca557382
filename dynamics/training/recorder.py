"""Spectra of a network while it trains, in any training loop.

>>> import jax.numpy as jnp, numpy as np
>>> from dynamics.training import SpectrumRecorder
>>> probe = jnp.asarray(np.random.default_rng(0).normal(size=(32, 4)))  # n = 16 pairs, x first, then x'
>>> recorder = SpectrumRecorder(lambda W: probe @ W, steps=[0, 1, 2, 4])
>>> W = 0.1 * jnp.ones((4, 3))
>>> for step in range(5):
...     if recorder.due(step):
...         recorded = recorder.record(step, W)  # numbers by name, when they are looked at
...     W = 1.1 * W  # your update
>>> trajectory = recorder.trajectory()
>>> trajectory.steps, trajectory.eigenvalues.shape, sorted(trajectory.metrics)[-1]
(array([0, 1, 2, 4]), (4, 3), 'rankme')
"""

import time as clock
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from dynamics.errors import ConfigError
from dynamics.modes.contrastive import ContrastiveModes
from dynamics.support.beside import Beside
from dynamics.support.foreign import as_array
from dynamics.training.record import EMBEDDINGS, Looked, Record, record_of
from dynamics.training.recorded import Recorded, numbers_of
from dynamics.training.recorder_state import checked_state
from dynamics.trajectories.outcome import FINISHED, Outcome
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array

EMBEDDING_BYTES = 64 * 2**20
_STEPS_A_RECORD = 25  # of the default cadence
_UNFINISHED = 2  # records whose embeddings wait for the host at a time


def recording_steps(steps: int, count: int = 200) -> Int[np.ndarray, " records"]:
    """Steps at which to look: `count` evenly spaced ones, and `count` evenly spaced on a logarithmic axis."""
    even = np.linspace(0, steps, min(count, steps) + 1)
    logarithmic = np.geomspace(1, max(steps, 1), min(count, steps))
    return np.unique(np.concatenate([even, logarithmic]).round().astype(int))


class SpectrumRecorder:
    """Records what a network has learned, direction by direction, on a probe batch that stays the same.

    Each record holds the eigenvalues of the cross-correlation and of the covariance of the embeddings, the spectra of
    hidden layers, and by name the metrics `rankme` (not centred, by definition), `lidar`, `effective_rank`,
    `participation_ratio` and `alpha_req`, with `subspace_overlap` and `kernel_distance`, `kernel_alignment` and
    `kernel_scale` (`dynamics.kernels.Drift`) where modes or a kernel are given. Spectra are computed in float64 on the
    host, by a thread of their own and in the order of the records: `record` returns when the device has been told what
    to embed, and the training goes on meanwhile. What is read of the recorder, such as `trajectory` or `state`, waits
    for the records that are begun.

    Parameters
    ----------
    embed : callable
        Function variables -> embeddings (2n, d) of the probe batch, views in the order x_1 … x_n, x'_1 … x'_n. It may
        also return a mapping with the embeddings under `embeddings` and hidden layers (2n, …) under their names; all
        axes of these but the first and the last (positions of an image) are averaged. They may be arrays of NumPy, JAX
        or PyTorch, or of others with `__dlpack__` or `__array__`. `embed` is not compiled here: wrap it in `jax.jit`.
        With several processes its outputs have to be replicated.
    steps : int or sequence of int
        Steps at which a record is due, ascending. Or the number of training steps, for at most one record in 25 steps
        and 200 in all, half of them evenly and half logarithmically spaced.
    learning_rate : float
        Learning rate η, which sets the unit of time: step k is at effective time η k. For schedules, give `record`
        other times.
    center : bool
        Whether embeddings and hidden layers are taken about their mean over the views, as objectives that centre do.
    kernel : callable, optional
        Function variables -> Gram matrix (a, b) of the network's empirical kernel on a few views, whose drift is
        recorded. Choose the views with the cost in mind: a tangent kernel costs a backward pass for each view and
        output.
    modes : ContrastiveModes, optional
        Modes of a kernel on the probe batch, for the overlap of the top-d subspace of the embeddings with theirs.
    num_eigenvalues : int, optional
        Keep this many of each spectrum, the largest ones; all by default. Metrics always use all of them.
    embedding_bytes : int
        Memory for embeddings, in bytes. They are kept at as many evenly chosen records as fit; give 0 for none.

    Raises
    ------
    ConfigError
        If the steps do not ascend.
    """

    def __init__(
        self,
        embed: Callable[[Any], Array | Mapping[str, Array]],
        steps: int | Sequence[int] | Int[np.ndarray, " records"],
        *,
        learning_rate: float = 1.0,
        center: bool = True,
        kernel: Callable[[Any], Float[Array, "_ _"]] | None = None,
        modes: ContrastiveModes | None = None,
        num_eigenvalues: int | None = None,
        embedding_bytes: int = EMBEDDING_BYTES,
    ):
        if np.ndim(steps) == 0:
            last = int(np.asarray(steps))
            steps = recording_steps(last, min(100, -(-last // (2 * _STEPS_A_RECORD))))
        self.steps = np.asarray(steps, np.int64)
        if self.steps.ndim != 1 or self.steps.size == 0 or (np.diff(self.steps) <= 0).any():
            raise ConfigError("The steps of a recorder must be a list of integers in ascending order.")
        self._due = set(self.steps.tolist())
        self._embed, self._kernel, self._modes = embed, kernel, modes
        self._learning_rate, self._center, self._kept = learning_rate, center, num_eigenvalues
        self._embedding_bytes = embedding_bytes
        self._beside, self._last = Beside(_UNFINISHED), -1  # the last step of which a record was begun
        self._called = self._worked = 0.0
        # what follows belongs to the thread while there is work for it
        self._records: list[Record] = []
        self._embeddings: dict[int, np.ndarray] = {}  # index of the record -> F
        self._kernel_at_start: np.ndarray | None = None

    @property
    def seconds(self) -> float:
        """Time spent on records so far, by callers and by the thread, without waiting for the device."""
        return self._called + self._worked

    def due(self, step: int) -> bool:
        """Whether a record is to be made after this number of updates."""
        return int(step) in self._due and step > self._last

    def record(
        self,
        step: int,
        variables: Any,
        *,
        loss: Any = np.nan,
        time: float | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> Recorded:
        """Record the spectra of the network as it is now.

        Parameters
        ----------
        step : int
            Number of updates made so far, larger than that of the last record.
        variables : pytree
            Argument for `embed` and `kernel`.
        loss : scalar
            Value of the objective, NaN if it is not known.
        time : float, optional
            Effective time, if it is not learning rate × step.
        metrics : mapping, optional
            More numbers to keep by name, such as accuracies of probes. They need not be the same at every record.

        Returns
        -------
        Recorded
            Loss, metrics and eigenvalues by name, for a logger. It waits for them when the first one is read.

        Raises
        ------
        ConfigError
            If the number of embeddings is odd, so that they do not come in pairs, or the modes belong to another number
            of views.
        Exception
            What kept an earlier record from being made.
        """
        if step <= self._last:
            raise ConfigError(f"Step {step} cannot be recorded after step {self._last}.")
        self._beside.check()
        began = clock.perf_counter()
        time = float(step * self._learning_rate if time is None else time)
        kernel = None if self._kernel is None else _own(as_array(self._kernel(variables)))
        numbers = {name: as_array(value) for name, value in (metrics or {}).items()}
        looked = Looked(int(step), time, as_array(loss), self._outputs(variables), kernel, numbers)
        for array in jax.tree.leaves(looked):
            if isinstance(array, jax.Array):
                array.copy_to_host_async()
        self._called += clock.perf_counter() - began
        self._last = int(step)
        recorded = Recorded(self.wait)
        self._beside.add(self._keep, looked, recorded)
        return recorded

    def _keep(self, looked: Looked, recorded: Recorded) -> None:
        """The thread's part of a record."""
        jax.block_until_ready(looked)
        began = clock.perf_counter()
        if self._kernel_at_start is None and looked.kernel is not None:
            self._kernel_at_start = np.asarray(looked.kernel, np.float64)
        settings = {"center": self._center, "modes": self._modes, "kept": self._kept}
        record = record_of(looked, kernel_at_start=self._kernel_at_start, **settings)
        F, index = np.asarray(looked.outputs[EMBEDDINGS]), len(self._records)
        if index in self._snapshots(F.nbytes):
            self._embeddings[index] = F
        self._records.append(record)
        recorded.made(record)
        self._worked += clock.perf_counter() - began

    def wait(self) -> None:
        """Return when the records that were begun are made, or raise what kept one from being made."""
        self._beside.wait()

    def latest(self, *, wait: bool = True) -> dict[str, float]:
        """The last record as numbers by name, for a logger: loss, metrics and the eigenvalues `eigenvalue_1` and on.

        It waits for the record that was begun last, or takes the last one that is made, and is empty before the first.
        """
        if wait:
            self.wait()
        return numbers_of(self._records[-1]) if self._records else {}

    def describe(self) -> str:
        """The effective rank of the last record that is made, in words for a progress bar; empty before the first."""
        rank = self.latest(wait=False).get("effective_rank", np.nan)
        return f"effective rank {rank:.1f}" if np.isfinite(rank) else ""

    def trajectory(
        self,
        meta: Mapping[str, Any] | None = None,
        *,
        rung: str = "network",
        outcome: Outcome = FINISHED,
        objective: str | None = None,
    ) -> Trajectory:
        """Return what has been recorded so far.

        Parameters
        ----------
        meta, rung, outcome, objective
            Values of the fields of `Trajectory` that have these names. Without an outcome, the run counts as finished.
        """
        self.wait()
        records, kept = self._records, self._embeddings
        return Trajectory(
            times=np.array([record.time for record in records]),
            eigenvalues=_stacked([record.eigenvalues for record in records]),
            loss=np.array([record.loss for record in records]),
            covariance=_stacked([record.covariance for record in records]),
            embeddings=np.stack(list(kept.values())) if kept else None,
            embedding_times=np.array([records[index].time for index in kept]) if kept else None,
            meta=dict(meta or {}),
            steps=np.array([record.step for record in records], np.int64),
            hidden={
                name: _stacked([record.hidden[name] for record in records])
                for name in (records[0].hidden if records else ())
            },
            metrics={
                name: np.array([record.metrics.get(name, np.nan) for record in records])
                for name in dict.fromkeys(name for record in records for name in record.metrics)
            },
            rung=rung,
            outcome=outcome,
            objective=objective,
        )

    def state(self) -> dict[str, np.ndarray]:
        """Return all records as plain arrays by name, for a checkpoint; empty before the first record."""
        trajectory = self.trajectory()
        if not self._records:
            return {}
        state = {name: getattr(trajectory, name) for name in ("steps", "times", "loss", "eigenvalues", "covariance")}
        state |= {f"hidden.{name}": spectra for name, spectra in trajectory.hidden.items()}
        state |= {f"metrics.{name}": values for name, values in trajectory.metrics.items()}
        if self._embeddings:
            state |= {"embeddings": trajectory.embeddings, "embedding_records": np.array(list(self._embeddings))}
        if self._kernel_at_start is not None:
            state["kernel_at_start"] = self._kernel_at_start
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned, in place of anything recorded here.

        Raises
        ------
        DataError
            If the state is not what `state` returns.
        """
        self.wait()
        arrays = checked_state(state)
        hidden = {name.removeprefix("hidden."): a for name, a in arrays.items() if name.startswith("hidden.")}
        metrics = {name.removeprefix("metrics."): a for name, a in arrays.items() if name.startswith("metrics.")}
        self._records = [
            Record(
                int(step),
                float(arrays["times"][i]),
                float(arrays["loss"][i]),
                arrays["eigenvalues"][i],
                arrays["covariance"][i],
                {name: spectra[i] for name, spectra in hidden.items()},
                {name: float(values[i]) for name, values in metrics.items()},
            )
            for i, step in enumerate(arrays.get("steps", ()))
        ]
        kept = arrays.get("embedding_records", ())
        self._embeddings = {int(index): arrays["embeddings"][i] for i, index in enumerate(kept)}
        self._kernel_at_start = arrays.get("kernel_at_start")
        self._last = self._records[-1].step if self._records else -1

    def _outputs(self, variables: Any) -> dict[str, Array]:
        """Embeddings and hidden layers as matrices (2n, k), which are no one else's."""
        outputs = self._embed(variables)
        outputs = dict(outputs) if isinstance(outputs, Mapping) else {EMBEDDINGS: outputs}
        if EMBEDDINGS not in outputs:
            raise ConfigError(f"The recorder's embed returned {sorted(outputs)}; one of them must be {EMBEDDINGS!r}.")
        outputs = {name: as_array(array) for name, array in outputs.items()}
        views = len(outputs[EMBEDDINGS])
        if views % 2:
            raise ConfigError(f"The recorder got embeddings of {views} views; give both views of every pair.")
        if self._modes is not None and views != 2 * self._modes.num_pairs:
            raise ConfigError(
                f"The recorder's modes belong to {2 * self._modes.num_pairs} views and its embeddings to {views}; "
                "solve for the modes on the probe batch."
            )
        on_device = {name: array for name, array in outputs.items() if not isinstance(array, np.ndarray)}
        pooled = _pooled_on_device({name: jnp.asarray(array) for name, array in on_device.items()})
        return {name: pooled[name] if name in pooled else _pooled(array) for name, array in outputs.items()}

    def _snapshots(self, nbytes: int) -> set[int]:
        """Records whose embeddings are kept, the first and the last among them."""
        count = min(self.steps.size, self._embedding_bytes // max(nbytes, 1))
        return set(np.linspace(0, self.steps.size - 1, count).round().astype(int).tolist())


def _pooled(array: Array) -> Array:
    """(2n, …, k) -> (2n, k) in at least float32."""
    return array.mean(axis=tuple(range(1, array.ndim - 1)), dtype=jnp.promote_types(array.dtype, np.float32))


@jax.jit
def _pooled_on_device(arrays: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """All of them by one program, in memory of their own: the network's may be used again before they are read."""
    return jax.tree.map(jnp.copy, {name: _pooled(array) for name, array in arrays.items()})


def _own(array: Any) -> Array:
    """The array in memory of its own."""
    return jnp.copy(array) if isinstance(array, jax.Array) else np.array(array)


def _stacked(rows: list[np.ndarray]) -> np.ndarray:
    return np.stack(rows) if rows else np.empty((0, 0))
