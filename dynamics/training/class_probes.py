"""How well the classes of labelled images can be read off frozen features, measured again and again during training.

>>> from dynamics.training.class_probes import labelled_images
>>> images = labelled_images("digits")
>>> len(images.train), len(images.test)
(1348, 449)
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from dynamics.errors import ConfigError
from dynamics.trajectories.probes import knn_probe, linear_probe
from dynamics.typing import Array, Views
from dynamics.views import load_images
from dynamics.views.datasets import splits_of

FITTED, TESTED = 5000, 2000
"""Images that a probe is fitted to and tested on, where a data set has more."""

BATCH = 256


class LabelledImages(NamedTuple):
    """Images (n, h, w, c) in [0, 1] and their classes, to fit a probe to and to test it on."""

    train: Float[np.ndarray, "n h w c"]
    train_labels: Int[np.ndarray, " n"]
    test: Float[np.ndarray, "m h w c"]
    test_labels: Int[np.ndarray, " m"]


def labelled_images(dataset: str, data_dir: Path | None = None, image_size: int | None = None) -> LabelledImages:
    """Load the first `FITTED` images of the training split and the first `TESTED` of the test split.

    Where there is no test split, every fourth image is tested: of all digits, or of each class of images of your own.

    Parameters
    ----------
    dataset, data_dir, image_size
        As for `dynamics.views.load_images`.

    Raises
    ------
    DataError
        If the images cannot be loaded.
    ConfigError
        If the images have no classes, or too few of them are there to hold any out.
    """
    if "test" in splits_of(dataset):
        train = load_images(dataset, data_dir, limit=FITTED, image_size=image_size)
        test = load_images(dataset, data_dir, split="test", limit=TESTED, image_size=image_size)
        parts = train.images, train.labels, test.images, test.labels
    else:
        every = load_images(dataset, data_dir, limit=FITTED + TESTED, image_size=image_size)
        _require_classes(dataset, every.labels)
        tested = np.arange(len(every)) % 4 == 3 if dataset == "digits" else _fourths(every.labels)
        if not tested.any():
            raise ConfigError(f"{dataset} has fewer than four images of each class to probe for; leave `probes` out.")
        parts = every.images[~tested], every.labels[~tested], every.images[tested], every.labels[tested]
    _require_classes(dataset, parts[1])
    _require_classes(dataset, parts[3])
    return LabelledImages(*parts)


def _require_classes(dataset: str, labels: Int[np.ndarray, " n"] | None) -> None:
    if labels is None:
        raise ConfigError(f"{dataset} has no classes to probe for; leave `probes` out.")


def _fourths(labels: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Every fourth image of each class."""
    tested = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        tested[np.flatnonzero(labels == label)[3::4]] = True
    return tested


def class_accuracy(
    features: Callable[[Views], Float[Array, "views features"]], images: LabelledImages
) -> dict[str, float]:
    """Measure the test accuracy of a linear (least-squares) and of a 20-nearest-neighbours probe of the features.

    Parameters
    ----------
    features : callable
        Images in [0, 1] -> features, called on at most `BATCH` of them at a time.
    images : LabelledImages
        Images that the probes are fitted to and tested on.

    Returns
    -------
    dict
        `linear_accuracy` and `knn_accuracy`; NaN where all features are the same.
    """
    train, test = (_in_batches(features, part) for part in (images.train, images.test))
    if not np.ptp(train, axis=0).any():
        return {"linear_accuracy": np.nan, "knn_accuracy": np.nan}
    linear = linear_probe(train, images.train_labels, test, images.test_labels).test
    return {
        "linear_accuracy": linear,
        "knn_accuracy": knn_probe(train, images.train_labels, test, images.test_labels),
    }


def _in_batches(features: Callable[[Views], Array], images: Views) -> Float[np.ndarray, "views features"]:
    starts = range(0, len(images), BATCH)
    return np.concatenate([np.asarray(features(images[start : start + BATCH]), np.float64) for start in starts])
