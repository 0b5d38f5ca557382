"""Metrics of embeddings: how many directions they use, and which ones.

>>> import numpy as np
>>> from dynamics.trajectories.metrics import participation_ratio, rankme
>>> Z = np.diag([1.0, 1.0, 0.0])  # three embeddings (N, d) in two directions
>>> round(rankme(Z), 3), round(participation_ratio(Z, center=False), 3)
(2.0, 2.0)

The metrics of the table take embeddings Z (N, d), one row an example, and return one number. `spectrum_metrics`
computes the last three of them from the eigenvalues of the covariance.

| metric | formula | computed from | source |
|---|---|---|---|
| RankMe | exp(−Σ p log p), p_k = σ_k/Σσ + 1e-7 | singular values σ of Z, not centred | Garrido et al. (2023), eq. 3 |
| LiDAR | exp(−Σ p log p), p_k = λ_k/Σλ + 1e-7 | eigenvalues λ of Σ_w^{−½} Σ_b Σ_w^{−½} | Thilak et al. (2023) |
| effective rank | exp(−Σ p log p), p_k = λ_k/Σλ | eigenvalues λ of the covariance | Roy & Vetterli (2007), def. 1 |
| participation ratio | (Σλ)²/Σλ² | eigenvalues of the covariance | Gao et al. (2017) |
| α-ReQ | −slope of log λ_k on log k | eigenvalues of the covariance | Agrawal et al. (2022) |
"""

import numpy as np
from jaxtyping import Float

from dynamics.errors import DataError
from dynamics.modes.contrastive import ContrastiveModes, swap
from dynamics.typing import Embedding, Spectrum

RANKME_EPSILON = 1e-7
LIDAR_EPSILON, LIDAR_DELTA = 1e-7, 1e-4
_NOISE = 1e-12  # eigenvalues smaller than this share of the largest one are rounding


def covariance_spectrum(embeddings: Embedding, *, center: bool = True) -> Spectrum:
    """Eigenvalues of the covariance (1/N) Σ zzᵀ of embeddings.

    Parameters
    ----------
    embeddings : array (N, d)
        Embeddings Z, one row for each example.
    center : bool
        Whether to subtract the mean embedding first.

    Returns
    -------
    array (d,)
        Descending, float64. With N < d the last d − N are exactly zero. All are zero if rows differ by no more than
        rounding, and NaN if an embedding is not finite.
    """
    rounding = _rounding(embeddings)
    Z = np.asarray(embeddings, np.float64)
    N, d = Z.shape
    if not np.isfinite(Z).all():
        return np.full(d, np.nan)
    if center:
        magnitude = np.abs(Z).max(initial=0.0)
        Z = Z - Z.mean(axis=0)
        if np.abs(Z).max(initial=0.0) <= rounding * magnitude:
            return np.zeros(d)
    eigenvalues = np.zeros(d)
    eigenvalues[: min(N, d)] = np.linalg.eigvalsh(Z.T @ Z if d <= N else Z @ Z.T)[::-1] / N
    return np.maximum(eigenvalues, 0)


def _rounding(embeddings: Embedding) -> float:
    """Relative difference that rounding makes between equal embeddings of their type, four units in the last place."""
    dtype = np.asarray(embeddings).dtype
    return 4 * float(np.finfo(dtype).eps) if np.issubdtype(dtype, np.floating) else 0.0


def correlation_spectrum(embeddings: Embedding) -> Spectrum:
    """Eigenvalues of the cross-correlation C = FᵀJF/2n of embeddings, where J exchanges the two views of each pair.

    Parameters
    ----------
    embeddings : array (2n, d)
        F, of the views in the order x_1 … x_n, x'_1 … x'_n.

    Returns
    -------
    array (d,)
        Descending, float64; negative where partners disagree. All are NaN if an embedding is not finite.
    """
    # With 2n < d a matrix of 2n rows is enough: F = USVᵀ gives C = V (S UᵀJU S/2n) Vᵀ.
    F = np.asarray(embeddings, np.float64)
    views, d = F.shape
    if not np.isfinite(F).all():
        return np.full(d, np.nan)
    if d <= views:
        C = F.T @ swap(F) / views
    else:
        squares, U = np.linalg.eigh(F @ F.T)
        US = U * np.sqrt(np.maximum(squares, 0))
        C = US.T @ swap(US) / views
    eigenvalues = np.zeros(d)
    eigenvalues[: len(C)] = np.linalg.eigvalsh((C + C.T) / 2)
    return np.sort(eigenvalues)[::-1]


