"""Images with labels, by the name of a data set or the path of one: digits, official data sets, or images of a user.

>>> from dynamics.views import load_images
>>> digits = load_images("digits")
>>> digits.images.shape, digits.labels[:5].tolist()
((1797, 8, 8, 1), [0, 1, 2, 3, 4])
"""

import logging
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from dynamics.errors import ConfigError, DataError
from dynamics.support.archives import open_npz
from dynamics.support.bounds import ImageSize, require_within
from dynamics.support.files import brief, expanded
from dynamics.support.one_line import one_line
from dynamics.views.official import DATASETS, locate, read_official
from dynamics.views.own_images import OwnKind, folder_kind, own_splits, read_own, require_own

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Images:
    """A stack of images.

    Parameters
    ----------
    images : float32 array (n, h, w, c)
        Intensities in [0, 1].
    labels : int array (n,), optional
        Classes, from 0 on; None where there are none.
    name : str
        Name of the data set.
    note : str
        How many images were found, and in which files.
    """

    images: Float[np.ndarray, "n h w c"]
    labels: Int[np.ndarray, "n"] | None = None
    name: str = "images"
    note: str = ""

    __repr__ = one_line

    def __len__(self) -> int:
        """Return the number of images n."""
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (h, w, c) of one image."""
        return self.images.shape[1:]


NAMES = ("digits", *DATASETS)
"""Data sets that are known by a name; `digits` is embedded in scikit-learn."""

Kind = Literal["named", "synthetic", "pairs"] | OwnKind
"""What a data set is: one of `NAMES`, vectors made on the spot, an .npz of pairs, or images of the user."""


def kind_of(dataset: str) -> Kind:
    """What the name or the path of a data set stands for; the one place that decides it.

    A name comes before a folder that is called like it, which `./NAME` stands for.

    Raises
    ------
    DataError
        If it is neither a name nor a path, or an .npz holds neither images nor pairs.
    """
    if dataset == "synthetic":
        return "synthetic"
    if dataset in NAMES:
        return "named"
    if dataset.lower().endswith(".npz"):
        return _stored_kind(dataset)
    if dataset and os.path.isdir(expanded(dataset)):
        return folder_kind(expanded(dataset))
    raise DataError(
        f"There is no data set `{brief(dataset)}`; known are {', '.join(NAMES)}, synthetic, and paths: of an .npz, of "
        "a folder of images, or of a Hugging Face data set."
    )


def load_images(
    dataset: str,
    data_dir: str | Path | None = None,
    *,
    split: str = "train",
    limit: int | None = None,
    image_size: int | None = None,
) -> Images:
    """Load the images of a data set by its name or path.

    Parameters
    ----------
    dataset : str
        `digits`, `mnist`, `fashion-mnist`, `cifar10` or `stl10`; or the path of images of your own: an `.npz` with
        `images` (n, h, w, c) and, if there are any, `labels` (n,); a folder of image files, or of one folder for each
        class; or what `save_to_disk` of Hugging Face's `datasets` wrote, with one column of images.
    data_dir : path, optional
        Folder with the official files, or with a subfolder called like the data set. Some of the official batches are
        enough; `note` says how many images were found. Without it the files are downloaded once, checked against
        their published checksums and kept in the cache (`DYNAMICS_DATA`, or the operating system's).
    split : str
        `train` or `test`; STL-10 also has `unlabeled` (100,000 images, 11 GB as float32: give a limit), and `digits`
        has `train` alone, all 1,797 images. A folder with the subfolders `train` and `test` has these two splits, and a
        Hugging Face data set those that it names; other images of your own have `train` alone.
    limit : int, optional
        Number of images to load, the first in the order of the files; all by default. Classes that are folders come by
        turns.
    image_size : int, optional
        Side s in pixels for image files: the largest square in the middle of each is scaled to s × s. By default they
        stay as they are, and must all have one size.

    Returns
    -------
    Images
        float32 (n, h, w, c) in [0, 1].

    Raises
    ------
    DataError
        If the data set or the split is unknown, the folder lacks the files, a file is damaged, a download fails, or
        what there is are no images of one size.
    ConfigError
        If `image_size` is given for a data set whose images have a size, or a package that reads it is not installed.
    CapacityError
        If the images do not fit into the memory that is left.
    """
    check_images(dataset, data_dir, split=split, image_size=image_size)
    if limit is not None and limit < 1:
        raise DataError(f"{dataset}: a limit of {limit} images leaves nothing; give at least 1.")
    kind = kind_of(dataset)
    labels: np.ndarray | None
    if dataset == "digits":
        pixels, labels, note = _digits(limit)
    elif kind == "named":
        pixels, labels, note = read_official(dataset, data_dir, split, limit)
    else:
        pixels, labels, note = read_own(kind, dataset, split, limit, image_size)
    log.info("%s %s: %s", dataset, split, note)
    return Images(pixels, labels, dataset, note)


def splits_of(dataset: str) -> tuple[str, ...]:
    """Splits that the images of a data set have.

    Raises
    ------
    DataError
        If there is no such data set, or it holds no images.
    """
    kind = kind_of(dataset)
    if kind in ("synthetic", "pairs"):
        what = "pairs of views" if kind == "pairs" else "vectors"
        raise DataError(
            f"{brief(dataset)}: holds {what}, and images are needed here; save some with np.savez(path, images=images)."
        )
    if kind == "named":
        return ("train",) if dataset == "digits" else tuple(DATASETS[dataset].splits)
    return own_splits(kind, dataset)


def check_images(
    dataset: str, data_dir: str | Path | None = None, *, split: str = "train", image_size: int | None = None
) -> None:
    """Say at once what `load_images` would find missing; nothing is loaded or downloaded.

    Parameters
    ----------
    dataset, data_dir, split, image_size
        As for `load_images`. Of a data set with a name only the name is checked where no folder is given.

    Raises
    ------
    DataError
        If the data set or the split is unknown, or the folder lacks the files.
    ConfigError
        As for `load_images`.
    """
    require_within("image_size", image_size, ImageSize)
    kind, splits = kind_of(dataset), splits_of(dataset)
    if kind != "named":
        if data_dir is not None:
            raise ConfigError(f"`data_dir` is for data sets with a name, and {brief(dataset)} is a path; leave it out.")
        require_own(kind, dataset, split, image_size)
        return
    if split not in splits:
        raise DataError(f"{dataset}: there is no split `{split}`; it has {', '.join(splits)}.")
    if image_size is not None:
        raise ConfigError(f"`image_size` is for image files, and the images of {dataset} have one size; leave it out.")
    if data_dir is None:
        return
    if dataset == "digits" and not os.path.isdir(expanded(data_dir)):  # it is not needed, and must have been a mistake
        raise DataError(f"{brief(data_dir)}: no such folder; leave `data_dir` out, since digits need no files.")
    if dataset != "digits":
        locate(dataset, data_dir, split)


def _stored_kind(path: str) -> Kind:
    """Whether an .npz holds images or pairs."""
    with open_npz(path) as archive:
        names = set(archive.names)
    if {"x", "x_prime"} & names:
        return "pairs"
    if "images" in names:
        return "images"
    raise DataError(
        f"{brief(path)}: holds {sorted(names)}; save images with np.savez(path, images=images), or pairs with "
        "np.savez(path, x=x, x_prime=x_prime)."
    )


def _digits(limit: int | None) -> tuple[np.ndarray, np.ndarray, str]:
    """The digits that come with scikit-learn, read from its file: to import the library takes seconds."""
    spec = find_spec("sklearn")
    folders = [] if spec is None else spec.submodule_search_locations or []
    path = next((Path(folder, "datasets", "data", "digits.csv.gz") for folder in folders), None)
    if path is None or not path.is_file():
        raise DataError(
            "The digits come with scikit-learn, whose datasets/data/digits.csv.gz is missing; reinstall it."
        )
    rows = np.loadtxt(path, delimiter=",", max_rows=limit, ndmin=2)
    pixels = (rows[:, :-1].reshape(-1, 8, 8, 1) / 16).astype(np.float32)  # 17 grey levels, 0 … 16
    return pixels, rows[:, -1].astype(np.int64), f"{len(pixels):,} images embedded in scikit-learn"
