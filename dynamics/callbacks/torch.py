"""Spectra of a PyTorch network: a hook on its optimiser counts the updates and records when a record is due.

Nothing here imports PyTorch at the top, so that the package can be used without it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from dynamics.callbacks.writers import Log
from dynamics.training.recorder import SpectrumRecorder
from dynamics.trajectories.trajectory import Trajectory


class TorchSpectrum:
    """Records the spectra of a PyTorch network on a probe batch that stays the same.

    The network embeds the probe batch without gradients and in evaluation mode, so that nothing is dropped and no
    running mean is changed; then each of its modules goes back to its mode.

    Parameters
    ----------
    model : torch.nn.Module
        The network, on any device.
    probe : tensor (2n, …)
        Views in the order x_1 … x_n, x'_1 … x'_n, on the device of the network.
    steps : int or sequence of int
        Number of updates of the run, or the steps at which to record, as for `SpectrumRecorder`.
    embed : callable, optional
        Function model, probe -> embeddings (2n, d), or a mapping with `embeddings` and hidden layers; by default the
        model itself. PyTorch's feature maps have their channels first: average them over their positions.
    log : callable, optional
        Function of step and numbers that is called after each record, such as `tensorboard_log(writer)`.
    **settings
        Others of `SpectrumRecorder`, such as `learning_rate`.
    """

    def __init__(
        self,
        model: Any,
        probe: Any,
        steps: Any,
        *,
        embed: Callable[[Any, Any], Any] | None = None,
        log: Log | None = None,
        **settings: Any,
    ):
        self.recorder = SpectrumRecorder(lambda network: embedded(network, probe, embed), steps, **settings)
        """The recorder, with its `state` for checkpoints."""
        self.updates = 0
        """Number of updates made so far; set it when a run goes on from a checkpoint."""
        self._model, self._log = model, log

    def attach(self, optimizer: Any) -> Any:
        """Record from now on after updates of this optimiser; the handle that is returned has `remove`.

        The state before the first update is recorded at once.
        """
        self._record(np.nan)
        return optimizer.register_step_post_hook(lambda *_: self.update())

    def update(self, loss: Any = np.nan) -> None:
        """Count an update and record if a record is due; call it yourself in place of `attach` to record the loss."""
        self.updates += 1
        self._record(loss)

    def trajectory(self, meta: Mapping[str, Any] | None = None) -> Trajectory:
        """What has been recorded so far, to be saved, drawn or diagnosed."""
        return self.recorder.trajectory(meta)

    def _record(self, loss: Any) -> None:
        if not self.recorder.due(self.updates):
            return
        self.recorder.record(self.updates, self._model, loss=loss)
        if self._log is not None:
            self._log(self.updates, self.recorder.latest())


def embedded(model: Any, probe: Any, embed: Callable[[Any, Any], Any] | None = None) -> Any:
    """What a network makes of the probe batch, without gradients and in evaluation mode."""
    import torch

    with torch.no_grad(), evaluation_mode(model):
        return model(probe) if embed is None else embed(model, probe)


@contextmanager
def evaluation_mode(model: Any) -> Iterator[None]:
    """Switch a network to evaluation, and each of its modules back to the mode in which it was."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
