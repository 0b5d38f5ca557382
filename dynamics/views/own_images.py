"""Images of a user: an `.npz`, a folder of image files, or a Hugging Face data set on the disk.

All three become whole stacks of unsigned integers or intensities, which `dynamics.views.intensities` checks and scales.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     np.savez(f"{folder}/mine.npz", images=np.zeros((5, 8, 8, 3), np.uint8), labels=np.arange(5))
...     images, labels, note = read_own("images", f"{folder}/mine.npz")
>>> images.shape, labels.tolist(), note.split(" in ")[0]
((5, 8, 8, 3), [0, 1, 2, 3, 4], '5 images')
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dynamics.errors import CapacityError, ConfigError, DataError
from dynamics.support.archives import open_npz
from dynamics.support.files import brief, cause, expanded
from dynamics.support.npy import require_memory
from dynamics.support.optional import optional
from dynamics.views.image_files import decoded, folder_splits, image_files, plain_pixels
from dynamics.views.intensities import intensities

OwnKind = Literal["images", "folder", "hugging-face"]
"""An .npz with `images`, a folder of image files, or what `save_to_disk` of Hugging Face's datasets wrote."""

Read = tuple[np.ndarray, np.ndarray | None, str]
"""Images (n, h, w, c) in [0, 1], their labels (n,) or None, and a note on what was found."""

_FLOAT_BYTES = 4
_SAVED = ("dataset_dict.json", "dataset_info.json")  # what save_to_disk writes beside the data


def folder_kind(path: Path) -> OwnKind:
    """Whether a folder holds image files or a Hugging Face data set."""
    return "hugging-face" if any((path / name).is_file() for name in _SAVED) else "folder"


def own_splits(kind: OwnKind, dataset: str) -> tuple[str, ...]:
    """Splits of a user's images: those that the data set or the folder names, or `train` alone."""
    path = expanded(dataset)
    if kind == "folder":
        return folder_splits(path)
    if kind == "hugging-face" and (path / _SAVED[0]).is_file():
        return tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir()))
    return ("train",)


def read_own(
    kind: OwnKind, dataset: str, split: str = "train", limit: int | None = None, size: int | None = None
) -> Read:
    """Read the images of a user.

    Parameters
    ----------
    kind : {"images", "folder", "hugging-face"}
        What the path leads to.
    dataset : str
        The path.
    split : str
        One of `own_splits`.
    limit : int, optional
        Number of images to read, the first ones; all by default.
    size : int, optional
        Side in pixels to which images are brought; see `dynamics.views.load_images`.

    Raises
    ------
    DataError
        If the images cannot be read, are not in [0, 1] or have different shapes.
    ConfigError
        If a size is given for an `.npz`, or the package `datasets` is needed and not installed.
    CapacityError
        If the images do not fit into the memory that is left.
    """
    path = expanded(dataset)
    if kind == "images":
        return _read_npz(path, limit, size)
    if kind == "hugging-face":
        return _read_hugging_face(path, split, limit, size)
    return _read_folder(path, split, limit, size)


def require_own(kind: OwnKind, dataset: str, split: str, size: int | None = None) -> None:
    """Say at once what `read_own` would find missing, without reading an image; errors are those of `read_own`."""
    splits = own_splits(kind, dataset)
    if split not in splits:
        raise DataError(f"{brief(dataset)}: there is no split `{split}`; it has {', '.join(splits)}.")
    if kind == "images" and size is not None:
        raise ConfigError("`image_size` is for image files, and the images of an .npz have one size; leave it out.")
    if kind == "folder":
        image_files(expanded(dataset), split)
    if kind == "hugging-face":
        _hugging_face()


def _read_npz(path: Path, limit: int | None, size: int | None) -> Read:
    require_own("images", str(path), "train", size)
    with open_npz(path) as archive:
        shape = archive.shape("images")
        there = shape[0] if shape else 0
        rows = np.arange(there if limit is None else min(limit, there))
        images = archive.read("images", rows if len(rows) < there else None)
        labels = archive.read("labels") if "labels" in archive.names else None
    if not there or not images.size:
        raise DataError(f"{path}: `images` has the shape {shape}, so there is no image; give (n, h, w, c), n ≥ 1.")
    if labels is not None and labels.shape != (there,):
        raise DataError(f"{path}: `labels` has the shape {labels.shape}; give one label for each of {there:,} images.")
    classes = None if labels is None else _classes(labels[: len(images)], f"{path}: `labels`")
    return _checked(images, classes, f"{path}: `images`", str(path))


