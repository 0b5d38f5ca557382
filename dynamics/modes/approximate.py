"""Approximate modes for more pairs than a Gram matrix can be computed for, with an estimate of the error.

>>> import numpy as np
>>> from dynamics.modes.approximate import nystrom_modes
>>> x = np.random.default_rng(0).normal(size=(400, 5))
>>> kernel = lambda a, b: (1 + a @ b.T) ** 2
>>> approximate = nystrom_modes(kernel, x, landmarks=60, num_modes=4)
>>> bool(approximate.missing < 1e-6)  # 60 landmarks span the 21 features of this kernel
True
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from dynamics.errors import ConfigError, KernelError
from dynamics.modes.contrastive import ContrastiveModes, contrastive_modes_from_features
from dynamics.modes.factor import semidefinite_factor
from dynamics.support.one_line import one_line
from dynamics.support.precision import double_precision, in_full_precision
from dynamics.typing import Array, KernelFn, Spectrum

_ROWS = 2048


@dataclass(frozen=True, eq=False)
class ApproximateModes:
    """Modes of an approximate kernel, and estimates of their error.

    Parameters
    ----------
    modes : ContrastiveModes
        Modes of the approximate kernel.
    error : array (m,)
        Estimate of the standard error of every eigenvalue (`random_feature_modes`), or of its residual ‖A v − γ v‖ in
        the K̃ norm, within which an eigenvalue of the kernel lies (`nystrom_modes`).
    missing : float
        Part of the trace of K̃ that the approximation leaves out; NaN where it is not known.
    """

    modes: ContrastiveModes
    error: Spectrum
    missing: float

    __repr__ = one_line


def nystrom_modes(
    kernel: KernelFn,
    views: Shaped[Array, "views ..."],
    *,
    landmarks: int,
    num_modes: int | None = None,
    center: bool = False,
    sample: int = 1000,
    seed: int = 0,
) -> ApproximateModes:
    """Solve the eigenproblem among the functions Σ_l k(·, x_l) c_l of some landmarks (Williams & Seeger 2001).

    It is the Rayleigh–Ritz projection of the true problem: `modes.duals` are zero except at the landmarks and
    normalised in the true kernel, `modes.on_views` are the true K̃ V, and no positive eigenvalue is overestimated.
    Memory is 2n × landmarks, work 2n × landmarks kernel values.

    Parameters
    ----------
    kernel : Kernel or callable
        (x1 (a, …), x2 (b, …)) -> (a, b).
    views : array (2n, *input_shape)
        Views in the order x_1 … x_n, x'_1 … x'_n.
    landmarks : int
        How many views span the approximation. They are whole pairs, drawn without replacement.
    num_modes, center
        How many modes to keep, and whether to centre the kernel, as for `contrastive_modes`.
    sample : int
        Number of views on which the error of the approximate kernel is evaluated.
    seed : int
        Seed of the draws of landmarks and sample.

    Raises
    ------
    ConfigError
        If `landmarks` or `sample` is out of range.
    KernelError
        If the kernel is not positive semi-definite among the landmarks.
    """
    size = len(views)
    if not 2 <= landmarks <= size or not 2 <= sample:
        raise ConfigError(f"nystrom_modes: landmarks is {landmarks}, sample {sample}; give from 2 to {size} views.")
    rng = np.random.default_rng(seed)
    views = np.asarray(views)
    pairs = np.sort(rng.permutation(size // 2)[: landmarks // 2])
    chosen = np.concatenate([pairs, pairs + size // 2])
    K = _values(kernel, views, views[chosen])
    among = K[chosen]
    whitening = semidefinite_factor((among + among.T) / 2, name="Gram matrix of the landmarks").duals
    if not whitening.size:
        raise KernelError("The kernel is zero among the landmarks; check the kernel.")
    features = K @ whitening
    found = contrastive_modes_from_features(features, num_modes=num_modes, center=center)
    # features ψ(x) = whiteningᵀ k(L, x), so a function ψ·w is k(x, L) (whitening w) with w = Ψᵀ V
    duals = np.zeros_like(found.duals)
    duals[chosen] = whitening @ (features.T @ found.duals)
    modes = ContrastiveModes(found.eigenvalues, duals, found.on_views, found.offset)
    error, missing = _left_out(kernel, views, features, modes, rng.permutation(size)[: min(sample, size)])
    return ApproximateModes(modes, error, missing)


@in_full_precision
def random_feature_modes(
    draw: Callable[[int], Float[Array, "views features"]],
    *,
    draws: int,
    num_modes: int,
    center: bool = False,
) -> ApproximateModes:
    """Modes of the kernel that is the mean of ψψᵀ over random features ψ (Rahimi & Recht 2007).

    The last hidden layers of finite networks are such features of the infinite-width conjugate kernel.

    Parameters
    ----------
    draw : callable
        index -> features (2n, p) of all views, independent for each index, with E[ψψᵀ] = K̃.
    draws : int
        Number of draws to average over, at least 2.
    num_modes, center
        How many modes to keep, and whether to centre the kernel, as for `contrastive_modes`.

    Returns
    -------
    ApproximateModes
        Modes of the averaged kernel. `error` is the jackknife standard error of the eigenvalues over the draws. It
        does not include their bias, which falls as fast as the square of the standard error.

    Raises
    ------
    ConfigError
        If `draws` is below 2.
    """
    if draws < 2:
        raise ConfigError(f"random_feature_modes: draws is {draws}; give at least 2, whose spread gives the error.")
    blocks = [np.asarray(draw(index), np.float64) for index in range(draws)]

    def solve(parts: list[np.ndarray]) -> ContrastiveModes:
        features = np.concatenate(parts, axis=1) / len(parts) ** 0.5
        return contrastive_modes_from_features(features, num_modes=num_modes, center=center)

    modes = solve(blocks)
    left_out = [solve(blocks[:index] + blocks[index + 1 :]).eigenvalues for index in range(draws)]
    count = min(len(modes), *(len(gamma) for gamma in left_out))
    spread = np.var([gamma[:count] for gamma in left_out], axis=0)
    error = np.full(len(modes), np.inf)
    error[:count] = np.sqrt((draws - 1) * spread)
    return ApproximateModes(modes, error, float("nan"))


def _values(kernel: KernelFn, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Kernel values, some rows at a time."""
    with double_precision():
        parts = [np.asarray(kernel(rows[i : i + _ROWS], columns), np.float64) for i in range(0, len(rows), _ROWS)]
    return np.concatenate(parts)


def _left_out(
    kernel: KernelFn, views: np.ndarray, features: np.ndarray, modes: ContrastiveModes, sample: np.ndarray
) -> tuple[np.ndarray, float]:
    """Residuals and missing trace from E = K̃ − K̃_Nyström on a sample of views.

    A v − γ v has no part in the span of the landmarks, so its squared norm is uᵀ E u with u = J K̃ v/2n. The sum over
    all pairs of views is estimated by that over the sample's. Centring changes nothing, since u then adds up to zero.
    """
    size, count = len(views), len(sample)
    E = _values(kernel, views[sample], views[sample]) - features[sample] @ features[sample].T
    u = modes.on_views[(sample + size // 2) % size] / size
    on_diagonal = np.maximum(np.diag(E), 0)  # E is positive semi-definite but for rounding
    diagonal, off_diagonal = on_diagonal @ u**2, (u * (E @ u)).sum(axis=0) - np.diag(E) @ u**2
    squared = diagonal * size / count + off_diagonal * size * (size - 1) / (count * (count - 1))
    missing = on_diagonal.sum() / (on_diagonal.sum() + (features[sample] ** 2).sum())
    return np.sqrt(np.maximum(squared, diagonal * size / count)), float(missing)
