"""Bounds on the accuracy of a probe that need no constants but those that are at hand.

>>> from dynamics.trajectories.label_bounds import accuracy_margin, least_accuracy
>>> round(accuracy_margin(256), 3), least_accuracy(0.1)
(0.085, 0.8)
"""

import math

import numpy as np
from jaxtyping import Float, Shaped

from dynamics.errors import ConfigError
from dynamics.typing import Array


def accuracy_margin(images: int, confidence: float = 0.95) -> float:
    """How far the accuracy on so many held-out images may be from that on all images: √(ln(2/δ)/2m).

    The inequality of Hoeffding (1963, theorem 2) for the mean of m independent numbers between 0 and 1, here the share
    of each image's views that is classified correctly. It holds for any probe that never saw these images, and for
    images drawn from a finite set without replacement, too.

    Parameters
    ----------
    images : int
        Number m of held-out images.
    confidence : float
        1 − δ, between 0 and 1: how often both accuracies are at most so far apart.

    Raises
    ------
    ConfigError
        If there is no image, or the confidence is not between 0 and 1.
    """
    if images < 1 or not 0 < confidence < 1:
        raise ConfigError(f"A margin of {images} images at confidence {confidence}: give some, and 0 < confidence < 1.")
    return math.sqrt(math.log(2 / (1 - confidence)) / (2 * images))


def least_accuracy(squared_error: float) -> float:
    """What a squared error of a regression on one-hot labels guarantees of the accuracy: 1 − 2ε; nothing if negative.

    An example is classified wrongly only if the output of another class is at least as large as that of its own. Then
    the two outputs alone miss their targets, 0 and 1, by at least ½ in squares. So at most a share 2ε is wrong.

    Parameters
    ----------
    squared_error : float
        ε, the mean over the examples of the squared distance of outputs and one-hot labels.
    """
    return 1 - 2 * squared_error


def residual(embeddings: Float[Array, "views dim"], labels: Shaped[np.ndarray, " views"]) -> float:
    """Mean squared distance of one-hot labels from the span of embeddings and the constant, ‖(I − P)Y‖²/N.

    Parameters
    ----------
    embeddings : array (N, d)
        Embeddings, or the mode functions that span them.
    labels : array (N,)
        Classes.
    """
    Y = (np.asarray(labels)[:, None] == np.unique(labels)).astype(np.float64)
    design = np.column_stack([np.ones(len(Y)), np.asarray(embeddings, np.float64)])
    fitted = design @ np.linalg.lstsq(design, Y)[0]
    return float(np.square(Y - fitted).sum(axis=1).mean())
