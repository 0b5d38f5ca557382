"""Checkpoints that are whole or absent: one file each, checked by a checksum, bit for bit what was saved.

The file is Flax's msgpack of the state behind a checksum, written beside its place, forced to the disk and renamed.
Orbax would save the same state as a folder of a dozen files. It was tried (0.12.8): on a full disk the earlier
checkpoints survive there, too, but unfinished folders stay behind on the disk that is full, and errors of its event
loop bury the one message that counts. What it alone can do, writing a state that no single host holds, is not needed
where devices share the batch and each has all parameters.
"""

import re
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization

from dynamics.errors import CapacityError, DataError, DivergenceError
from dynamics.support import files
from dynamics.support.beside import Beside
from dynamics.training.sharding import place
from dynamics.training.state import TrainState

EVERY_SECONDS = 60.0
_NAME = re.compile(r"step-(\d+)\.checkpoint")


class Checkpoints:
    """The last states of a run, in a folder of its own.

    Parameters
    ----------
    folder : path
        Folder of the checkpoints. It is created if it is not there.
    every : float
        Seconds between two checkpoints of a running training. Saving takes about a second for each GiB, most of it
        beside the training.
    keep : int
        How many checkpoints stay. With more than one, a damaged file costs some steps and not the run.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """

    def __init__(self, folder: str | Path, *, every: float = EVERY_SECONDS, keep: int = 2):
        self.folder, self.every, self.keep = files.output_folder(folder), every, max(1, keep)
        self._saved, self._writer = time.monotonic(), Beside(1)
        if jax.process_index() == 0:
            files.remove_partial(self.folder)

    def due(self) -> bool:
        """Whether enough time has passed since the last checkpoint."""
        return time.monotonic() - self._saved >= self.every

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, ascending."""
        self._writer.finish()
        return self._steps()

    def _steps(self) -> list[int]:
        return sorted(int(match[1]) for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name)))

    def save(self, state: TrainState, recorder_state: Any = None, *, wait: bool = True) -> None:
        """Keep a state, and drop what is older than the last `keep`.

        Parameters
        ----------
        state : TrainState
            The state to keep; its step names the checkpoint. If there are several processes, the first one writes.
        recorder_state : optional
            What to keep with it: nested dicts and lists of arrays, numbers and strings.
        wait : bool
            Whether to return when the file is on the disk. Otherwise a thread writes it, the state may be changed
            meanwhile, and `wait` raises what keeps it from being written.

        Raises
        ------
        CapacityError
            If the disk is full or the folder can no longer be written; the checkpoints that are there stay.
        DivergenceError
            If a parameter is not finite, and the checkpoint would take the place of a good one.
        """
        self._saved = time.monotonic()  # one that fails is tried again as late as one that does not
        if jax.process_index() > 0:
            return
        # a copy, because on a CPU these arrays are the memory that the next update writes to
        host = jax.tree.map(np.array, jax.device_get(_without_keys(state)))
        self._writer.add(self._write, int(state.step), host, recorder_state)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Return when the checkpoints that were begun are written; raises what `save` raises."""
        self._writer.wait()

    def _write(self, step: int, host: TrainState, recorder_state: Any) -> None:
        if not all(np.isfinite(leaf).all() for leaf in map(_floating, jax.tree.leaves(host.params))):
            raise DivergenceError(f"The parameters of step {step} are not finite; {self._stays()}.")
        content = serialization.msgpack_serialize(
            {"state": serialization.to_state_dict(tuple(host)), "recorder": recorder_state}
        )
        try:
            files.save_bytes(self._path(step), content, durable=True)
        except OSError as error:
            raise CapacityError(
                f"The checkpoint of step {step} could not be written to {self.folder} ({error.strerror}); "
                f"{self._stays()}."
            ) from error
        for old in self._steps()[: -self.keep]:
            self._path(old).unlink(missing_ok=True)

    def latest(self, like: TrainState) -> tuple[TrainState, Any] | None:
        """Return the last state that can be read, with the recorder's state that was kept with it; None without one.

        Parameters
        ----------
        like : TrainState
            An initial state, whose structure, shapes and devices the returned state has too.

        Raises
        ------
        DataError
            If there are checkpoints but none is whole, or they belong to another network or optimiser.
        """
        damaged = ""
        for step in reversed(self.steps()):
            try:
                saved, recorded = _decoded(self._path(step))
            except DataError as error:
                damaged = str(error)
                continue
            state = _restored(saved, like, self._path(step))
            if int(state.step) != step:
                raise DataError(f"{self._path(step)}: holds step {int(state.step)}; it was renamed or is damaged.")
            return state, recorded
        if damaged:
            raise DataError(f"{damaged} No older checkpoint is whole.")
        return None

    def before(self, like: TrainState, step: int) -> tuple[TrainState, Any] | None:
        """Return the last state up to a step, or the earliest that there is, and forget those after it.

        Parameters
        ----------
        like : TrainState
            As in `latest`.
        step : int
            The last step that is wanted.

        Raises
        ------
        DataError
            As in `latest`.
        """
        kept = self.steps()
        last = max((each for each in kept if each <= step), default=min(kept, default=0))
        for later in kept:
            if later > last:
                self._path(later).unlink(missing_ok=True)
        return self.latest(like)

    def clear(self) -> None:
        """Remove all checkpoints."""
        for step in self.steps():
            self._path(step).unlink(missing_ok=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.checkpoint"

    def _stays(self) -> str:
        steps = self._steps()
        return f"the one of step {steps[-1]} stays" if steps else "there is no earlier one"


def _without_keys(state: TrainState) -> TrainState:
    """The state with its key, and those that the network keeps, as plain numbers."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, state)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _floating(leaf: Any) -> np.ndarray:
    """A leaf as numbers that NumPy can test; bfloat16 and its like are none of NumPy's own."""
    leaf = np.asarray(leaf)
    return leaf if leaf.dtype.kind in "fiub" else leaf.astype(np.float32)


def _decoded(path: Path) -> tuple[Any, Any]:
    """State and recorder's state as they were saved, still as plain values."""
    content = bytes(files.load_bytes(path))
    try:
        restored = serialization.msgpack_restore(content)
        return restored["state"], restored["recorder"]
    except Exception as error:  # msgpack, Flax and NumPy each raise their own kinds for bytes that they did not write
        raise DataError(f"{path}: cannot be read ({files.cause(error)}); it is damaged.") from error


def _restored(saved: Any, like: TrainState, path: Path) -> TrainState:
    template = _without_keys(like)
    try:
        state = type(like)(*serialization.from_state_dict(tuple(template), saved))
        fits = _form(state) == _form(template)
    except Exception:  # Flax takes the saved values apart as the network's, whatever they are
        fits = False
    if not fits:
        raise DataError(f"{path}: this checkpoint belongs to another network or optimiser.")
    state = jax.tree.map(_placed, state, template)
    return jax.tree.map(
        lambda leaf, was: jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(was)) if _is_key(was) else leaf,
        state,
        like,
    )


def _form(state: TrainState) -> tuple[Any, list[tuple[Any, ...]]]:
    """Structure, shapes, and which of the leaves count and which measure."""
    return jax.tree.structure(state), [
        (np.shape(leaf), jnp.issubdtype(np.asarray(leaf).dtype, jnp.floating)) for leaf in jax.tree.leaves(state)
    ]


def _placed(value: np.ndarray, like: Any) -> jax.Array:
    """The value on the devices of `like`."""
    return place(np.asarray(value), like.sharding) if isinstance(like, jax.Array) else jnp.asarray(value)
