"""Spectra of a Lightning module, recorded by a callback of its trainer.

Lightning is imported when a callback is made, from `lightning` or `pytorch_lightning`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dynamics.callbacks.torch import embedded
from dynamics.callbacks.writers import PREFIX
from dynamics.errors import ConfigError
from dynamics.training.recorder import SpectrumRecorder
from dynamics.trajectories.outcome import FINISHED, Outcome


def lightning_callback(
    probe: Any,
    steps: Any,
    *,
    embed: Callable[[Any, Any], Any] | None = None,
    path: str | Path | None = None,
    **settings: Any,
) -> Any:
    """Make a Lightning `Callback` that records spectra, and logs the numbers of each record to the trainer's loggers.

    Its `recorder` has the trajectory. The first process of a job records. A checkpoint of Lightning keeps what has been
    recorded.

    Parameters
    ----------
    probe : tensor (2n, …)
        Views in the order x_1 … x_n, x'_1 … x'_n; it follows the module to its device.
    steps : int or sequence of int
        Number of updates of the run, or the steps at which to record, as for `SpectrumRecorder`. Steps are those of
        `trainer.global_step`, which counts the updates of all optimisers.
    embed : callable, optional
        Function module, probe -> embeddings (2n, d), or a mapping with `embeddings` and hidden layers; by default the
        module itself.
    path : path, optional
        File (.npz) for the trajectory, which is written when the training ends, also by an error.
    **settings
        Others of `SpectrumRecorder`, such as `learning_rate`.

    Raises
    ------
    ConfigError
        If Lightning is not installed.
    """
    recorder = SpectrumRecorder(lambda module: embedded(module, probe.to(module.device), embed), steps, **settings)

    class SpectrumCallback(_callback_class()):  # type: ignore[misc]
        """Records when the recorder says that a record is due."""

        def __init__(self) -> None:
            super().__init__()
            self.recorder = recorder

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self._record(trainer, pl_module, np.nan)

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            self._record(trainer, pl_module, _loss(outputs))

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            self._save(trainer, FINISHED)

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            self._save(trainer, Outcome.interrupted(int(trainer.global_step)))

        def state_dict(self) -> dict[str, Any]:
            import torch

            return {name: torch.as_tensor(array) for name, array in recorder.state().items()}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            recorder.restore({name: tensor.numpy() for name, tensor in state_dict.items()})

        def _record(self, trainer: Any, pl_module: Any, loss: Any) -> None:
            step = int(trainer.global_step)
            if not trainer.is_global_zero or not recorder.due(step):
                return
            recorder.record(step, pl_module, loss=loss)
            if trainer.loggers:
                numbers = {PREFIX + name: value for name, value in recorder.latest().items()}
                for logger in trainer.loggers:
                    logger.log_metrics(numbers, step)

        def _save(self, trainer: Any, outcome: Outcome) -> None:
            if path is not None and trainer.is_global_zero:
                recorder.trajectory(outcome=outcome).save(path)

    return SpectrumCallback()


def _callback_class() -> Any:
    for package in ("lightning.pytorch", "pytorch_lightning"):
        try:
            return __import__(package, fromlist=["Callback"]).Callback
        except ImportError:
            continue
    raise ConfigError(
        "A Lightning callback needs Lightning, which is not installed; add it, for example with pip install lightning."
    )


def _loss(outputs: Any) -> Any:
    """The loss among what a training step returned: itself, or `loss` of a mapping; NaN if it returned none."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    return np.nan if loss is None else loss
