"""What a frozen representation knows: probes of content and style, clusters, and the distance of generated images.

Content is the class of the image, style what its augmentation did (`dynamics.views.StyledViews`). Linear and k-NN
probes are those of `dynamics.trajectories.metrics`; a quantity rather than a class is read by ridge regression and
scored by R².
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize
from jaxtyping import Float, Int, Shaped

from dynamics.errors import ConfigError, DataError
from dynamics.trajectories.probes import knn_probe, linear_probe
from dynamics.typing import Array, Embedding
from dynamics.views import StyledViews

Train = Float[Array, "n dim"]
Test = Float[Array, "m dim"]

PROBE_LEARNING_RATE, PROBE_BATCH, PROBE_EPOCHS = 3e-4, 64, 200
"""How Bizeul et al. (2024) train the probe with a hidden layer."""

MIXTURE_STARTS = 20
"""How often Bizeul et al. (2024) start the mixture of Gaussians, keeping the likeliest."""

_RIDGE = 1e-3
_BEST_OF = range(1, 21)


class Clustering(NamedTuple):
    """Agreement of clusters with classes.

    Parameters
    ----------
    acc : float
        Share of examples in the right cluster under the best matching of clusters with classes (Hungarian method).
    nmi, ari : float
        Normalised mutual information and adjusted Rand index.
    """

    acc: float
    nmi: float
    ari: float


def evaluate(
    embed: Callable[[Float[np.ndarray, "n h w c"]], Embedding],
    train: StyledViews,
    test: StyledViews,
    *,
    mlp: bool = True,
    clusters: bool = True,
    neighbors: int = 20,
    mixture_starts: int = MIXTURE_STARTS,
    seed: int = 0,
) -> dict[str, float]:
    """Probe a frozen representation.

    Which views are given decides the protocol: Bizeul et al. (2024) read content from images as they are, and style
    from augmented views.

    Parameters
    ----------
    embed : callable
        Views (n, h, w, c) -> embeddings (n, d).
    train, test : StyledViews
        Views that probes are fitted to, and views that they are tested on.
    mlp, clusters : bool
        Whether content is also read by a network with one hidden layer, and by Gaussian mixtures.
    neighbors : int
        Number k of neighbours of the k-NN probe.
    mixture_starts : int
        Number of starts of the mixtures.
    seed : int
        Seed of the network and of the mixtures.

    Returns
    -------
    dict
        `content linear`, `content knn`, `content mlp`, `content acc`, `content nmi`, `content ari` and
        `style NAME linear`: test accuracies, R² for quantities; and with `mlp`, `content knn best k`, the best of
        k = 1 … 20 neighbours *on the test set*, as the released code reports it.
    """
    Z, Z_test = (np.asarray(embed(part.views), np.float64) for part in (train, test))
    scores: dict[str, float] = {}
    if train.content is not None and test.content is not None:
        labels, test_labels = train.content, test.content
        scores["content linear"] = linear_probe(Z, labels, Z_test, test_labels, classifier="logistic").test
        scores["content knn"] = knn_probe(Z, labels, Z_test, test_labels, neighbors=neighbors)
        if mlp:
            scores["content mlp"] = mlp_probe(Z, labels, Z_test, test_labels, seed=seed)
            nearest = (knn_probe(Z, labels, Z_test, test_labels, neighbors=k) for k in _BEST_OF if k <= len(Z))
            scores["content knn best k"] = max(nearest)
        if clusters:
            clustering = cluster(Z, Z_test, test_labels, starts=mixture_starts, seed=seed)
            scores |= {f"content {name}": value for name, value in clustering._asdict().items()}
    for name in train.style:
        scores[f"style {name} linear"] = style_probe(Z, train.style[name], Z_test, test.style[name])
    return scores


def style_probe(
    embeddings: Train, style: Shaped[Array, " n"], test_embeddings: Test, test_style: Shaped[Array, " m"]
) -> float:
    """Return the test accuracy of a linear classifier for whole-number labels, or R² of ridge regression for real ones.

    R² is 1 for perfect prediction, 0 for the mean of the training labels, negative for worse.
    """
    if np.issubdtype(np.asarray(style).dtype, np.integer):
        return linear_probe(embeddings, style, test_embeddings, test_style, classifier="logistic").test
    from sklearn.linear_model import Ridge

    Z, Z_test = _scaled(embeddings, test_embeddings)
    return float(Ridge(alpha=_RIDGE * len(Z)).fit(Z, np.asarray(style)).score(Z_test, np.asarray(test_style)))


def mlp_probe(
    embeddings: Train,
    labels: Int[Array, " n"],
    test_embeddings: Test,
    test_labels: Int[Array, " m"],
    *,
    hidden: int | None = None,
    epochs: int = PROBE_EPOCHS,
    seed: int = 0,
) -> float:
    """Return the test accuracy of a network with one hidden layer.

    It is trained by Adam at rate 3e-4, in batches of 64, for 200 epochs, and has as many hidden units as the embedding
    has dimensions, unless told otherwise (released code of Bizeul et al. 2024).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    Z, Z_test = _scaled(embeddings, test_embeddings)
    network = MLPClassifier(
        (hidden or Z.shape[1],),
        learning_rate_init=PROBE_LEARNING_RATE,
        batch_size=min(PROBE_BATCH, len(Z)),
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
        network.fit(Z, np.asarray(labels))
    return float(network.score(Z_test, np.asarray(test_labels)))


def cluster(
    embeddings: Train,
    test_embeddings: Test,
    test_labels: Int[Array, " m"],
    *,
    starts: int = MIXTURE_STARTS,
    seed: int = 0,
) -> Clustering:
    """Fit a mixture of as many Gaussians as there are test classes; compare the components of test points with them.

    The mixture never sees a test point, as in the released code of Bizeul et al. (2024).
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.mixture import GaussianMixture

    Z, Z_test = _scaled(embeddings, test_embeddings)
    classes, numbers = np.unique(np.asarray(test_labels), return_inverse=True)
    mixture = GaussianMixture(len(classes), reg_covar=1e-5, n_init=starts, random_state=seed)
    found = mixture.fit(Z).predict(Z_test)
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (found, numbers), 1)
    matched = counts[scipy.optimize.linear_sum_assignment(counts, maximize=True)].sum()
    return Clustering(
        float(matched / len(numbers)),
        float(normalized_mutual_info_score(numbers, found)),
        float(adjusted_rand_score(numbers, found)),
    )


def frechet_distance(features: Train, generated_features: Test) -> float:
    """Fréchet distance ‖m − m'‖² + tr(S + S' − 2(SS')^½) of Gaussians fitted to two sets of features.

    It is the FID of Heusel et al. (2017) only with features of the Inception network that they used; with others it is
    comparable among runs that use the same.

    Parameters
    ----------
    features, generated_features : array (n, d), (n', d)
        Features of real and of generated images, by an extractor of your choice; more images than dimensions.

    Raises
    ------
    DataError
        If there are too few images for a covariance.
    """
    parts = [np.asarray(part, np.float64) for part in (features, generated_features)]
    if min(map(len, parts)) <= parts[0].shape[1]:
        raise DataError(
            f"{min(map(len, parts))} images are too few for a covariance of {parts[0].shape[1]} features; give more."
        )
    (m, S), (m2, S2) = (
        (part.mean(axis=0), np.cov(part, rowvar=False, ddof=1).reshape(part.shape[1], -1)) for part in parts
    )
    root = scipy.linalg.sqrtm(S)
    # tr (SS')^½ = tr (S^½ S' S^½)^½, of a symmetric matrix
    mixed = np.linalg.eigvalsh((root @ S2 @ root).real)
    return float(np.square(m - m2).sum() + np.trace(S + S2) - 2 * np.sqrt(np.maximum(mixed, 0)).sum())


def _scaled(embeddings: Train, test_embeddings: Test) -> tuple[np.ndarray, np.ndarray]:
    """Centred, and divided by one number, the largest standard deviation of a dimension."""
    Z, Z_test = np.asarray(embeddings, np.float64), np.asarray(test_embeddings, np.float64)
    mean, scale = Z.mean(axis=0), Z.std(axis=0).max()
    if not scale > 0:
        raise ConfigError("A probe needs embeddings that differ and are finite; these have collapsed.")
    return (Z - mean) / scale, (Z_test - mean) / scale