def spectrum_metrics(eigenvalues: Spectrum) -> dict[str, float]:
    """Compute `effective_rank`, `participation_ratio` and `alpha_req` from the eigenvalues (d,) of a covariance."""
    return {
        "effective_rank": _effective_rank(eigenvalues),
        "participation_ratio": float(participation_of_spectra(eigenvalues)),
        "alpha_req": _alpha_req(eigenvalues, 1, None),
    }


def rankme(embeddings: Embedding) -> float:
    """RankMe, a smooth rank of the matrix of embeddings (Garrido et al. 2023, eq. 3).

    It lies between 1 and min(N, d), up to the ε of its definition, which adds about 16·d·1e-7. Garrido et al. apply it
    to at least 25,600 embeddings in front of the loss, and only compare runs of one architecture on one data set. NaN
    if all embeddings are zero.
    """
    sigma = np.sqrt(covariance_spectrum(embeddings, center=False))  # up to 1/√N, which cancels
    sigma = sigma[: min(np.shape(embeddings))]  # ε is added to singular values, of which there are so many
    return _entropy_rank(sigma / sigma.sum() + RANKME_EPSILON) if sigma.sum() > 0 else np.nan


def lidar(embeddings: Embedding) -> float:
    """LiDAR, a smooth rank of what tells images apart, against what tells their views apart (Thilak et al. 2023).

    It is the effective rank of Σ_w^{−½} Σ_b Σ_w^{−½}, the matrix of linear discriminant analysis in which every image
    is a class and its two views are the examples. Σ_b is the covariance of the n mean embeddings of the images, and Σ_w
    the mean covariance of the views about them plus δI, with δ = 1e-4. LiDAR lies between 1 and min(n − 1, d) up to its
    ε, which adds about 16·d·1e-7. Thilak et al. take 50 views of each of 1,000 images; two views have a noisier Σ_w.
    δ does not scale with the embeddings: where they are much smaller than √δ = 0.01, it hides how views differ.

    Parameters
    ----------
    embeddings : array (2n, d)
        Embeddings of the views in the order x_1 … x_n, x'_1 … x'_n. Their mean is subtracted, by definition.

    Returns
    -------
    float
        LiDAR; NaN if an embedding is not finite or all images have one mean embedding.

    Raises
    ------
    DataError
        If the number of embeddings is odd, so that they do not come in pairs.
    """
    F = np.asarray(embeddings, np.float64)
    if len(F) % 2:
        raise DataError(f"LiDAR needs both views of every pair; there are {len(F)} embeddings.")
    if not np.isfinite(F).all():
        return np.nan
    views, d = F.shape
    F = F - F.mean(axis=0)
    if d > views:  # in the other directions all embeddings are zero, and so are Σ_b and its eigenvalues
        squares, U = np.linalg.eigh(F @ F.T)
        F = U * np.sqrt(np.maximum(squares, 0))
    return _entropy_of_lda(F.T @ F / views, F.T @ swap(F) / views, d)


def lidar_from_moments(covariance: Float[np.ndarray, "dim dim"], correlation: Float[np.ndarray, "dim dim"]) -> float:
    """LiDAR from the covariance Σ = FᵀF/2n and the cross-correlation C = FᵀJF/2n of centred embeddings.

    For pairs Σ_b = (Σ + C)/2 and Σ_w = (Σ − C)/2 + δI, so that a model that says what Σ and C will be forecasts LiDAR.
    In coordinates a of contrastive modes φ these are Σ = aᵀ(φᵀφ/2n)a and C = aᵀ diag(γ) a.

    Parameters
    ----------
    covariance, correlation : arrays (d, d)
        Σ and C, symmetric.
    """
    return _entropy_of_lda(covariance, correlation, len(covariance))


def _entropy_of_lda(Sigma: np.ndarray, C: np.ndarray, dim: int) -> float:
    """Effective rank of Σ_w^{−½} Σ_b Σ_w^{−½}, which has `dim` eigenvalues, those that are not in the matrices zero."""
    if not (np.isfinite(Sigma).all() and np.isfinite(C).all()):
        return np.nan
    within, Q = np.linalg.eigh((Sigma - C) / 2)
    whitening = Q / np.sqrt(np.maximum(within, 0) + LIDAR_DELTA)
    found = np.maximum(np.linalg.eigvalsh(whitening.T @ ((Sigma + C) / 2) @ whitening), 0)  # below 0 is rounding
    eigenvalues = np.zeros(dim)
    eigenvalues[: min(dim, len(found))] = found[::-1][:dim]
    total = eigenvalues.sum()
    return _entropy_rank(eigenvalues / total + LIDAR_EPSILON) if total > 0 else np.nan


