"""Restricted contrastive eigenproblem: the functions of a class on which partners agree, in their order.

A class of functions f = Wψ with features ψ (any fixed map of a view to p numbers) sees a distribution of positive pairs
through two matrices, C₀ = E ψ(x)ψ(x)ᵀ and C₊ = sym E ψ(x)ψ(x⁺)ᵀ. Its modes solve

    C₊ v = μ C₀ v ,    vᵀ C₀ v = 1 ,

and φ = vᵀψ is a function of unit second moment on which partners differ by δ = E (φ(x) − φ(x⁺))² = 2(1 − μ). The class
decides which modes exist: all functions of two disconnected clusters contain one with μ = 1 that tells them apart, a
class that cannot separate them does not (HaoChen & Ma 2023, Sections 3 and 4).

>>> import numpy as np
>>> from dynamics.modes.restricted import pair_moments, restricted_modes
>>> views = np.random.default_rng(0).normal(size=(40, 3))
>>> x, x_prime = views.copy(), views.copy()
>>> x_prime[:, 2] *= -1                                 # partners agree on two of three coordinates
>>> restricted_modes(pair_moments(np.concatenate([x, x_prime]))).eigenvalues.round(6)
array([ 1.,  1., -1.])

`contrastive_modes` weighs modes by how much a kernel favours them; here only their being in the class counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float

from dynamics.errors import CollapseError, KernelError
from dynamics.modes.factor import semidefinite_factor
from dynamics.support.one_line import one_line
from dynamics.typing import Array, Spectrum

_ROUNDING = 1e-6  # how far above 1 the agreement of a unit function may come out


@dataclass(frozen=True, eq=False)
class PairMoments:
    """All that a class linear in its features sees of a distribution of positive pairs; exact or of a sample.

    Parameters
    ----------
    second : array (p, p)
        C₀ = E ψψᵀ over single views.
    pair : array (p, p)
        C₊ = sym E ψ(x)ψ(x⁺)ᵀ.
    mean : array (p,), optional
        E ψ, which centring needs.

    Raises
    ------
    KernelError
        If the shapes do not belong together, or an entry is NaN or infinite.
    """

    second: Float[np.ndarray, "features features"]
    pair: Float[np.ndarray, "features features"]
    mean: Float[np.ndarray, " features"] | None = None

    __repr__ = one_line

    def __post_init__(self) -> None:
        for name in ("second", "pair"):
            matrix = np.asarray(getattr(self, name), np.float64)
            if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
                raise KernelError(f"`{name}` has shape {matrix.shape}; give a square matrix of finite numbers.")
            object.__setattr__(self, name, (matrix + matrix.T) / 2)
        if self.pair.shape != self.second.shape:
            raise KernelError(f"`pair` has shape {self.pair.shape} and `second` {self.second.shape}; give one size.")
        if self.mean is not None:
            object.__setattr__(self, "mean", np.asarray(self.mean, np.float64))

    def __len__(self) -> int:
        """Return the number of features p."""
        return len(self.second)

    def centred(self) -> "PairMoments":
        """Moments about the mean: the constant mode is gone.

        Raises
        ------
        KernelError
            If the mean was not given.
        """
        if self.mean is None:
            raise KernelError("These moments come without the mean of the features, so they cannot be centred.")
        outer = np.outer(self.mean, self.mean)
        return PairMoments(self.second - outer, self.pair - outer, np.zeros_like(self.mean))

    @staticmethod
    def average(parts: Sequence["PairMoments"], weights: Sequence[float] | np.ndarray | None = None) -> "PairMoments":
        """Moments of a mixture, such as of samples that came in batches, with equal weights by default."""
        shares = np.full(len(parts), 1.0) if weights is None else np.asarray(weights, np.float64)
        shares = shares / shares.sum()
        known = all(part.mean is not None for part in parts)
        return PairMoments(
            sum(w * part.second for w, part in zip(shares, parts, strict=True)),
            sum(w * part.pair for w, part in zip(shares, parts, strict=True)),
            sum(w * part.mean for w, part in zip(shares, parts, strict=True)) if known else None,
        )


def pair_moments(
    features: Float[Array, "views features"], *, graph: Float[Array, "views views"] | None = None
) -> PairMoments:
    """Moments of a sample of pairs, or of all views of a relation graph.

    Parameters
    ----------
    features : array (2n, p)
        Features ψ of the views in the order x_1 … x_n, x'_1 … x'_n; (N, p) with a graph.
    graph : array (N, N), optional
        Relation G: partners are drawn with probability G_ij/Σ_ij G_ij, single views by their degree. With a graph on
        all possible views the moments are exact.

    Raises
    ------
    KernelError
        If the features are not finite, their number is odd, or the graph does not fit them.
    """
    Psi = np.asarray(features, np.float64)
    N = len(Psi)
    if Psi.ndim != 2 or not np.isfinite(Psi).all():
        raise KernelError(f"Features of shape {Psi.shape} must be finite, with one row for each view.")
    if graph is None:
        if N % 2 or N == 0:
            raise KernelError(f"There are {N} rows of features; give one for each of the 2n views of n pairs.")
        weights = np.full(N, 1 / N)
        partners = Psi[np.arange(N) - N // 2] / N
    else:
        G = np.asarray(graph, np.float64)
        if G.shape != (N, N):
            raise KernelError(f"The graph has shape {G.shape}, but there are {N} rows of features; give (N, N).")
        weights = G.sum(axis=1) / G.sum()
        partners = G @ Psi / G.sum()
    return PairMoments(Psi.T @ (weights[:, None] * Psi), Psi.T @ partners, weights @ Psi)


@dataclass(frozen=True, eq=False)
class RestrictedModes:
    """Eigenpairs of the restricted problem, best agreement first.

    Parameters
    ----------
    eigenvalues : array (m,)
        μ in [−1, 1], descending: the correlation of partners, E φ(x)φ(x⁺) at E φ² = 1.
    weights : array (p, m)
        V with VᵀC₀V = I and VᵀC₊V = diag μ; column j gives the mode function φ_j = v_jᵀψ.
    """

    eigenvalues: Spectrum
    weights: Float[np.ndarray, "features modes"]

    __repr__ = one_line

    def __len__(self) -> int:
        """Return the number of modes m, which is the number of independent functions in the class."""
        return self.eigenvalues.size

    @property
    def discrepancies(self) -> Spectrum:
        """δ = 2(1 − μ), ascending: the mean squared difference of partners along each mode."""
        return 2 * (1 - self.eigenvalues)

    def discrepancy(self, dim: int) -> float:
        """φ_m = (2/m) Σ_{j≤m} (1 − μ_j): the least mean discrepancy of m orthonormal functions of the class.

        This is the quantity of HaoChen & Ma (2023), Table 1, in the normalisation E f fᵀ = I/m of that table. It never
        falls with m.

        Raises
        ------
        CollapseError
            If the class has fewer functions.
        """
        self.require(dim)
        return float(self.discrepancies[:dim].mean())

    def functions(self, features: Float[Array, "points features"]) -> Float[np.ndarray, "points modes"]:
        """Mode functions at points with features (b, p)."""
        return np.asarray(features, np.float64) @ self.weights

    def coordinates(
        self, weights: Float[Array, "dim features"], moments: PairMoments
    ) -> Float[np.ndarray, "dim modes"]:
        """B = W C₀ V (d, m), so that Wψ = Bφ on the views: mode j of output i has the amplitude B_ij."""
        return np.asarray(weights, np.float64) @ moments.second @ self.weights

    def require(self, dim: int) -> None:
        """Raise `CollapseError` unless 1 ≤ dim ≤ m."""
        if not 1 <= dim <= len(self):
            raise CollapseError(
                f"dim is {dim}, but this class has {len(self)} independent functions on these views; choose between 1 "
                f"and {len(self)}, or a larger class."
            )


def restricted_modes(
    moments: PairMoments, *, num_modes: int | None = None, tolerance: float | None = None
) -> RestrictedModes:
    """Solve C₊v = μC₀v on the range of C₀.

    Parameters
    ----------
    moments : PairMoments
        Moments, exact or of a sample. Give `moments.centred()` to keep to functions of mean zero.
    num_modes : int, optional
        Keep this many modes, those of the largest eigenvalues; all of them by default.
    tolerance : float, optional
        Entries of C₀ below this share of the largest are rounding, and directions that have no others are left out. By
        default `dynamics.modes.factor` finds it from C₀. Give about 1e-6 for features computed in float32, whose
        rounding does not show in C₀.

    Raises
    ------
    KernelError
        If C₀ is zero or has negative eigenvalues, or partners agree beyond 1, which no two views of the same
        distribution can.
    CollapseError
        If there are fewer modes than `num_modes`.
    """
    T = semidefinite_factor(moments.second, precision=tolerance, name="second moment of the features").duals
    if not T.size:
        raise KernelError("The second moment of the features is zero, so the class has no function but zero.")
    mu, W = scipy.linalg.eigh(T.T @ moments.pair @ T)
    if np.abs(mu).max() > 1 + _ROUNDING:
        raise KernelError(
            f"Partners agree by {np.abs(mu).max():.6g} along a function of unit size, more than 1; the two moments "
            "are not of the same pairs."
        )
    mu, V = mu[::-1], T @ W[:, ::-1]
    largest = np.abs(V).argmax(axis=0)
    V = V * np.where(V[largest, range(V.shape[1])] < 0, -1.0, 1.0)  # two runs give the same signs
    modes = RestrictedModes(mu, V)
    if num_modes is not None:
        modes.require(num_modes)
        modes = RestrictedModes(mu[:num_modes], V[:, :num_modes])
    return modes
