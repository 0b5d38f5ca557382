"""Contrastive modes: what a kernel and a set of positive pairs let a network learn, in the order it learns it.

>>> import numpy as np
>>> from dynamics.modes.contrastive import contrastive_modes
>>> views = np.random.default_rng(0).normal(size=(12, 20))  # n = 6 pairs, x first, then x'
>>> modes = contrastive_modes(views @ views.T)
>>> modes.eigenvalues.shape, modes.num_positive
((12,), 6)

With n pairs, X̃ = (x_1 … x_n, x'_1 … x'_n), Gram matrix K̃ (2n × 2n) and J the swap of the two halves, the modes solve

    (1/2n) J K̃ v_j = γ_j v_j ,    v_iᵀ K̃ v_j = δ_ij ,

the dual form of the eigenproblem of Γ = (1/2n) Σ (x xᵀ' + x' xᵀ) in feature space (Simon et al. 2023, section 4).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.linalg
from jaxtyping import Float

from dynamics.errors import CollapseError, DataError, KernelError
from dynamics.modes.factor import feature_range, require_symmetric, semidefinite_factor
from dynamics.support import archives
from dynamics.support.numbers import half_precision
from dynamics.support.schema import ArrayField, check_arrays
from dynamics.support.sketch import sketch
from dynamics.typing import Array, Embedding, Gram, Spectrum, SquareGram

_EPS = np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class ContrastiveModes:
    """Eigenpairs of the contrastive problem, largest signed eigenvalue first.

    Parameters
    ----------
    eigenvalues : array (m,)
        γ, descending. Negative ones are modes on which partners disagree; they are never learned.
    duals : array (2n, m)
        V with Vᵀ K̃ V = I; column j gives the mode function φ_j(x) = k(x, X̃) v_j.
    on_views : array (2n, m)
        Mode functions on the training views, φ(X̃) = K̃ V.
    offset : array (m,)
        Mean of k(X̃, X̃) V over the training views if the kernel was centred, else 0: φ(x) = k(x, X̃) V − offset.
    """

    eigenvalues: Spectrum
    duals: Float[Array, "views modes"]
    on_views: Float[Array, "views modes"]
    offset: Float[Array, " modes"]

    def __len__(self) -> int:
        """Return the number of modes m."""
        return self.eigenvalues.size

    def __repr__(self) -> str:
        """How many modes there are of how many pairs, and the strongest of them, in one line."""
        strongest = ", ".join(f"{gamma:.3g}" for gamma in self.eigenvalues[:4])
        more = ", …" if len(self) > 4 else ""
        return (
            f"<ContrastiveModes: {len(self)} modes of {self.num_pairs} pairs, {self.num_positive} positive; "
            f"γ = {strongest}{more}>"
        )

    def _repr_html_(self) -> str:
        """The same line with a small drawing of the positive eigenvalues, as notebooks show it."""
        positive = self.eigenvalues[: self.num_positive]
        return sketch(np.arange(len(positive), dtype=float), positive[:, None], repr(self)[1:-1])

    @property
    def num_pairs(self) -> int:
        """The number of pairs n."""
        return self.duals.shape[0] // 2

    @property
    def num_positive(self) -> int:
        """How many modes can be learned: those with γ_j > 0, beyond rounding."""
        rounding = 2 * self.num_pairs * _EPS * np.abs(self.eigenvalues).max(initial=0.0)
        return int((self.eigenvalues > rounding).sum())

    @property
    def stability_limit(self) -> float:
        """Largest learning rate at which gradient descent is stable at the end point, 1 / (4 γ_1)."""
        return 1.0 / (4.0 * float(self.eigenvalues[0]))

    def padded_eigenvalues(self, dim: int) -> Float[np.ndarray, " dim"]:
        """γ of the first `dim` modes, followed by zeros for dimensions that no mode is left for."""
        gamma = self.eigenvalues[:dim]
        return np.pad(gamma, (0, dim - len(gamma)))

    def scaled(self, factor: float) -> "ContrastiveModes":
        """Modes of the kernel multiplied by a positive factor: γ grows by it, the mode functions by its square root."""
        root = factor**0.5
        return ContrastiveModes(self.eigenvalues * factor, self.duals / root, self.on_views * root, self.offset * root)

    def functions(self, rows: Gram) -> Float[np.ndarray, "rows modes"]:
        """Mode functions φ on new points.

        Parameters
        ----------
        rows : array (b, 2n)
            Kernel values k(x, X̃) between b new points and the training views.
        """
        return np.asarray(rows, np.float64) @ self.duals - self.offset

    def coordinates(self, embeddings: Embedding) -> Float[np.ndarray, "modes dim"]:
        """Mode coordinates a = Vᵀ F of embeddings F (2n, d) of the training views, so that f = φ a.

        If F is not a function of the kernel, f is its orthogonal projection on those (`contrastive_modes`).
        """
        return self.duals.T @ np.asarray(embeddings, np.float64)

    def minimum_norm(self, dim: int) -> Float[np.ndarray, "modes dim"]:
        """Coordinates of the end point of training: diag(γ_j^{−1/2}) on the top `dim` modes.

        It is the zero-loss solution of smallest RKHS norm, Σ_j 1/γ_j, up to a rotation of the outputs (Simon et al.
        2023, Prop. 4.2). Outputs beyond the number of positive modes stay zero: they collapse.
        """
        r = min(dim, self.num_positive)
        a = np.zeros((len(self), dim))
        a[range(r), range(r)] = self.eigenvalues[:r] ** -0.5
        return a

    def require_learnable(self, dim: int) -> None:
        """Raise `CollapseError` unless there are `dim` positive modes."""
        if dim > self.num_positive:
            raise CollapseError(
                f"dim is {dim}, but these pairs and this kernel have {self.num_positive} positive modes, so only "
                f"{self.num_positive} dimensions can be learned; lower dim, add pairs, or allow the others to collapse "
                "(`allow_collapse`)."
            )

    def save(self, path: str | Path) -> None:
        """Write the modes as `.npz`, atomically."""
        arrays = {name: getattr(self, name) for name in ("eigenvalues", "duals", "on_views", "offset")}
        archives.save_npz(path, arrays)

    @staticmethod
    def load(path: str | Path) -> "ContrastiveModes":
        """Read what `save` wrote; `DataError` if the file is missing or damaged, or holds no modes."""
        arrays, _ = archives.load_npz(path, required=tuple(_DECLARED))
        check_arrays(path, arrays, _DECLARED)
        modes = ContrastiveModes(**{name: arrays[name] for name in _DECLARED})
        if len(modes.duals) % 2 or not len(modes) or (np.diff(modes.eigenvalues) > 0).any():
            raise DataError(
                f"{path}: `eigenvalues` are no modes of pairs in descending order ({len(modes)} modes of "
                f"{len(modes.duals)} views); make the file again."
            )
        return modes


_DECLARED = {
    "eigenvalues": ArrayField(Float[np.ndarray, " modes"]),
    "duals": ArrayField(Float[np.ndarray, "views modes"]),
    "on_views": ArrayField(Float[np.ndarray, "views modes"]),
    "offset": ArrayField(Float[np.ndarray, " modes"]),
}


def swap(rows: Float[Array, "views columns"]) -> Float[Array, "views columns"]:
    """J applied from the left: exchange every view with its partner."""
    first, second = np.split(rows, 2)
    return np.concatenate([second, first])


def contrastive_modes(gram: SquareGram, *, num_modes: int | None = None, center: bool = False) -> ContrastiveModes:
    """Solve the contrastive eigenproblem from a Gram matrix (the dual problem).

    A pivoted Cholesky factor K̃ = Φ Φᵀ turns it into the symmetric problem of ΦᵀJΦ/2n without a matrix square root,
    and stops at the numerical rank, so that singular Gram matrices need no ridge.

    Parameters
    ----------
    gram : array (2n, 2n)
        K̃, positive semi-definite, views in the order x_1 … x_n, x'_1 … x'_n.
    num_modes : int, optional
        Keep this many modes, those of the largest eigenvalues; by default as many as the numerical rank.
    center : bool
        Solve for the kernel of embeddings with their mean over the 2n views removed, H K̃ H with H = I − 11ᵀ/2n.

    Raises
    ------
    KernelError
        If the matrix is not square with an even number of rows, not finite, not symmetric, zero, or has negative
        eigenvalues beyond rounding.
    """
    rounded = half_precision(np.asarray(gram).dtype)
    K = np.array(gram, np.float64)
    _require_pairs(K)
    kernel_mean = K.mean(axis=0)
    scale = np.abs(K).max()  # rounding counts against the kernel as given: centring may leave little of it
    if center:
        for _ in range(2):  # the second pass removes the rounding of the means, which would look like one more mode
            mean = K.mean(axis=0)
            K += mean.mean() - mean - mean[:, None]
        if np.abs(K).max() <= len(K) * _EPS * scale:
            raise KernelError("The kernel is the same for all views, so nothing is left of it once it is centred.")
    Phi, V, tolerance = semidefinite_factor(K, scale=scale, precision=rounded and len(K) * rounded)
    if Phi.shape[1] < len(Phi):  # only duals in the range of K̃ make VᵀF an orthogonal projection of any F
        Q = np.linalg.qr(Phi)[0]
        V = Q @ (Q.T @ V)
    gamma, W = _symmetric_modes(Phi, num_modes)
    V, values = V @ W, Phi @ W
    if tolerance > 2 * len(K) * _EPS * scale:  # the factor leaves out what may be rounding, and with it a part of γ
        gamma, V, values = _refined(K, gamma, V, values)
    if center:
        V -= V.mean(axis=0)
    offset = kernel_mean @ V if center else np.zeros(gamma.size)
    return with_fixed_signs(gamma, V, values, offset)


def _refined(
    K: np.ndarray, gamma: np.ndarray, V: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Modes among the same functions, but of K̃ itself: they err by the square of what the factor left out.

    Functions whose norm is itself put down to rounding are left as they are.
    """
    KV = K @ V
    G = V.T @ KV
    sound = np.abs(G - np.eye(len(G))).max(axis=0) < 0.01
    if not sound.any():
        return gamma, V, values
    V1, KV1, G = V[:, sound], KV[:, sound], G[np.ix_(sound, sound)]
    R = np.linalg.inv(np.linalg.cholesky((G + G.T) / 2))
    A = R @ (KV1.T @ swap(KV1)) @ R.T / len(K)
    found, S = np.linalg.eigh((A + A.T) / 2)
    S = R.T @ S
    gamma = np.concatenate([found, gamma[~sound]])
    order = np.argsort(-gamma, kind="stable")
    V = np.concatenate([V1 @ S, V[:, ~sound]], axis=1)
    values = np.concatenate([KV1 @ S, values[:, ~sound]], axis=1)
    return gamma[order], V[:, order], values[:, order]