def _read_folder(path: Path, split: str, limit: int | None, size: int | None) -> Read:
    files, names, others = image_files(path, split)
    chosen = files[:limit]
    where = f"{path}" if names is None else f"{path}, in folders of {len(names)} classes"
    if others:
        where += f" ({others:,} other files are no images and were left out)"
    images = _stacked((decoded(file, size) for file in chosen), [str(file) for file in chosen], str(path))
    labels = None if names is None else np.array([names.index(file.parent.name) for file in chosen], np.int64)
    return _checked(images, labels, str(path), where)


def _read_hugging_face(path: Path, split: str, limit: int | None, size: int | None) -> Read:
    datasets = _hugging_face()
    try:
        stored = datasets.load_from_disk(str(path))
    except Exception as error:  # the library raises many kinds for damaged files
        raise DataError(f"{path}: cannot be read as a Hugging Face data set ({cause(error)}).") from error
    stored = stored[split] if isinstance(stored, datasets.DatasetDict) else stored
    images = [name for name, feature in stored.features.items() if isinstance(feature, datasets.Image)]
    classes = [name for name, feature in stored.features.items() if isinstance(feature, datasets.ClassLabel)]
    if len(images) != 1:
        has = f"it has {', '.join(images or stored.features) or 'none'}"
        raise DataError(f"{path}: give a data set with one column of images; {has}.")
    chosen = stored.select(range(len(stored) if limit is None else min(limit, len(stored))))
    rows = [f"{path}: row {row}" for row in range(len(chosen))]
    pictures = (_picture(chosen, row, images[0], rows[row], size) for row in range(len(chosen)))
    pixels = _stacked(pictures, rows, str(path))
    labels = np.asarray(chosen[classes[0]][:], np.int64) if len(classes) == 1 else None
    if labels is not None and labels.min() < 0:  # how the library says that a row has none
        labels = None
    return _checked(pixels, labels, str(path), f"column {images[0]} of {path}, split {split}")


def _hugging_face() -> Any:
    return optional("datasets", "A Hugging Face data set on the disk")


def _picture(stored: Any, row: int, column: str, name: str, size: int | None) -> np.ndarray:
    try:
        picture = stored[row][column]
    except Exception as error:  # a damaged file inside of the table
        raise DataError(f"{name} cannot be read as an image ({cause(error)}); remove or repair it.") from error
    if picture is None:
        raise DataError(f"{name} has no image; remove it.")
    return plain_pixels(picture, name, size)


def _stacked(pictures: Iterable[np.ndarray], names: list[str], source: str) -> np.ndarray:
    """Stack (n, h, w, c) of uint8 pictures; grey ones among coloured ones get three equal channels."""
    stack: list[np.ndarray] = []
    for picture in pictures:
        if not stack:
            _require_room(len(names) * picture.size * (1 + _FLOAT_BYTES), source)
        elif picture.shape[:2] != stack[0].shape[:2]:
            (one, other), number = (_sides(stack[0]), _sides(picture)), len(stack)
            raise DataError(
                f"{source}: images have different sizes ({names[0]} is {one} pixels, {names[number]} {other}); give "
                "`image_size`, to which they are scaled and cropped."
            )
        stack.append(picture)
    if not stack:
        raise DataError(f"{source}: holds no image.")
    if len({picture.shape[2] for picture in stack}) > 1:
        stack = [np.broadcast_to(picture, (*picture.shape[:2], 3)) for picture in stack]
    return np.stack(stack)


def _sides(picture: np.ndarray) -> str:
    return f"{picture.shape[1]}×{picture.shape[0]}"


def _require_room(nbytes: int, source: str) -> None:
    try:
        require_memory(nbytes)
    except CapacityError as error:
        raise CapacityError(f"{source}: {error}; use fewer or smaller images.") from error


def _classes(labels: np.ndarray, name: str) -> np.ndarray:
    """Whole numbers for labels that are whole numbers, booleans or text."""
    if labels.dtype.kind in "iub":
        return labels.astype(np.int64)
    if labels.dtype.kind == "U":
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)
    raise DataError(f"{name} have dtype {labels.dtype}; give classes as whole numbers or text.")


def _checked(images: np.ndarray, labels: np.ndarray | None, name: str, where: str) -> Read:
    """Intensities in [0, 1] through the one gate of images, and the note on them."""
    pixels = intensities(images, np.arange(len(images)), name)
    note = f"{len(pixels):,} images in {where}"
    return pixels, labels, note if labels is not None else f"{note}, without labels"
