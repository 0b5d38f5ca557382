"""Metrics of embeddings: how many directions they use, which ones, and what a simple classifier reads from them.

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
| effective rank | exp(−Σ p log p), p_k = λ_k/Σλ | eigenvalues λ of the covariance | Roy & Vetterli (2007), def. 1 |
| participation ratio | (Σλ)²/Σλ² | eigenvalues of the covariance | Gao et al. (2017) |
| α-ReQ | −slope of log λ_k on log k | eigenvalues of the covariance | Agrawal et al. (2022) |
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from dynamics.errors import ConfigError
from dynamics.modes.contrastive import ContrastiveModes, swap
from dynamics.typing import Array, Embedding, Spectrum

RANKME_EPSILON = 1e-7
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
        "participation_ratio": _participation_ratio(eigenvalues),
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
    return _participation_ratio(covariance_spectrum(embeddings, center=center))


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


def _participation_ratio(eigenvalues: Spectrum) -> float:
    total = eigenvalues.sum()
    return float(1 / np.square(eigenvalues / total).sum()) if total > 0 else np.nan


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


class Accuracy(NamedTuple):
    """Shares of examples classified correctly, between 0 and 1."""

    train: float
    test: float


def linear_probe(
    train_embeddings: Float[Array, "train dim"],
    train_labels: Shaped[Array, " train"],
    test_embeddings: Float[Array, "test dim"],
    test_labels: Shaped[Array, " test"],
    *,
    ridge: float = 1e-3,
    classifier: Literal["least-squares", "logistic"] = "least-squares",
) -> Accuracy:
    """Accuracy of a linear classifier on frozen embeddings.

    Embeddings are centred and divided by the largest standard deviation that they have in any direction, so that a
    ridge means the same for small, large and shifted embeddings.

    Parameters
    ----------
    train_embeddings, train_labels : arrays (N, d), (N,)
        Embeddings and classes to which the classifier is fitted.
    test_embeddings, test_labels : arrays (M, d), (M,)
        Embeddings and classes on which it is tested.
    ridge : float
        λ of the penalty λ‖W‖² on weights W (d, classes) beside the mean loss over the examples.
    classifier : {"least-squares", "logistic"}
        Least squares on one-hot labels, in closed form; or multinomial logistic regression, the usual linear probe,
        which takes many times longer.

    Raises
    ------
    ConfigError
        If all embeddings are equal, so that nothing can be read from them, or the ridge is not positive.
    """
    from sklearn.linear_model import LogisticRegression, RidgeClassifier

    Z, Z_test = np.asarray(train_embeddings, np.float64), np.asarray(test_embeddings, np.float64)
    mean, scale = Z.mean(axis=0), np.sqrt(covariance_spectrum(Z)[0])
    if not scale > 0:
        raise ConfigError("A linear probe needs embeddings that differ and are finite; these have collapsed.")
    if not ridge > 0:
        raise ConfigError(f"The ridge of a linear probe is {ridge}; give a positive number.")
    if classifier == "logistic":
        # scikit-learn weighs the sum of the losses by C beside ‖W‖²/2
        model = LogisticRegression(C=1 / (2 * ridge * len(Z)), max_iter=1000)
    else:
        model = RidgeClassifier(alpha=ridge * len(Z), solver="cholesky")
    return _accuracy(model, (Z - mean) / scale, train_labels, (Z_test - mean) / scale, test_labels)


def knn_probe(
    train_embeddings: Float[Array, "train dim"],
    train_labels: Shaped[Array, " train"],
    test_embeddings: Float[Array, "test dim"],
    test_labels: Shaped[Array, " test"],
    *,
    neighbors: int = 20,
    temperature: float = 0.07,
) -> float:
    """Test accuracy of the weighted k-nearest-neighbours classifier of Wu et al. (2018), section 3.4.

    The k nearest training examples by cosine vote with weights exp(cos/τ). Wu et al. have τ = 0.07 and k = 200, among
    the million images of ImageNet.

    Parameters
    ----------
    train_embeddings, train_labels : arrays (N, d), (N,)
        The examples that vote.
    test_embeddings, test_labels : arrays (M, d), (M,)
        The examples that are classified.
    neighbors : int
        Number k of neighbours that vote.
    temperature : float
        Temperature τ of the weights.

    Raises
    ------
    ConfigError
        If there are fewer training examples than neighbours.
    """
    from sklearn.neighbors import KNeighborsClassifier

    if not 1 <= neighbors <= len(train_embeddings):
        raise ConfigError(
            f"A k-NN probe of {neighbors} neighbours needs as many training examples, not {len(train_embeddings)}."
        )
    model = KNeighborsClassifier(neighbors, metric="cosine", weights=lambda distance: np.exp(-distance / temperature))
    model.fit(np.asarray(train_embeddings, np.float64), np.asarray(train_labels))
    return float(model.score(np.asarray(test_embeddings, np.float64), np.asarray(test_labels)))


def _accuracy(model, Z: np.ndarray, labels: Array, Z_test: np.ndarray, test_labels: Array) -> Accuracy:
    labels, test_labels = np.asarray(labels), np.asarray(test_labels)
    model.fit(Z, labels)
    return Accuracy(float(model.score(Z, labels)), float(model.score(Z_test, test_labels)))
