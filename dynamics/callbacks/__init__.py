"""The recorder in loops of other libraries: plain PyTorch, Lightning, Flax NNX; and what it writes to their loggers.

No library is imported before its callback is made.
"""

from dynamics.callbacks.flax import nnx_embed
from dynamics.callbacks.lightning import lightning_callback
from dynamics.callbacks.torch import TorchSpectrum
from dynamics.callbacks.writers import Log, tensorboard_log, wandb_log

__all__ = ["Log", "TorchSpectrum", "lightning_callback", "nnx_embed", "tensorboard_log", "wandb_log"]