def effective_rank(embeddings: Embedding, *, center: bool = True) -> float:
    """Effective rank of the covariance, exp of the entropy of its normalised eigenvalues (Roy & Vetterli 2007, def. 1).

    It is at most the rank of the covariance, and equal to it if all non-zero eigenvalues are equal. RankMe takes the
    singular values of Z where this takes eigenvalues, their squares. It is NaN if the covariance is zero, as that of
    equal embeddings is up to rounding.
    """
    return _effective_rank(covariance_spectrum(embeddings, center=center))


def participation_ratio(embeddings: Embedding, *, center: bool = True) -> float:
    """Participation ratio (tr Σ)²/tr Σ² of the covariance Σ (Gao et al. 2017).

    It is k if k eigenvalues are equal and the others zero, and NaN if all are zero.
    """
    return float(participation_of_spectra(covariance_spectrum(embeddings, center=center)))


def alpha_req(embeddings: Embedding, *, first: int = 1, last: int | None = None, center: bool = True) -> float:
    """Exponent α of the power law λ_k ∝ k^{−α} of the covariance's eigenvalues (Agrawal et al. 2022).

    The exponent is fitted by least squares of log λ_k on log k; it is NaN if fewer than two eigenvalues are above
    rounding. Agrawal et al. report that representations with α near 1 generalise best.

    Parameters
    ----------
    embeddings : array (N, d)
        Embeddings Z, one row for each example.
    first, last : int
        Range of k, counted from 1, with `last` included; all eigenvalues above rounding by default. Published fits
        leave out the first few and the last few, where finite samples bend the spectrum.
    center : bool
        Whether to subtract the mean embedding first.
    """
    return _alpha_req(covariance_spectrum(embeddings, center=center), first, last)


def _entropy_rank(p: np.ndarray) -> float:
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def _effective_rank(eigenvalues: Spectrum) -> float:
    total = eigenvalues.sum()
    return _entropy_rank(eigenvalues / total) if total > 0 else np.nan


def participation_of_spectra(eigenvalues: Float[np.ndarray, "*records dim"]) -> Float[np.ndarray, "*records"]:
    """`participation_ratio` of every spectrum along the last axis; NaN where all eigenvalues are zero."""
    total = eigenvalues.sum(axis=-1, keepdims=True)
    shares = np.divide(eigenvalues, total, out=np.full(eigenvalues.shape, np.nan), where=total > 0)
    return np.asarray(1 / np.square(shares).sum(axis=-1))


def _alpha_req(eigenvalues: Spectrum, first: int, last: int | None) -> float:
    kept = (eigenvalues > _NOISE * eigenvalues.max(initial=0.0))[first - 1 : last]
    k = np.arange(first, first + kept.size)[kept]
    if k.size < 2:
        return np.nan
    return float(-np.polyfit(np.log(k), np.log(eigenvalues[first - 1 : last][kept]), 1)[0])


def subspace_overlap(embeddings: Embedding, modes: ContrastiveModes, rank: int, *, center: bool = False) -> float:
    """Share of the r strongest directions of the embeddings that lies in the span of the r strongest modes.

    It is ‖QᵀQ_φ‖_F² / r, where the orthonormal columns of Q are the first r left singular vectors of F (2n, d) and
    those of Q_φ span the mode functions φ_1 … φ_r on the training views. It is 1 if the subspaces are equal; two random
    ones have r/2n in the mean.

    Parameters
    ----------
    embeddings : array (2n, d)
        F, embeddings of the views for which the modes were solved, in the same order.
    modes : ContrastiveModes
        Modes of the kernel that is asked about.
    rank : int
        Number r of directions and modes that are compared.
    center : bool
        Whether to subtract the mean embedding first.
    """
    F = np.asarray(embeddings, np.float64)
    return span_overlap(F - F.mean(axis=0) if center else F, modes.on_views[:, :rank], rank)


def span_overlap(
    embeddings: Float[np.ndarray, "views dim"], functions: Float[np.ndarray, "views functions"], rank: int
) -> float:
    """Share of the `rank` strongest directions of the embeddings that lies in the span of functions on the same views.

    It is ‖QᵀQ_φ‖_F² / r as in `subspace_overlap`, which calls this with the modes of a kernel. No mean is subtracted.
    """
    Q = np.linalg.svd(embeddings, full_matrices=False)[0][:, :rank]
    Q_phi = np.linalg.qr(functions)[0]
    return float(np.square(Q.T @ Q_phi).sum() / rank)
