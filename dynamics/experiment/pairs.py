"""The first stage of an experiment: its positive pairs, augmented images or the fibers of an equivariant network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from dynamics.errors import ConfigError
from dynamics.networks import FiberPairs, PlaneGroup
from dynamics.support.one_line import one_line
from dynamics.views import Pairs, load_held_out, load_pairs
from dynamics.views.datasets import kind_of

DEFAULT_NUM_PAIRS = 64

HELD_OUT = 256
"""Pairs on which probes of labels are tested."""


@dataclass(frozen=True, eq=False)
class GroupPairs:
    """Pairs that a group makes of images.

    Parameters
    ----------
    images : array (n, h, w, c)
        Images of which the pairs are made.
    law : FiberPairs
        Law that says which two group elements make a pair.
    drawn : array
        The elements that were drawn, as `law.draw` returns them.
    pairs : Pairs
        The transformed images. Fibers of one pass over `images` make the same embeddings.
    """

    images: np.ndarray
    law: FiberPairs
    drawn: np.ndarray
    pairs: Pairs

    __repr__ = one_line


def dataset_pairs(
    dataset: str,
    *,
    data_dir: Path | None,
    num_pairs: int | None,
    augmentation: str | None,
    seed: int,
    image_size: int | None = None,
) -> Pairs:
    """Load augmented pairs of a data set, `DEFAULT_NUM_PAIRS` by default, or the pairs of an .npz, by default all.

    Raises
    ------
    DataError, ConfigError
        If the data cannot be loaded.
    """
    return load_pairs(
        dataset,
        data_dir=data_dir,
        num_pairs=num_pairs or (None if kind_of(dataset) == "pairs" else DEFAULT_NUM_PAIRS),
        augmentation=augmentation,
        seed=seed,
        image_size=image_size,
    )


def held_out_pairs(
    dataset: str,
    num_pairs: int,
    *,
    data_dir: Path | None,
    augmentation: str | None,
    seed: int,
    image_size: int | None = None,
) -> Pairs:
    """Load `HELD_OUT` pairs besides the n that `dataset_pairs` loads, or as many as there are.

    Raises
    ------
    DataError, ConfigError
        If the data cannot be loaded, or no pairs are left.
    """
    return load_held_out(
        dataset,
        num_pairs=num_pairs,
        held_out=HELD_OUT,
        data_dir=data_dir,
        augmentation=augmentation,
        seed=seed,
        image_size=image_size,
    )


def group_pairs(
    dataset: str,
    kind: Literal["group", "fibers"],
    group: str,
    *,
    distance: int | None,
    window: int | None,
    data_dir: Path | None,
    num_pairs: int | None,
    seed: int,
    image_size: int | None = None,
) -> GroupPairs:
    """Load images and draw two elements of a group for each.

    Parameters
    ----------
    dataset, data_dir, num_pairs, seed, image_size
        Data set, folder of its files, number of pairs, seed and side of the images, as for `dataset_pairs`.
    kind : {"group", "fibers"}
        Name for the pairs in their description; the pairs are the same.
    group : str
        Name of a `PlaneGroup`.
    distance, window : int, optional
        A fixed topographic distance of partners, or the largest one; by default partners are independent (Haar).

    Raises
    ------
    DataError, ConfigError
        If the data cannot be loaded, or are no images.
    """
    which = {"data_dir": data_dir, "num_pairs": num_pairs, "seed": seed, "image_size": image_size}
    images = dataset_pairs(dataset, augmentation="none", **which).x
    if images.ndim != 4:
        raise ConfigError(f"pairs={kind!r} needs images; `{dataset}` has views of shape {images.shape[1:]}.")
    plane_group = PlaneGroup(group, *images.shape[1:3])
    if distance is not None:
        law, name = FiberPairs.at_distance(plane_group, distance), f"distance {distance}"
    elif window is not None:
        law, name = FiberPairs.within(plane_group, window), f"window {window}"
    else:
        law, name = FiberPairs.haar(plane_group), "Haar"
    key = jax.random.fold_in(jax.random.key(seed), 1)  # the images are drawn with the key itself
    drawn = np.asarray(law.draw(key, len(images)))
    what = "pairs of fibers" if kind == "fibers" else "images transformed"
    source = f"{dataset} train, {what} by {group} ({name}), seed {seed}"
    x, x_prime = np.split(law.augment(images, drawn), 2)
    return GroupPairs(images, law, drawn, Pairs(x, x_prime, source=source))
