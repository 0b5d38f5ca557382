"""Logs in tables: rows with a step, a loss and eigenvalues under names that people use.

>>> rows = [{"step": 0, "train/loss": 3.1, "eig_1": 0.2, "eig_2": 0.1}, {"step": 10, "train/loss": 2.0}]
>>> log = log_of_rows(rows, "a table")
>>> log.steps, log.covariance
(array([0]), array([[0.2, 0.1]]))
"""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from dynamics.diagnosis.log import Log
from dynamics.errors import DataError
from dynamics.support.optional import optional

Eigenvalues = Literal["covariance", "correlation"]

STEP_NAMES = ("step", "global_step", "iteration", "iter", "update", "_step", "trainer/global_step")
MOST_STEPS = 2**53  # the largest integers that a float tells apart
_NUMBERED = re.compile(r"(?:^|[/_. ])(eigenvalues?|eig|lambda|covariance|correlation|cross_correlation)[/_. ]?(\d+)$")
_LISTED = re.compile(r"(?:^|[/_. ])(eigenvalues|covariance|correlation|spectrum)$")
_LOSS = re.compile(r"(?:^|[/_. ])loss(?:_step)?$")


def read_csv(path: Path) -> list[dict[str, Any]]:
    """Rows of a CSV file with a header."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is no table in CSV ({error}).") from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Rows of JSON lines, or of one JSON list."""
    try:
        content = path.read_bytes()
        if content.lstrip().startswith(b"["):
            return msgspec.json.decode(content, type=list[dict[str, Any]])
        return msgspec.json.Decoder(dict[str, Any]).decode_lines(content)
    except msgspec.MsgspecError as error:
        raise DataError(f"{path}: does not hold one JSON object a line ({error}).") from error


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """Rows of a Parquet file.

    Raises
    ------
    ConfigError
        If pyarrow is not installed.
    """
    parquet, arrow = optional("pyarrow.parquet", "A Parquet file"), optional("pyarrow", "A Parquet file")
    try:
        return parquet.read_table(path).to_pylist()
    except arrow.ArrowException as error:
        raise DataError(f"{path}: is no Parquet file ({str(error).splitlines()[0]}).") from error


def log_of_rows(
    rows: Sequence[Mapping[str, Any]],
    source: str,
    eigenvalues: Eigenvalues = "covariance",
    objective: str | None = None,
    dim: int | None = None,
) -> Log:
    """The log that rows of a table are.

    Rows without eigenvalues are left out if others have them; a loss that was logged between two spectra counts for
    the later one.

    Parameters
    ----------
    rows : sequence of mappings
        Column -> value. Empty text is a missing value.
    source : str
        Where the rows come from, for messages.
    eigenvalues, objective, dim
        As in `read_log`.

    Raises
    ------
    DataError
        If no column is a step, or none is a loss or eigenvalues.
    """
    names = list(dict.fromkeys(name for row in rows for name in row if isinstance(name, str)))
    step_name = next((name for name in STEP_NAMES if name in names), None)
    if step_name is None:
        raise DataError(f"{source}: has no column of steps; one of its columns {_some(names)} must be called step.")
    loss_name = next((name for name in names if _LOSS.search(name.lower())), None)
    kind, columns, listed = _eigenvalue_columns(names, eigenvalues)
    steps, spectra, losses, loss = [], [], [], np.nan
    for row in rows:
        if (value := _number(row.get(loss_name), source, loss_name)) is not None:
            loss = value
        step = _step(row.get(step_name), source)
        spectrum = _spectrum(row, columns, listed, source)
        if step is None or (spectrum is None and (columns or listed)):
            continue
        steps.append(step)
        losses.append(loss)
        spectra.append(spectrum)
    if loss_name is None and not columns and listed is None:
        raise DataError(f"{source}: has neither losses nor eigenvalues among its columns {_some(names)}.")
    if not steps:
        raise DataError(f"{source}: has no row with a step and what belongs to it.")
    first = np.unique(np.array(steps, np.int64), return_index=True)[1]  # a step that was logged twice counts once
    values = _stacked(spectra, source)[first] if columns or listed else None
    return Log(
        np.array(steps, np.int64)[first],
        values if kind == "covariance" else None,
        values if kind == "correlation" else None,
        np.array(losses)[first] if loss_name else None,
        dim,
        objective,
    )


def _eigenvalue_columns(names: list[str], default: Eigenvalues) -> tuple[Eigenvalues, list[str], str | None]:
    """What the eigenvalues are, and where: numbered columns in their order, or one column of lists."""
    found: dict[str, dict[int, str]] = {}
    for name in names:
        if match := _NUMBERED.search(name.lower()):
            found.setdefault(match[1], {})[int(match[2])] = name
    if found:
        word = next((word for word in found if word == "covariance"), next(iter(found)))
        return _kind(word, default), [found[word][i] for i in sorted(found[word])], None
    listed = {match[1]: name for name in names if (match := _LISTED.search(name.lower()))}
    if not listed:
        return default, [], None
    word = "covariance" if "covariance" in listed else next(iter(listed))
    return _kind(word, default), [], listed[word]


def _kind(word: str, default: Eigenvalues) -> Eigenvalues:
    if "correlation" in word:
        return "correlation"
    return "covariance" if word == "covariance" else default


def _spectrum(row: Mapping[str, Any], columns: list[str], listed: str | None, source: str) -> list[float] | None:
    if listed is not None:
        values = row.get(listed)
        if values is None or values == "":
            return None
        try:
            listed_values = msgspec.json.decode(values, type=list) if isinstance(values, str) else list(values)
        except (msgspec.MsgspecError, TypeError) as error:
            raise DataError(f"{source}: column {listed} holds {str(values)[:40]!r}, which is no list.") from error
        return [_finite_or_nan(value, source, listed) for value in listed_values]
    values = [_number(row.get(name), source, name) for name in columns]
    return None if not columns or any(value is None for value in values) else values


def _finite_or_nan(value: Any, source: str, name: str) -> float:
    number = _number(value, source, name)
    return np.nan if number is None else number


def _number(value: Any, source: str, name: str | None) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{source}: column {name} holds {str(value)[:40]!r}, which is no number.") from error


def _step(value: Any, source: str) -> int | None:
    number = _number(value, source, "step")
    if number is not None and not abs(number) < MOST_STEPS:
        raise DataError(f"{source}: holds the step {str(value)[:40]}, which is no number of updates.")
    return None if number is None else int(number)


def _stacked(spectra: list[list[float]], source: str) -> np.ndarray:
    if len({len(spectrum) for spectrum in spectra}) > 1:
        raise DataError(f"{source}: its records have different numbers of eigenvalues.")
    values = np.array(spectra, np.float64)
    return -np.sort(-values, axis=1)


def _some(names: list[str]) -> str:
    return f"({', '.join(names[:8])}{', …' if len(names) > 8 else ''})"
