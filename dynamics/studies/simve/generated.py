"""How far generated images are from real ones, by the features of a classifier that was trained on the data set itself.

The FID of Heusel et al. (2017) needs the weights of their Inception network. The distance here has the same formula and
another space of features; it goes by another name, and its numbers compare methods on one data set and nothing else.
"""

import warnings
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

Extractor = Callable[[np.ndarray], np.ndarray]
"""Images (n, h, w, c) -> features (n, units)."""

HIDDEN = 32
EPOCHS = 60


def classifier_features(
    images: Float[np.ndarray, "n h w c"], labels: Int[np.ndarray, " n"], *, seed: int = 0
) -> Extractor:
    """Train a classifier with one hidden layer, and return the map to the activations of that layer.

    Parameters
    ----------
    images : array (n, h, w, c)
        Real images with intensities in [0, 1].
    labels : array (n,)
        Their classes.
    seed : int
        Seed of the classifier's weights and batches.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    classifier = MLPClassifier((HIDDEN,), max_iter=EPOCHS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
        classifier.fit(np.reshape(images, (len(images), -1)), labels)
    W, b = classifier.coefs_[0], classifier.intercepts_[0]
    return lambda views: np.maximum(np.reshape(views, (len(views), -1)) @ W + b, 0.0)