def contrastive_modes_from_features(
    features: Float[Array, "views features"], *, num_modes: int | None = None, center: bool = False
) -> ContrastiveModes:
    """Solve the contrastive eigenproblem of the kernel k(x, y) = ψ(x)·ψ(y) from its features (the primal problem).

    Cheaper than `contrastive_modes` when there are fewer features than views.

    Parameters
    ----------
    features : array (2n, p)
        Features ψ of the views in the order x_1 … x_n, x'_1 … x'_n.
    num_modes, center
        How many modes to keep, and whether to centre the kernel, as for `contrastive_modes`.

    Raises
    ------
    KernelError
        If the number of views is odd, or the features are not finite or all zero.
    """
    given = np.asarray(features)
    Psi = given.astype(np.float64)
    if Psi.shape[0] % 2 or not np.isfinite(Psi).all():
        raise KernelError(f"Features of shape {Psi.shape} must be finite, with one row for each of the 2n views.")
    if Psi.shape[1] >= Psi.shape[0]:
        return contrastive_modes(Psi @ Psi.T, num_modes=num_modes, center=center)
    mean = Psi.mean(axis=0)
    scale = float(np.linalg.norm(Psi))  # rounding counts against the features as given, as in `contrastive_modes`
    U, S, Zt, _ = feature_range(Psi - mean if center else Psi, scale=scale, dtype=given.dtype)
    if not S.size:
        raise KernelError("The features are the same for all views, so there is nothing to learn.")
    gamma, W = _symmetric_modes(U * S, num_modes)
    V = (U / S) @ W
    if center:
        V -= V.mean(axis=0)
    offset = mean @ (Zt.T @ W) if center else np.zeros(gamma.size)
    return with_fixed_signs(gamma, V, (U * S) @ W, offset)


