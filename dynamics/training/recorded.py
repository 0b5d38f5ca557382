"""One record of a recorder as numbers by name, which is there when it is looked at.

>>> import numpy as np
>>> from dynamics.training.record import Record
>>> recorded = Recorded(wait=lambda: None)
>>> recorded.made(Record(3, 0.3, 0.5, np.array([0.2, 0.1]), np.array([0.3, 0.1]), {}, {"rankme": 1.9}))
>>> recorded["rankme"], recorded["eigenvalue_1"], sorted(recorded)[0]
(1.9, 0.2, 'eigenvalue_1')
"""

from collections.abc import Callable, Iterator, Mapping

from dynamics.errors import ConfigError
from dynamics.training.record import Record

LOGGED = 16
"""Eigenvalues among the numbers, the largest ones."""


def numbers_of(record: Record) -> dict[str, float]:
    """Loss, metrics and the eigenvalues `eigenvalue_1` and on of a record."""
    eigenvalues = {f"eigenvalue_{j}": float(u) for j, u in enumerate(record.eigenvalues[:LOGGED], start=1)}
    return {"loss": record.loss, **record.metrics, **eigenvalues}


class Recorded(Mapping):  # of [str, float]; run-time checks of types read an item of what says so, and would wait
    """Numbers of a record by name: `loss`, the metrics, `eigenvalue_1` and on.

    A thread makes the record while the training goes on; whoever reads a number before it is made waits for it.

    Parameters
    ----------
    wait : callable
        Function that returns when the records that were begun are made, or raises what kept one from being made.
    """

    def __init__(self, wait: Callable[[], None]):
        self._wait = wait
        self._record: Record | None = None

    def made(self, record: Record) -> None:
        """Take the record, which the thread has made."""
        self._record = record

    def _numbers(self) -> dict[str, float]:
        if self._record is None:
            self._wait()
        if self._record is None:
            raise ConfigError("This record could not be made; what kept it from being made was raised before.")
        return numbers_of(self._record)

    def __getitem__(self, name: str) -> float:
        """Return one number."""
        return self._numbers()[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._numbers())

    def __len__(self) -> int:
        """Return how many numbers there are."""
        return len(self._numbers())

    def __repr__(self) -> str:
        """All numbers, as a dictionary shows them."""
        return repr(self._numbers())
