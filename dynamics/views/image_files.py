"""Files of images: which of a folder's are taken, and their pixels as 8-bit grey or colour values."""

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8

from dynamics.errors import DataError
from dynamics.support.files import brief, cause

Pixels = UInt8[np.ndarray, "h w c"]
Item = TypeVar("Item")

_SPLITS = ("train", "test")
_GREY, _COLOUR, _TRANSPARENT = ("1", "L"), ("RGB", "P", "CMYK", "YCbCr"), ("RGBA", "LA", "PA")


def folder_splits(path: Path) -> tuple[str, ...]:
    """`train` and `test` where the folder has subfolders called so, else `train` alone."""
    named = tuple(name for name in _SPLITS if (path / name).is_dir())
    return named if "train" in named else ("train",)


def image_files(path: Path, split: str = "train") -> tuple[list[Path], list[str] | None, int]:
    """Files of images of a folder.

    Parameters
    ----------
    path : Path
        Folder that holds the images themselves or one folder of them for each class, either of it inside of a folder
        `train` if there is one.
    split : str
        `train`, or `test` where the folder has both.

    Returns
    -------
    files : list of Path
        The files in the order of their names; those of the classes by turns, so that the first ones have all classes.
    classes : list of str or None
        Names of the folders of classes, in order; None if there are none.
    others : int
        Number of files that are no images, by the end of their names.

    Raises
    ------
    DataError
        If there is no image, there are images beside folders, folders inside of a class, or the folder cannot be read.
    """
    root = path / split if (path / "train").is_dir() else path
    files, folders, others = _listed(root)
    if files and folders:
        raise DataError(
            f"{root}: holds images beside folders ({folders[0].name}); put all images into it, or all into one folder "
            "for each class."
        )
    classes = []
    for folder in folders:
        inside, deeper, more = _listed(folder)
        if deeper:
            raise DataError(f"{deeper[0]}: is a folder inside of the folder of a class, which is not read; move it.")
        others += more
        if inside:
            classes.append(inside)
    if not files and not classes:
        raise DataError(f"{root}: holds no image; give a folder with files such as .png or .jpg.")
    if not classes:
        return files, None, others
    return by_turns(classes), [inside[0].parent.name for inside in classes], others


def by_turns(groups: Iterable[list[Item]]) -> list[Item]:
    """First items of all groups, then the second ones, and so on, until every group is at its end.

    >>> by_turns([["a", "b"], ["1"]])
    ['a', '1', 'b']
    """
    groups = list(groups)
    return [group[i] for i in range(max(map(len, groups))) for group in groups if i < len(group)]


def decoded(path: Path, size: int | None = None) -> Pixels:
    """Pixels of an image file, as they are shown.

    Parameters
    ----------
    path : Path
        The file.
    size : int, optional
        Side in pixels; by default the image stays as it is.

    Raises
    ------
    DataError
        If the file is no image, or `plain_pixels` refuses it.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return plain_pixels(picture, str(path), size)
    except DataError:
        raise
    except Exception as error:  # each format raises its own kind for a damaged file
        raise DataError(f"{path}: cannot be read as an image ({cause(error)}); remove or repair it.") from error


def plain_pixels(picture: Any, name: str, size: int | None = None) -> Pixels:
    """Pixels of an image of Pillow: (h, w, 1) if it is grey, else (h, w, 3), turned as its camera says.

    With a size s, the largest square in its middle is scaled to s × s.

    Raises
    ------
    DataError
        If it has several frames, transparent pixels, or another depth than 8 bits.
    """
    from PIL import Image, ImageOps

    if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":  # a photo, with a preview as another frame
        raise DataError(f"{name}: has {picture.n_frames} frames; save each as an image of its own.")
    if picture.mode in _TRANSPARENT or "transparency" in picture.info:
        picture = _opaque(picture.convert("RGBA"), name, grey=picture.mode in ("LA", *_GREY))
    if picture.mode not in (*_GREY, *_COLOUR):
        raise DataError(f"{name}: has pixels of the kind {picture.mode}; save it with 8 bits a channel, grey or RGB.")
    picture = ImageOps.exif_transpose(picture).convert("L" if picture.mode in _GREY else "RGB")
    if size is not None:
        picture = ImageOps.fit(picture, (size, size), method=Image.Resampling.BICUBIC)
    pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _opaque(picture: Any, name: str, grey: bool) -> Any:
    if picture.getextrema()[3][0] < 255:
        raise DataError(f"{name}: has transparent pixels, whose colour is not known; save it without transparency.")
    return picture.convert("L" if grey else "RGB")


def _listed(folder: Path) -> tuple[list[Path], list[Path], int]:
    """Images and folders of a folder by name, and the number of its other files; hidden ones do not count."""
    from PIL import Image

    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    try:
        entries = sorted((entry for entry in os.scandir(folder) if not entry.name.startswith(".")), key=_name)
        folders = [Path(entry.path) for entry in entries if entry.is_dir()]
        files = [Path(entry.path) for entry in entries if not entry.is_dir()]
    except OSError as error:
        raise DataError(f"{brief(folder)}: cannot be read ({cause(error)}).") from error
    images = [file for file in files if file.suffix.lower() in known]
    return images, folders, len(files) - len(images)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name
