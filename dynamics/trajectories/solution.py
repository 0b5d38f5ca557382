"""What a solvable model says of each mode besides its course: where it ends, and which pairs it was solved for."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dynamics.support.one_line import one_line


@dataclass(frozen=True, eq=False)
class SolvedModes:
    """The modes of a solvable model, strongest first.

    Parameters
    ----------
    targets : array (d,)
        Value at which the eigenvalue of each mode ends.
    gamma : array (d,)
        γ_j, covariance of partners along mode j; zero for dimensions without a mode.
    correlation : array (d,)
        ρ_j, correlation of partners along mode j, from 0 to 1.
    off_diagonal : float
        Share of the covariance of single views that lies off the diagonal in the basis of the modes, from 0 to 1. The
        model leaves it out.
    source : str
        The paper that solved the model.
    quantity : str
        What the model's `eigenvalues` are, as the label of an axis.
    loss_name : str
        What its `loss` is, as the label of an axis.
    """

    targets: Float[np.ndarray, " dim"]
    gamma: Float[np.ndarray, " dim"]
    correlation: Float[np.ndarray, " dim"]
    off_diagonal: float = 0.0
    source: str = ""
    quantity: str = "eigenvalues of $C$"
    loss_name: str = r"loss  $\Vert C - I\Vert_F^2$"

    __repr__ = one_line
