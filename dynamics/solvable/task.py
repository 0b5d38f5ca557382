"""What a linear model sees of positive pairs: the strength and the variance of every contrastive mode, and its start.

>>> import numpy as np
>>> from dynamics.modes import contrastive_modes
>>> views = np.random.default_rng(0).normal(size=(12, 20))
>>> task = Task.of(contrastive_modes(views @ views.T), 1e-3 * np.ones((12, 2)))
>>> task.dim, bool((task.correlation <= 1).all())
(2, True)

In the basis of the mode functions φ_j, orthonormal in the kernel's own inner product, the covariance of partners is
Γ = diag(γ). The models of this package also need the covariance Σ = φᵀφ/2n of single views to be diagonal there. Real
pairs satisfy that only roughly: `off_diagonal` says how roughly, and the models use the diagonal v.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dynamics.flow.closed_form import initial_correlations
from dynamics.modes import ContrastiveModes
from dynamics.support.one_line import one_line
from dynamics.trajectories.solution import SolvedModes
from dynamics.typing import Array, Embedding, Spectrum


@dataclass(frozen=True, eq=False)
class Task:
    """Modes to be learned by d outputs, strongest first.

    Parameters
    ----------
    eigenvalues : array (m,)
        Covariances γ_j of partners along mode j, descending.
    variance : array (m,)
        Variances v_j ≥ |γ_j| of single views along mode j.
    coordinates : array (m, d)
        The initial function in mode coordinates, a(0).
    weights : array (d,)
        The part s_j(0) ≥ 0 of the initial function that grows into mode j; zero where there are fewer than d modes.
    off_diagonal : float
        Share of ‖Σ‖_F² of the top d modes that lies off the diagonal, from 0 to 1.
    """

    eigenvalues: Spectrum
    variance: Spectrum
    coordinates: Float[Array, "modes dim"]
    weights: Float[Array, " dim"]
    off_diagonal: float = 0.0

    __repr__ = one_line

    @staticmethod
    def of(modes: ContrastiveModes, initial_embeddings: Embedding) -> "Task":
        """Make the task from contrastive modes and the embeddings (2n, d) of the training views before training."""
        dim = initial_embeddings.shape[1]
        top = modes.on_views[:, :dim]
        Sigma = top.T @ top / top.shape[0]
        gamma = np.pad(modes.eigenvalues[:dim], (0, max(0, dim - len(modes))))
        u0 = initial_correlations(modes, initial_embeddings)
        return Task(
            eigenvalues=modes.eigenvalues,
            variance=np.square(modes.on_views).mean(axis=0),
            coordinates=modes.coordinates(initial_embeddings),
            weights=np.sqrt(u0 / np.where(gamma == 0, 1.0, gamma)),
            off_diagonal=float(1.0 - np.square(np.diag(Sigma)).sum() / np.square(Sigma).sum()),
        )

    @property
    def dim(self) -> int:
        """Number of outputs d."""
        return self.coordinates.shape[1]

    @property
    def strength(self) -> Float[np.ndarray, " dim"]:
        """γ_j of the d strongest modes; zero where there are none, or where partners disagree (γ_j < 0)."""
        return np.maximum(self._top(self.eigenvalues), 0.0)

    @property
    def correlation(self) -> Float[np.ndarray, " dim"]:
        """ρ_j = γ_j/v_j of the d strongest modes, the correlation of partners, from 0 to 1."""
        variance = self._top(self.variance)
        return np.divide(self.strength, variance, out=np.zeros(self.dim), where=variance > 0)

    def solved(self, targets: Float[np.ndarray, " dim"], **labels: str) -> SolvedModes:
        """Describe these modes for a model that ends at `targets`; `labels` are the texts that `SolvedModes` takes."""
        return SolvedModes(targets, self.strength, self.correlation, self.off_diagonal, **labels)

    def _top(self, values: np.ndarray) -> np.ndarray:
        return np.pad(values[: self.dim], (0, max(0, self.dim - values.size)))