def _require_pairs(K: np.ndarray) -> None:
    if K.ndim != 2 or K.shape[0] != K.shape[1] or K.shape[0] % 2 or K.shape[0] == 0:
        raise KernelError(f"The Gram matrix has shape {K.shape}; give (2n, 2n) for the 2n views of n pairs.")
    if not K.any():
        raise KernelError("The Gram matrix is zero, so there is nothing to learn.")
    require_symmetric(K)


def _symmetric_modes(Phi: np.ndarray, num_modes: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs of ΦᵀJΦ/2n, the largest signed eigenvalue first."""
    views, rank = Phi.shape
    Gamma = Phi.T @ swap(Phi) / views
    kept = min(num_modes or rank, rank)
    gamma, W = scipy.linalg.eigh((Gamma + Gamma.T) / 2, subset_by_index=(rank - kept, rank - 1))
    return gamma[::-1], W[:, ::-1]


def with_fixed_signs(gamma: np.ndarray, V: np.ndarray, values: np.ndarray, offset: np.ndarray) -> ContrastiveModes:
    """Every mode function is positive where it is largest, so that two runs give the same signs."""
    largest = np.abs(values).argmax(axis=0)
    signs = np.sign(values[largest, range(values.shape[1])])
    return ContrastiveModes(gamma, V * signs, values * signs, offset * signs)
