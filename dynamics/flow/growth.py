"""Linear phase of the kernel flow of any objective: modes and rates.

>>> import numpy as np
>>> from dynamics.objectives.growth import barlow_twins_growth
>>> views = np.random.default_rng(0).normal(size=(12, 20))
>>> swap = np.roll(np.eye(12), 6, axis=0)
>>> growth = growth_modes(views @ views.T, barlow_twins_growth(swap))
>>> growth.rates.shape, int((growth.rates > 0).sum())
((12,), 6)
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dynamics.errors import KernelError
from dynamics.modes.factor import semidefinite_factor
from dynamics.support.one_line import one_line
from dynamics.typing import Array, Spectrum, SquareGram


@dataclass(frozen=True, eq=False)
class GrowthModes:
    """The modes of the linear phase that a small start begins with, the fastest first.

    Parameters
    ----------
    rates : array (m,)
        Rates r_j, in units of one over effective time: along mode j the amplitude grows as e^{r_j t} and the eigenvalue
        of C as e^{2 r_j t}. Modes with a negative rate decay.
    functions : array (N, m)
        Mode functions on the training views, with norm 1 in the kernel's function space, φ_iᵀ K̃⁺ φ_j = δ_ij.
    """

    rates: Spectrum
    functions: Float[Array, "views modes"]

    __repr__ = one_line


def growth_modes(kernel_gram: SquareGram, growth: Float[Array, "views views"]) -> GrowthModes:
    """Solve for the modes and rates of the linear flow dF/dt = 2 K̃ B F.

    For Barlow Twins r_j = 4γ_j with the contrastive eigenvalues of `dynamics.modes`.

    Parameters
    ----------
    kernel_gram : array (N, N)
        K̃, positive semi-definite.
    growth : array (N, N)
        Matrix B of the objective, from `dynamics.objectives.growth_matrix`.

    Raises
    ------
    KernelError
        If K̃ has negative eigenvalues beyond rounding, or is zero.
    """
    Phi = semidefinite_factor(kernel_gram).features
    if not Phi.size:
        raise KernelError("The Gram matrix is zero, so there is nothing to learn.")
    rates, W = np.linalg.eigh(2 * Phi.T @ np.asarray(growth, np.float64) @ Phi)
    return GrowthModes(rates[::-1], (Phi @ W)[:, ::-1])
