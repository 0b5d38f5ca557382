"""What a checkpoint keeps of a recorder, as declared types, so that a damaged one is refused before it is used."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dynamics.errors import DataError
from dynamics.support.numbers import real_array
from dynamics.support.schema import ArrayField, check_arrays

_STATE = {
    "steps": ArrayField(Int[np.ndarray, " times"]),
    "times": ArrayField(Float[np.ndarray, " times"]),
    "loss": ArrayField(Float[np.ndarray, " times"], finite=False),
    "eigenvalues": ArrayField(Float[np.ndarray, "times dim"], finite=False),
    "covariance": ArrayField(Float[np.ndarray, "times dim"], finite=False),
    "hidden.*": ArrayField(Float[np.ndarray, "times _"], finite=False),
    "metrics.*": ArrayField(Float[np.ndarray, " times"], finite=False),
    "embeddings": ArrayField(Float[np.ndarray, "snapshots _ _"], finite=False),
    "embedding_records": ArrayField(Int[np.ndarray, " snapshots"]),
    "kernel_at_start": ArrayField(Float[np.ndarray, "_ _"], finite=False),
}


def checked_state(state: Any) -> dict[str, np.ndarray]:
    """The arrays of a recorder's state; `DataError` if they are not what `SpectrumRecorder.state` returns."""
    where = "The records that were kept with the checkpoint"
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise DataError(f"{where}: are no arrays by name; remove the checkpoints and train again.")
    arrays = {name: real_array(array, f"{where}: `{name}`") for name, array in state.items()}
    required = {"steps", "times", "loss", "eigenvalues", "covariance"} if arrays else set()
    if missing := required - set(arrays):
        raise DataError(f"{where}: lack `{min(missing)}`; remove the checkpoints and train again.")
    check_arrays(where, arrays, _STATE)
    if arrays and ((np.diff(arrays["steps"]) <= 0).any() or (np.diff(arrays["times"]) <= 0).any()):
        raise DataError(f"{where}: `steps` and `times` do not ascend; remove the checkpoints and train again.")
    kept, records = arrays.get("embedding_records", np.empty(0)), len(arrays.get("steps", ()))
    if len(kept) != len(arrays.get("embeddings", ())) or (kept < 0).any() or (kept >= records).any():
        raise DataError(f"{where}: `embeddings` are not those of these records; remove the checkpoints.")
    return arrays
