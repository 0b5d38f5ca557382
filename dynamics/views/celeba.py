"""CelebA (Liu et al. 2015) with its attributes, from the official files that a user has downloaded by hand.

Its terms leave the download to the user. Faces are the central 148×148 of the 178×218 aligned pixels, resized.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dynamics.errors import DataError
from dynamics.views.datasets import Images

FOLDER, ATTRIBUTES, PARTITION = "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"
SPLITS = {"train": 0, "validation": 1, "test": 2}
HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")

_CROP = 148


def load_celeba(
    data_dir: str | Path | None, *, split: str = "train", size: int = 64, limit: int | None = None
) -> tuple[Images, dict[str, np.ndarray]]:
    """Load faces and their style.

    Parameters
    ----------
    data_dir : path
        Folder, or one with a subfolder `celeba`, that holds `img_align_celeba/`, `list_attr_celeba.txt` and
        `list_eval_partition.txt`.
    split : {"train", "validation", "test"}
        Part of the official partition.
    size : int
        Side of the images, in pixels.
    limit : int, optional
        Number of images to load, the first of the split; all by default.

    Returns
    -------
    Images
        float32 (n, size, size, 3) in [0, 1].
    dict
        `gender` (0 or 1) and `hair` (0 … 3 for black, blond, brown, grey, 4 for none or several of them), int (n,).

    Raises
    ------
    DataError
        If the folder or a file is missing or damaged, or the split is unknown.
    """
    from PIL import Image

    if split not in SPLITS:
        raise DataError(f"celeba: there is no split `{split}`; it has {', '.join(SPLITS)}.")
    folder = _folder(data_dir)
    part = {name: int(fields[0]) for name, *fields in _rows(folder / PARTITION)}
    header, *rows = _rows(folder / ATTRIBUTES)[1:]  # the first row counts them
    columns = {name: index for index, name in enumerate(header, start=1)}
    missing = [name for name in ("Male", *HAIR) if name not in columns]
    if missing:
        raise DataError(f"{folder / ATTRIBUTES}: has no attribute {missing[0]}; it is not the official file.")
    chosen = [row for row in rows if part.get(row[0]) == SPLITS[split]][:limit]
    if not chosen:
        raise DataError(f"{folder}: lists no image of the split `{split}`.")
    images = np.empty((len(chosen), size, size, 3), np.float32)
    for index, (name, *_) in enumerate(chosen):
        path = folder / FOLDER / name
        try:
            with Image.open(path) as image:
                left, top = (image.width - _CROP) // 2, (image.height - _CROP) // 2
                face = image.convert("RGB").crop((left, top, left + _CROP, top + _CROP))
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read as an image ({error}); unpack the official archive again."
            ) from error
        images[index] = np.asarray(face.resize((size, size), Image.Resampling.BILINEAR), np.float32) / 255
    has = {name: np.array([row[columns[name]] == "1" for row in chosen]) for name in ("Male", *HAIR)}
    hair = np.stack([has[name] for name in HAIR])
    style = {
        "gender": has["Male"].astype(np.int64),
        "hair": np.where(hair.sum(axis=0) == 1, hair.argmax(axis=0), len(HAIR)).astype(np.int64),
    }
    return Images(images, None, "celeba", f"{len(images):,} images in {folder}"), style


def _folder(data_dir: str | Path | None) -> Path:
    wanted = f"{FOLDER}/, {ATTRIBUTES} and {PARTITION}"
    if data_dir is None:
        raise DataError(f"CelebA cannot be downloaded automatically; give the folder with {wanted} as `data_dir`.")
    for folder in (Path(data_dir) / "celeba", Path(data_dir)):
        if (folder / FOLDER).is_dir() and (folder / ATTRIBUTES).is_file() and (folder / PARTITION).is_file():
            return folder
    raise DataError(f"{data_dir}: holds no CelebA; put {wanted} into it or into its subfolder celeba.")


def _rows(path: Path) -> list[Sequence[str]]:
    try:
        return [line.split() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}).") from error
