"""Probes: what a simple classifier or a simple regression reads from frozen embeddings.

>>> import numpy as np
>>> from dynamics.trajectories.probes import linear_probe
>>> Z, labels = np.array([[-1.0], [-0.9], [0.9], [1.0]]), np.array([0, 0, 1, 1])
>>> linear_probe(Z, labels, 2 * Z, labels)
Accuracy(train=1.0, test=1.0)
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from dynamics.errors import ConfigError
from dynamics.trajectories.metrics import covariance_spectrum
from dynamics.typing import Array


class Accuracy(NamedTuple):
    """Shares of examples classified correctly, between 0 and 1."""

    train: float
    test: float


class Determination(NamedTuple):
    """Coefficients of determination R², 1 for perfect prediction and 0 for that of the mean; means over the targets."""

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

    Z, Z_test = _of_unit_scale(train_embeddings, test_embeddings, ridge)
    if classifier == "logistic":
        # scikit-learn weighs the sum of the losses by C beside ‖W‖²/2
        model = LogisticRegression(C=1 / (2 * ridge * len(Z)), max_iter=1000)
    else:
        model = RidgeClassifier(alpha=ridge * len(Z), solver="cholesky")
    return Accuracy(*_fitted(model, Z, train_labels, Z_test, test_labels))


def linear_regression(
    train_embeddings: Float[Array, "train dim"],
    train_targets: Float[Array, "train *targets"],
    test_embeddings: Float[Array, "test dim"],
    test_targets: Float[Array, "test *targets"],
    *,
    ridge: float = 1e-3,
) -> Determination:
    """R² of a linear regression of real targets on frozen embeddings, which are scaled as for `linear_probe`.

    Parameters
    ----------
    train_embeddings, train_targets : arrays (N, d), (N,) or (N, t)
        Embeddings and targets to which the regression is fitted.
    test_embeddings, test_targets : arrays (M, d), (M,) or (M, t)
        Embeddings and targets on which it is tested.
    ridge : float
        λ of the penalty λ‖W‖² beside the mean squared error over the examples.

    Raises
    ------
    ConfigError
        If all embeddings are equal, or the ridge is not positive.
    """
    from sklearn.linear_model import Ridge

    Z, Z_test = _of_unit_scale(train_embeddings, test_embeddings, ridge)
    model = Ridge(alpha=ridge * len(Z), solver="cholesky")
    return Determination(*_fitted(model, Z, train_targets, Z_test, test_targets))


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

    model = KNeighborsClassifier(**_nearest(neighbors, temperature, len(train_embeddings)))
    return _fitted(model, _array(train_embeddings), train_labels, _array(test_embeddings), test_labels)[1]


def knn_regression(
    train_embeddings: Float[Array, "train dim"],
    train_targets: Float[Array, "train *targets"],
    test_embeddings: Float[Array, "test dim"],
    test_targets: Float[Array, "test *targets"],
    *,
    neighbors: int = 20,
    temperature: float = 0.07,
) -> float:
    """Test R² of the weighted mean of the nearest neighbours' targets, with the weights of `knn_probe`.

    Parameters
    ----------
    train_embeddings, train_targets, test_embeddings, test_targets : arrays
        As for `linear_regression`.
    neighbors, temperature
        As for `knn_probe`.

    Raises
    ------
    ConfigError
        If there are fewer training examples than neighbours.
    """
    from sklearn.neighbors import KNeighborsRegressor

    model = KNeighborsRegressor(**_nearest(neighbors, temperature, len(train_embeddings)))
    return _fitted(model, _array(train_embeddings), train_targets, _array(test_embeddings), test_targets)[1]


def _array(embeddings: Array) -> np.ndarray:
    return np.asarray(embeddings, np.float64)


def _of_unit_scale(train: Array, test: Array, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """Both without the mean of the first, and divided by the largest standard deviation that it has in a direction."""
    if not ridge > 0:
        raise ConfigError(f"The ridge of a linear probe is {ridge}; give a positive number.")
    Z = _array(train)
    mean, scale = Z.mean(axis=0), np.sqrt(covariance_spectrum(Z)[0])
    if not scale > 0:
        raise ConfigError("A linear probe needs embeddings that differ and are finite; these have collapsed.")
    return (Z - mean) / scale, (_array(test) - mean) / scale


def _nearest(neighbors: int, temperature: float, examples: int) -> dict[str, Any]:
    """Settings of scikit-learn's neighbours: by cosine, weighted by exp(cos/τ)."""
    if not 1 <= neighbors <= examples:
        raise ConfigError(f"A k-NN probe of {neighbors} neighbours needs as many training examples, not {examples}.")
    return {"n_neighbors": neighbors, "metric": "cosine", "weights": lambda distance: np.exp(-distance / temperature)}


def _fitted(model: Any, Z: np.ndarray, labels: Array, Z_test: np.ndarray, test_labels: Array) -> tuple[float, float]:
    """Score of a model on what it was fitted to and on the rest: accuracy of a classifier, R² of a regression."""
    labels, test_labels = np.asarray(labels), np.asarray(test_labels)
    model.fit(Z, labels)
    return float(model.score(Z, labels)), float(model.score(Z_test, test_labels))
