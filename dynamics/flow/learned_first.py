"""Which functions an objective learns first, and at what rate, on the views of a kernel.

Where embeddings leave a small start exponentially the answer is the growth matrix. A loss by cosine has no small start
at zero; its answer is that of a common direction of all embeddings. Where the answer of neither kind exists, the law
of escape says why (`dynamics.objectives.escape`).

>>> import numpy as np
>>> views = np.random.default_rng(0).normal(size=(12, 20))
>>> first = learned_first("lejepa", views @ views.T / 20, dim=4)
>>> first.law, bool(first.modes.rates[0] > 0)
('exponential', True)
"""

from dataclasses import dataclass

import numpy as np

from dynamics.errors import ConfigError
from dynamics.flow.growth import GrowthModes, growth_modes
from dynamics.objectives.escape import Law, direction_growth, escape_law
from dynamics.objectives.growth import growth_matrix
from dynamics.objectives.registry import get_objective
from dynamics.support.one_line import one_line
from dynamics.typing import SquareGram


@dataclass(frozen=True, eq=False)
class LearnedFirst:
    """What an objective learns first.

    Parameters
    ----------
    law : str
        How the objective leaves a small start: `exponential`, or `direction` for a loss by cosine.
    about : str
        The start from which the modes grow: `zero`, or `direction` for a common direction of all embeddings.
    modes : GrowthModes
        Rates, the fastest first, and mode functions.
    """

    law: Law
    about: str
    modes: GrowthModes

    __repr__ = one_line


def learned_first(
    objective: str, kernel_gram: SquareGram, *, dim: int = 1, length: float = 1.0, **settings: float | int
) -> LearnedFirst:
    """Modes and rates of the first phase of an objective.

    Parameters
    ----------
    objective : str
        Name of one of `dynamics.objectives.OBJECTIVES`.
    kernel_gram : array (N, N)
        K̃ among the views in the order x_1 … x_n, x'_1 … x'_n.
    dim : int
        Number of outputs d.
    length : float
        Length of the common direction, for losses by cosine.
    **settings : float or int
        Settings of the objective.

    Raises
    ------
    ConfigError
        If the objective has neither a growth matrix nor one from a common direction; the message says what it does.
    """
    law, record = escape_law(objective, dim=max(dim, 2), **settings), get_objective(objective)
    N = len(np.asarray(kernel_gram))
    if law.law == "exponential":
        return LearnedFirst(
            law.law, "zero", growth_modes(kernel_gram, growth_matrix(objective, N, dim=dim, **settings))
        )
    if law.law == "direction" and not record.takes_targets:
        B = direction_growth(objective, N, length=length, **settings)
        return LearnedFirst(law.law, "direction", growth_modes(kernel_gram, B))
    raise ConfigError(
        f"Objective {objective} has no rates at which modes leave a small start: {_REASONS[law.law]}"
        f"{' Its predictor is a state of its own: see `teacher_flow`.' if record.takes_targets else ''}"
    )


_REASONS = {
    "algebraic": "it leaves zero algebraically, by a saddle of higher order.",
    "finite time": "its force does not vanish at zero, so it leaves zero in finite time.",
    "inward": "its force points inwards at zero and shrinks the embeddings unless they start above a barrier.",
    "direction": "it sees directions alone.",
}
