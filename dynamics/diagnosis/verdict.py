"""Diagnosis: the state of a run in plain words."""

from dataclasses import dataclass
from typing import Literal

State = Literal["diverging", "collapsing", "shrinking", "stepping", "plateau", "converged", "unknown"]


@dataclass(frozen=True)
class Diagnosis:
    """The state of a run at its last record.

    Parameters
    ----------
    state : {"diverging", "collapsing", "shrinking", "stepping", "plateau", "converged", "unknown"}
        `stepping`: a dimension is rising now. `plateau`: no dimension in use rises, but one that is still small grows.
        `converged`: nothing moves any more. `shrinking`: dimensions in use lose variance and nothing grows, which may
        become a collapse. `collapsing`: most variance is lost, or one direction keeps it all. `unknown`: the log does
        not tell.
    step : int
        Training step of the last record.
    sentences : tuple of str
        What is the case, the most important first.
    since : int, optional
        Step since when a collapse or a divergence can be seen.
    learned : int, optional
        Dimensions in use, among `dims`.
    dims : int, optional
        Embedding dimensions d.
    growing : int, optional
        Dimension that is growing, counted from 1.
    rate : float, optional
        Growth of its eigenvalue, per step: 8 γ η under the loss of the theory.
    due : int, optional
        Step at which it is due.
    excess : float, optional
        Learning rate over its stability limit 1/(4 γ₁), where a divergence shows it.
    """

    state: State
    step: int
    sentences: tuple[str, ...]
    since: int | None = None
    learned: int | None = None
    dims: int | None = None
    growing: int | None = None
    rate: float | None = None
    due: int | None = None
    excess: float | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing speaks for a collapse or a divergence."""
        return self.state not in ("diverging", "collapsing")
