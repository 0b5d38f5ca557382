"""Read the log of a run from a file or a folder, whichever program wrote it."""

import os
from collections.abc import Callable
from pathlib import Path

from dynamics.diagnosis.dumps import read_dumps
from dynamics.diagnosis.events import holds_events, read_events
from dynamics.diagnosis.log import Log, log_of
from dynamics.diagnosis.tables import Eigenvalues, log_of_rows, read_csv, read_json_lines, read_parquet
from dynamics.errors import DataError
from dynamics.support.files import brief, expanded
from dynamics.trajectories.ladder import LADDER
from dynamics.trajectories.trajectory import Trajectory

_TABLES: dict[str, Callable[[Path], list[dict]]] = {
    ".csv": read_csv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json_lines,
    ".parquet": read_parquet,
}


def read_log(
    path: str | Path, *, eigenvalues: Eigenvalues = "covariance", objective: str | None = None, dim: int | None = None
) -> Log:
    """Read the log of a run.

    Parameters
    ----------
    path : path
        One of: an `.npz` file of a recorder or the folder of a run that has one; `.csv`, `.parquet` or JSON lines with
        a column `step` and `loss`, eigenvalues in numbered columns or in one column of lists; a folder of embeddings
        with the step in the names of its `.npy` files; a TensorBoard event file or a folder of these.
    eigenvalues : {"covariance", "correlation"}
        What the eigenvalues of a table are: of the covariance of the embeddings, or of the cross-correlation of
        partners. Columns that say it themselves keep what they say.
    objective : str, optional
        Name of the objective, if the log does not say it.
    dim : int, optional
        Number of embedding dimensions, if the log does not say it.

    Raises
    ------
    DataError
        If there is no such file, or it holds neither eigenvalues nor losses.
    ConfigError
        If the package that reads this kind of file is not installed.
    """
    path = expanded(path)
    if os.path.isdir(path):
        recorded = [path / "trajectories" / f"{rung.name}.npz" for rung in LADDER if rung.is_measured]
        for file in filter(os.path.isfile, recorded):
            return log_of(Trajectory.load(file))
        if holds_events(path):
            return read_events(path, eigenvalues, objective, dim)
        return read_dumps(path, objective)
    if not os.path.isfile(path):
        raise DataError(f"{brief(path)}: no such file or folder.")
    if path.suffix.lower() == ".npz":
        return log_of(Trajectory.load(path))
    if holds_events(path):
        return read_events(path, eigenvalues, objective, dim)
    if (read := _TABLES.get(path.suffix.lower())) is None:
        raise DataError(
            f"{brief(path)}: is no kind of log; give .npz, {', '.join(_TABLES)}, or a TensorBoard event file."
        )
    return log_of_rows(read(path), str(path), eigenvalues, objective, dim)
