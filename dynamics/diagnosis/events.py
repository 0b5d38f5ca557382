"""Logs from TensorBoard, read with its own reader."""

from pathlib import Path
from typing import Any

from dynamics.diagnosis.log import Log
from dynamics.diagnosis.tables import Eigenvalues, log_of_rows
from dynamics.errors import DataError
from dynamics.support.optional import optional

_PATTERN = "*tfevents*"


def holds_events(path: Path) -> bool:
    """Whether a file is a TensorBoard event file, or a folder holds one."""
    return any(path.glob(_PATTERN)) if path.is_dir() else "tfevents" in path.name


def read_events(path: Path, eigenvalues: Eigenvalues, objective: str | None, dim: int | None) -> Log:
    """Scalars of TensorBoard by their tags, such as `train/loss` and `eigenvalue_1`.

    Raises
    ------
    ConfigError
        If tensorboard is not installed.
    DataError
        If the events hold neither losses nor eigenvalues.
    """
    reader = optional("tensorboard.backend.event_processing.event_accumulator", "A log of TensorBoard")
    try:
        events = reader.EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
    except Exception as error:  # the reader raises protobuf's and its own errors for damaged files
        raise DataError(f"{path}: cannot be read as TensorBoard events.") from error
    rows: dict[int, dict[str, Any]] = {}
    for tag in events.Tags()["scalars"]:
        for event in events.Scalars(tag):
            rows.setdefault(event.step, {"step": event.step})[tag] = event.value
    for tag in events.Tags()["tensors"]:
        for event in events.Tensors(tag):
            values = _values(event.tensor_proto)
            if values.ndim < 2:
                rows.setdefault(event.step, {"step": event.step})[tag] = values.tolist()
    if not rows:
        raise DataError(f"{path}: its events hold no scalars.")
    return log_of_rows([rows[step] for step in sorted(rows)], str(path), eigenvalues, objective, dim)


def _values(proto: Any) -> Any:
    return optional("tensorboard.util.tensor_util", "A log of TensorBoard").make_ndarray(proto)
