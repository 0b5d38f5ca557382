"""Drawing positive pairs: images -> two augmented views of each; and the one entry for every source of pairs.

>>> pairs = load_pairs("digits", num_pairs=50, seed=0)
>>> pairs.x.shape, pairs.x.dtype
((50, 8, 8, 1), dtype('float32'))
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Key, Num

from dynamics.errors import ConfigError, DataError
from dynamics.support.compiled import FOR_ONE_RUN, comparable
from dynamics.support.files import brief
from dynamics.views.augment import Augmentation
from dynamics.views.datasets import Images, check_images, kind_of, load_images
from dynamics.views.intensities import intensities
from dynamics.views.pairs import Pairs
from dynamics.views.presets import TwoViews, default_augmentation
from dynamics.views.synthetic import geometric_spectrum, synthetic_pairs
from dynamics.views.written import check_augmentation, get_augmentation

SYNTHETIC_MODES = 16
SYNTHETIC_PAIRS = 128


def make_pairs(
    images: Images | Num[np.ndarray, "n ..."],
    augmentation: Augmentation | TwoViews,
    key: Key[jax.Array, ""],
    *,
    num_pairs: int | None = None,
    chunk: int = 256,
    standardise: bool = True,
) -> Pairs:
    """Draw images without replacement and make two independent views of each.

    Pair i depends on the key and on i alone: asking for more pairs keeps those that were there (up to the
    standardisation), and the chunk size does not matter.

    Parameters
    ----------
    images : Images or array (n, h, w, c) or (n, h, w)
        Intensities in [0, 1], or unsigned integers, which are divided by the largest of their type (`intensities`).
    augmentation : callable or TwoViews
        `(key, image (h, w, c)) -> view`, for both views or one for each.
    key : jax key
        Random key from which the images and, split per image and view, the augmentations are drawn.
    num_pairs : int, optional
        Number of pairs n; all images if None.
    chunk : int
        Number of images that are augmented at a time, which bounds the memory.
    standardise : bool
        Remove mean and scale of all views (`Pairs.standardised`).

    Returns
    -------
    Pairs
        float32 (num_pairs, *view shape).

    Raises
    ------
    DataError
        If there are fewer images than pairs, they are constant, not finite or not in [0, 1], or the augmentation does
        not fit them.
    ConfigError
        If `num_pairs` or `chunk` is below 1.
    """
    source = images.name if isinstance(images, Images) else "images"
    stack = images.images if isinstance(images, Images) else images
    views = augmentation if isinstance(augmentation, TwoViews) else TwoViews(augmentation, augmentation)
    views = TwoViews(comparable(views.first), comparable(views.second))  # the same recipe is compiled once
    if chunk < 1:
        raise ConfigError(f"chunk={chunk}: give at least 1.")
    draw_key, view_key = jax.random.split(key)
    rows = _draw(draw_key, len(stack), num_pairs, f"{source}: there are {len(stack):,} images")
    labels = images.labels[rows] if isinstance(images, Images) and images.labels is not None else None
    drawn = intensities(stack, rows, source)
    if (np.ptp(drawn.reshape(len(drawn), -1), axis=1) == 0).all():
        raise DataError(f"{source}: the {len(drawn):,} images drawn are constant, so there is nothing to learn.")

    chunk = min(chunk, len(drawn))
    parts = []
    for start in range(0, len(drawn), chunk):
        # the last chunk is filled up with the first images, so that only one shape is compiled
        index = np.arange(start, start + chunk, dtype=np.uint32) % len(drawn)
        parts.append(
            [np.asarray(view)[: len(drawn) - start] for view in _augment(views, view_key, index, drawn[index])]
        )
    x, x_prime = (np.concatenate(part) for part in zip(*parts, strict=True))
    pairs = Pairs(x, x_prime, source, labels)
    return pairs.standardised() if standardise else pairs


@partial(jax.jit, static_argnums=0, compiler_options=FOR_ONE_RUN)
def _augment(
    views: TwoViews, key: jax.Array, index: jax.Array | np.ndarray, images: jax.Array | np.ndarray
) -> tuple[jax.Array, jax.Array]:
    """Both views of a chunk of images; `index` numbers the pairs."""

    def two_views(index: jax.Array, image: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(jax.random.fold_in(key, index))
        if views.first == views.second:  # one recipe is compiled once, not once a view
            return tuple(jax.vmap(views.first, (0, None))(keys, image))
        return views.first(keys[0], image), views.second(keys[1], image)

    return jax.vmap(two_views)(index, images)


def load_pairs(
    dataset: str,
    *,
    data_dir: str | Path | None = None,
    num_pairs: int | None = None,
    augmentation: str | None = None,
    seed: int = 0,
    split: str = "train",
    standardise: bool = True,
    image_size: int | None = None,
) -> Pairs:
    """Load pairs from any source by name: the one entry of the command line.

    Parameters
    ----------
    dataset : str
        A data set or a path of `load_images`, the path of an `.npz` with arrays `x` and `x_prime`, or `synthetic`
        (vectors with the geometric spectrum 1, 0.7, 0.49, … of 16 modes, or fewer if there are fewer pairs).
    data_dir : path, optional
        Folder with the data set's official files.
    num_pairs : int, optional
        Pairs drawn without replacement; None for all there are (128 for `synthetic`).
    augmentation : str, optional
        A name in `AUGMENTATIONS`, or steps with strengths such as `crop:.5+noise:.1` (`get_augmentation`); the data
        set's default if None. Only images are augmented.
    seed : int
        Seed of the one key that everything is drawn with.
    split : str
        Split of the data set, such as `train` or `test`.
    standardise : bool
        Remove mean and scale of all views; never applied to `synthetic`, whose spectrum it would change.
    image_size : int, optional
        Side in pixels to which image files are brought, as by `load_images`.

    Returns
    -------
    Pairs
        The pairs. Their `source` names the data, the augmentation and the seed.

    Raises
    ------
    DataError
        If the data cannot be loaded, hold fewer pairs than asked for, or do not fit the augmentation.
    ConfigError
        If the augmentation is unknown, or is asked for where there are no images.
    """
    # before a download, not after it
    check_dataset(dataset, data_dir, augmentation=augmentation, split=split, image_size=image_size)
    key = jax.random.key(seed)
    kind = kind_of(dataset)
    if kind == "synthetic":
        return _synthetic(num_pairs, key, seed)
    if kind == "pairs":
        return _stored(dataset, num_pairs, key, standardise)
    images = load_images(dataset, data_dir, split=split, image_size=image_size)
    preset = default_augmentation(dataset) if augmentation is None else augmentation
    pairs, detail = _augmented(images, preset, key, num_pairs, standardise)
    return replace(pairs, source=f"{dataset} {split}, augmentation {detail}, seed {seed}")


def load_held_out(
    dataset: str,
    *,
    num_pairs: int,
    held_out: int,
    data_dir: str | Path | None = None,
    augmentation: str | None = None,
    seed: int = 0,
    split: str = "train",
    standardise: bool = True,
    image_size: int | None = None,
) -> Pairs:
    """Load pairs that `load_pairs` did not draw: views of further images of the same split, or the rest of an `.npz`.

    Parameters
    ----------
    dataset, data_dir, augmentation, seed, split, standardise, image_size
        As for the `load_pairs` of the training pairs. Mean and scale that are removed are those of the training pairs.
    num_pairs : int
        Number n of training pairs, which are left out.
    held_out : int
        Number of pairs to load, or as many as there are.

    Raises
    ------
    DataError
        If the data cannot be loaded, or hold no pairs besides those that are trained on.
    ConfigError
        As for `load_pairs`.
    """
    if dataset == "synthetic":
        raise DataError("synthetic: its pairs have no labels, so that none are held out for them; choose a data set.")
    check_dataset(dataset, data_dir, augmentation=augmentation, split=split, image_size=image_size)
    images = None if kind_of(dataset) == "pairs" else load_images(dataset, data_dir, split=split, image_size=image_size)
    available = Pairs.count(dataset) if images is None else len(images)
    if available <= num_pairs:
        raise DataError(
            f"{dataset}: all of its {available:,} pairs are trained on, so that none is held out; lower `num_pairs`."
        )
    key, wanted = jax.random.key(seed), min(available, num_pairs + held_out)
    if images is None:
        drawn = _stored(dataset, wanted, key, standardise=False)
    else:
        preset = default_augmentation(dataset) if augmentation is None else augmentation
        drawn, detail = _augmented(images, preset, key, wanted, standardise=False)
        drawn = replace(drawn, source=f"{dataset} {split}, augmentation {detail}, seed {seed}")
    rest = drawn.rows(slice(num_pairs, None))
    return rest.standardised(like=drawn.rows(slice(num_pairs))) if standardise else rest


def check_dataset(
    dataset: str,
    data_dir: str | Path | None = None,
    *,
    augmentation: str | None = None,
    split: str = "train",
    image_size: int | None = None,
) -> None:
    """Say at once what `load_pairs` would find missing; nothing is loaded or downloaded.

    Parameters and errors are those of `load_pairs`.
    """
    kind = kind_of(dataset)
    if kind in ("synthetic", "pairs"):
        if augmentation not in (None, "none"):
            raise ConfigError(
                f"{dataset}: holds pairs already, so augmentation `{augmentation}` has no images to work on."
            )
        if image_size is not None:
            raise ConfigError(f"`image_size` is for image files, and {brief(dataset)} holds none; leave it out.")
        if kind == "pairs":
            Pairs.check(dataset)
        return
    if augmentation is not None:
        check_augmentation(augmentation)
    check_images(dataset, data_dir, split=split, image_size=image_size)


def _synthetic(num_pairs: int | None, key: jax.Array, seed: int) -> Pairs:
    n = SYNTHETIC_PAIRS if num_pairs is None else num_pairs
    if n < 1:
        raise ConfigError(f"num_pairs={n}: give at least 1.")
    pairs = synthetic_pairs(geometric_spectrum(min(SYNTHETIC_MODES, n)), n, key)
    return Pairs(pairs.x, pairs.x_prime, f"{pairs.source}, seed {seed}")


def _augmented(
    images: Images, preset: str, key: jax.Array, num_pairs: int | None, standardise: bool
) -> tuple[Pairs, str]:
    """Pairs of images by a named augmentation, and what their source says of it."""
    views = get_augmentation(preset, images.shape)
    pairs = make_pairs(images, views, key, num_pairs=num_pairs, standardise=standardise)
    return pairs, f"{preset} ({views.note})" if views.note else preset


def _stored(path: str, num_pairs: int | None, key: jax.Array, standardise: bool) -> Pairs:
    def chosen(available: int) -> np.ndarray:
        return _draw(key, available, num_pairs, f"{path}: there are {available:,} pairs")

    pairs = Pairs.load(path, choose=None if num_pairs is None else chosen)
    return pairs.standardised() if standardise else pairs


def _draw(key: jax.Array, available: int, wanted: int | None, there_are: str) -> np.ndarray:
    """Rows drawn without replacement; a larger draw begins with the smaller one."""
    wanted = available if wanted is None else wanted
    if wanted < 1:
        raise ConfigError(f"num_pairs={wanted}: give at least 1.")
    if wanted > available:
        raise DataError(f"{there_are}, fewer than the {wanted:,} pairs asked for; lower num_pairs.")
    return np.asarray(jax.random.permutation(key, available))[:wanted]
