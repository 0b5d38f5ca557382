"""The leading contrastive modes of many pairs, by a block Lanczos iteration.

>>> import numpy as np
>>> from dynamics.modes.lanczos import leading_modes
>>> views = np.random.default_rng(0).normal(size=(600, 40))  # n = 300 pairs
>>> leading_modes(views @ views.T, num_modes=5).eigenvalues.shape
(5,)

A = (1/2n) J K̃ is self-adjoint in the inner product ⟨q, w⟩ = qᵀ K̃ w. With P = K̃ Q kept beside the basis Q, every inner
product is a product with P, and an iteration needs a single product with K̃ (Parlett 1998, The Symmetric Eigenvalue
Problem, Secs. 13 and 15.11). The basis is orthogonalised in full, and restarted with its best Ritz vectors when it
grows too long (Wu & Simon 2000). The projection PᵀJP/2n is formed as it stands, without recurrences. Where K̃ is
singular, what it cannot see would pile up in the basis (Nour-Omid et al. 1987); so K̃ + εI takes its place, with ε a few
rounding errors of its largest eigenvalue.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError, ConvergenceError, KernelError
from dynamics.modes.contrastive import ContrastiveModes, contrastive_modes, swap, with_fixed_signs
from dynamics.modes.gram_product import Block, Product, centred_product, gram_product, one_thread
from dynamics.typing import SquareGram

BLOCK, WIDE_BLOCK = 8, 16
"""Columns of one product: the wide block where a product is dear however few columns it has, the other for float64
matrices at hand. Measured at n = 2,000 (50 modes) on two cores, 8 columns took 0.85 of the time of 4, and 16 more."""

RIDGE = 20
"""ε in rounding errors of the largest eigenvalue of K̃."""

AMPLIFIED = 1e3
"""By how much scaling a block may amplify its rounding before it is made orthogonal to the basis for a third time."""

_EPS = np.finfo(np.float64).eps
_ASYMMETRY = 1e-5  # of float32 rounding at most


def leading_modes(
    gram: SquareGram | Product,
    num_modes: int,
    *,
    num_pairs: int | None = None,
    center: bool = False,
    tolerance: float = 1e-10,
    block: int | None = None,
    max_basis: int | None = None,
    max_iterations: int = 1000,
    seed: int = 0,
) -> ContrastiveModes:
    """Solve for the modes of the largest signed eigenvalues.

    Parameters
    ----------
    gram : array (2n, 2n) or callable
        K̃ in float64 or float32, or what multiplies blocks of columns (2n, b) with it, such as
        `dynamics.kernels.KernelProduct`, which never holds the matrix. A JAX array is multiplied where it lies; all
        else is NumPy. Arithmetic is float64 throughout.
    num_modes : int
        How many modes to find; fewer are returned if the kernel has no more.
    num_pairs : int, optional
        Number of pairs n, needed where `gram` is a callable that does not know it.
    center : bool
        Whether to remove the mean of the embeddings over the 2n views, as for `contrastive_modes`.
    tolerance : float
        Bound on the residual ‖A v − γ v‖ in the K̃ norm, relative to γ; the eigenvalue is within it (the mode function
        within the residual over the gap to the next eigenvalue). A bound below the rounding of the product itself is
        raised to that rounding.
    block : int, optional
        Columns in one product, `BLOCK` or `WIDE_BLOCK` by default. Eigenvalues of a higher multiplicity are noticed,
        and the block is doubled for them.
    max_basis : int, optional
        Columns kept before a restart; they take two float64 arrays of shape (2n, max_basis).
    max_iterations : int
        Largest number of products with the Gram matrix.
    seed : int
        Seed of the random start vectors.

    Raises
    ------
    KernelError
        If the matrix is not square with an even number of rows, not finite, not symmetric, zero, or seen to have
        negative eigenvalues.
    ConvergenceError
        If the modes are not found within `max_iterations` products.
    ConfigError
        If a number is out of range.
    """
    product, views = gram_product(gram, num_pairs)
    if block is None:
        block = BLOCK if getattr(gram, "dtype", None) == np.float64 else WIDE_BLOCK
    if min(num_modes, block, max_iterations) < 1 or not tolerance > 0:
        raise ConfigError("leading_modes: num_modes, block, max_iterations and tolerance must be positive.")
    if views <= max(200, 6 * num_modes):  # most of the spectrum: a dense solver is quicker
        dense = product(np.eye(views)) if callable(gram) else np.asarray(gram)
        return contrastive_modes(dense, num_modes=num_modes, center=center)
    while True:
        longest = max_basis or max(10 * num_modes, 25 * block)
        if longest < num_modes + 4 * block:
            raise ConfigError(f"leading_modes: max_basis is {longest}; give at least {num_modes + 4 * block}.")
        lanczos = _Lanczos(product, center, num_modes, tolerance, min(views, longest))
        gamma, V, values = lanczos.run(_random_start(views, block, seed), max_iterations)
        if block >= min(num_modes, views // 8) or not _has_cluster(gamma, block, lanczos.noise):
            break
        # A Krylov space of b random columns holds b copies of an eigenvalue at most. As many were found, so there may
        # be more of them.
        block *= 2
        max_basis = None if max_basis is None else max(max_basis, num_modes + 4 * block)
    offset = np.zeros(gamma.size)
    if center:
        V = V - V.mean(axis=0)
        offset = product(V).mean(axis=0)
    return with_fixed_signs(gamma, V, values, offset)


def mode_residuals(
    gram: SquareGram | Product, modes: ContrastiveModes, *, center: bool = False
) -> Float[np.ndarray, " modes"]:
    """‖A v − γ v‖ in the K̃ norm for every mode: an eigenvalue of the kernel lies within it of γ.

    It takes one product with K̃. For modes of an approximate kernel (`dynamics.modes.approximate`) it bounds their error
    with respect to the true kernel.
    """
    product, _ = gram_product(gram, modes.num_pairs)
    product = centred_product(product) if center else product
    remainder = swap(modes.on_views) / len(modes.on_views) - modes.duals * modes.eigenvalues
    return np.sqrt(np.maximum((remainder * product(remainder)).sum(axis=0), 0))


def _random_start(views: int, block: int, seed: int) -> Block:
    return np.random.default_rng(seed).normal(size=(views, block))


def _has_cluster(gamma: np.ndarray, block: int, noise: float) -> bool:
    """Whether `block` eigenvalues coincide, and more copies of them would change what comes after."""
    spread = gamma[: -block - 1] - gamma[block - 1 : -2] if gamma.size > block else np.empty(0)
    return bool((spread <= 1e-7 * np.abs(gamma[: spread.size]) + 100 * noise * np.abs(gamma).max()).any())


@dataclass
class _Lanczos:
    """One run: a basis Q with ⟨Q, Q⟩ = I, P = K̃ Q, and the projection T = ⟨Q, A Q⟩."""

    product: Product
    center: bool
    num_modes: int
    tolerance: float
    longest: int
    noise: float = _EPS
    largest: float = 0.0
    ridge: float = 0.0
    norm: float = 0.0
    Q: Block = field(init=False)
    P: Block = field(init=False)
    T: np.ndarray = field(init=False)
    size: int = 0

    def run(self, start: Block, max_iterations: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Eigenvalues (m,), duals (2n, m) and values (2n, m)."""
        views = len(start)
        W = self._first(start)
        product = centred_product(self.product) if self.center else self.product
        self.Q, self.P = (np.empty((views, self.longest), order="F") for _ in range(2))
        self.T, self.size = np.zeros((self.longest, self.longest)), 0
        active = due = 0  # columns of the last block, and of the basis when it is to be looked at
        for _ in range(max_iterations):
            PW = product(W)
            if not self.ridge:
                self.largest = float((np.linalg.norm(PW, axis=0) / np.linalg.norm(W, axis=0)).max())
                self.ridge = RIDGE * _EPS * self.largest
            PW = PW + self.ridge * W
            with one_thread():
                G = _symmetric(W.T @ PW)
                kept = self._kept(W, G)
                exhausted = not kept.size
                if exhausted or self.size >= max(due, self.num_modes + active):
                    gamma, S, excess = self._excess(G, active)
                    if excess <= 1 or exhausted:
                        return self._modes(gamma, S)
                    due = self.size * (1 + np.clip(0.03 * np.log(excess), 0.02, 0.3))  # residuals fall ever faster
                amplified = np.abs(kept).max() * np.sqrt(self.largest * (W**2).sum(axis=0).max())
                W, PW = W @ kept, PW @ kept
                if amplified > AMPLIFIED:
                    W, PW = self._orthogonal(W, PW)
                W, PW = _orthonormal(W, PW)
                active = W.shape[1]
                if self.size + active > self.longest:
                    self._restart()
                    due = 0
                W = self._append(W, PW)
        raise ConvergenceError(
            f"{self.num_modes} modes were not found to a relative residual of {self.tolerance:.0e} in {max_iterations} "
            "products with the Gram matrix; ask for fewer modes, or raise the tolerance."
        )

    def _first(self, X: Block) -> Block:
        """J K̃ times random columns, which has no part that the kernel cannot see; and a look at the kernel."""
        KX = self.product(X)
        if np.shape(KX) != X.shape or not np.isfinite(KX).all():
            raise KernelError(
                "The Gram matrix has NaN or infinite entries, or its product not the shape of its factor."
            )
        G = X.T @ KX
        size, asymmetry = np.abs(KX).max(), np.abs(G - G.T).max() / max(np.abs(G).max(), np.finfo(float).tiny)
        if asymmetry > _ASYMMETRY:
            raise KernelError(f"The Gram matrix is not symmetric (relative difference {asymmetry:.1e}).")
        self.noise = max(_EPS, float(asymmetry))
        if self.center:
            KX = KX - KX.mean(axis=0)
        if np.abs(KX).max() <= len(X) * _EPS * size:
            raise KernelError("Nothing is left of the kernel: it is zero, or it is centred and the same for all views.")
        return swap(KX) / np.abs(KX).max()

    def _kept(self, W: Block, G: np.ndarray) -> np.ndarray:
        """(b, b') with ⟨W kept, W kept⟩ = I, without the directions that are rounding."""
        lengths = (W**2).sum(axis=0)
        squared, U = np.linalg.eigh(G)
        if squared[0] < -_ASYMMETRY * self.largest * lengths.max():
            raise KernelError("The Gram matrix is not positive semi-definite; check the kernel.")
        floor = _EPS * self.largest * (lengths @ U**2)  # a matrix in float32 may be indefinite by more than ε
        if self.size:  # of w = A q − …, nothing is left that counts
            floor = np.maximum(floor, (10 * _EPS * np.abs(self.T[: self.size, : self.size]).max()) ** 2)
        kept = squared > floor
        return U[:, kept] / np.sqrt(squared[kept])

    def _orthogonal(self, W: Block, PW: Block) -> tuple[Block, Block]:
        """Once more orthogonal to the basis, without a product."""
        Q, P = self.Q[:, : self.size], self.P[:, : self.size]
        C = P.T @ W
        return W - Q @ C, PW - P @ C

    def _append(self, W: Block, PW: Block) -> Block:
        """Take a block into the basis; return A W without its part in the basis."""
        new, views = slice(self.size, self.size + W.shape[1]), len(W)
        self.size = new.stop
        self.Q[:, new], self.P[:, new] = W, PW
        Q, P = self.Q[:, : self.size], self.P[:, : self.size]
        AW = swap(PW) / views
        C = P.T @ AW
        W = AW - Q @ C
        C[new] = _symmetric(C[new])
        self.T[: new.stop, new], self.T[new, : new.stop] = C, C.T
        return W - Q @ (P.T @ W)  # twice: what is left may be small beside what was taken off

    def _top(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Largest eigenpairs of T, descending."""
        size, count = self.size, min(count, self.size)
        gamma, S = np.linalg.eigh(self.T[:size, :size])
        return gamma[: -count - 1 : -1], S[:, : -count - 1 : -1]

    def _excess(self, G: np.ndarray, active: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Best Ritz pairs, and the largest of their residuals over what is allowed.

        The residual A Q s − γ Q s is the new block times the end of s.
        """
        gamma, S = self._top(self.num_modes)
        last = S[self.size - active :]
        residuals = np.sqrt(np.maximum(((G @ last) * last).sum(axis=0), 0))
        # rounding counts against all of A, of which the largest eigenvalues may be negative and not among those wanted
        self.norm = max(self.norm, np.abs(self.T[: self.size, : self.size]).sum(axis=1).max())
        allowed = np.maximum(self.tolerance * np.abs(gamma), 20 * self.noise * self.norm)
        return gamma, S, float((residuals / allowed).max())

    def _modes(self, gamma: np.ndarray, S: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Eigenvalues, duals and values, without those that ε alone has put there."""
        S = S[:, np.abs(gamma) > 3 * self.ridge / len(self.Q)]
        V = self.Q[:, : self.size] @ S
        values = self.P[:, : self.size] @ S - self.ridge * V
        # ε has moved γ by ε/(2nγ), but V by as little: a projection of K̃ itself on V is right to the square of that
        lengths, U = np.linalg.eigh(_symmetric(V.T @ values))
        R = (U[:, lengths > 0.5] / np.sqrt(lengths[lengths > 0.5])).T  # the others are functions of ε and not of K̃
        gamma, S = np.linalg.eigh(_symmetric(R @ (values.T @ swap(values)) @ R.T) / len(V))
        S = R.T @ S[:, ::-1]
        return gamma[::-1], V @ S, values @ S

    def _restart(self) -> None:
        """Keep the best Ritz vectors in place of the basis."""
        count = min(self.longest // 2, self.num_modes + self.num_modes // 2 + 16)
        gamma, S = self._top(count)
        Q, P = self.Q[:, : self.size] @ S, self.P[:, : self.size] @ S
        self.Q[:, :count], self.P[:, :count] = Q, P
        self.T[:] = 0
        self.T[range(count), range(count)] = gamma
        self.size = count


def _orthonormal(W: Block, PW: Block) -> tuple[Block, Block]:
    """Columns that have nearly ⟨W, W⟩ = I once more made orthonormal: the first scaling has amplified rounding."""
    squared, U = np.linalg.eigh(_symmetric(W.T @ PW))
    R = U / np.sqrt(np.maximum(squared, 0.25))
    return W @ R, PW @ R


def _symmetric(G: np.ndarray) -> np.ndarray:
    return (G + G.T) / 2
