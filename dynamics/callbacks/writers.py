"""Where the numbers of a record go while a run is on: to TensorBoard or Weights & Biases, through their own writers.

>>> class Writer:  # has the method of a SummaryWriter
...     def add_scalar(self, name, value, step):
...         print(name, value, step)
>>> tensorboard_log(Writer())(20, {"rankme": 2.5})
spectrum/rankme 2.5 20
"""

from collections.abc import Callable, Mapping
from typing import Any

Log = Callable[[int, Mapping[str, float]], None]
"""Function of a training step and of numbers by name."""

PREFIX = "spectrum/"


def tensorboard_log(writer: Any) -> Log:
    """Log to a `SummaryWriter` of PyTorch or TensorBoardX, which stays open."""

    def log(step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            writer.add_scalar(PREFIX + name, value, step)

    return log


def wandb_log(run: Any) -> Log:
    """Log to a run of Weights & Biases, as `wandb.init` returns it.

    The training step is logged beside the numbers, as `trainer/global_step`, because the run's own step may be ahead.
    """

    def log(step: int, numbers: Mapping[str, float]) -> None:
        run.log({"trainer/global_step": step} | {PREFIX + name: value for name, value in numbers.items()})

    return log
