"""Official data sets, as their authors publish them: MNIST, Fashion-MNIST, CIFAR-10 and STL-10."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dynamics.errors import DataError
from dynamics.support.files import expanded
from dynamics.views import formats
from dynamics.views.download import Download, cache_folder, fetch


@dataclass(frozen=True)
class Dataset:
    """How an official data set is stored.

    Parameters
    ----------
    read : callable
        (images path, labels path or None, limit or None) -> uint8 images (n, h, w, c), labels.
    splits : dict of tuple of (str, str or None)
        Batches of each split: the file of the images and that of their labels.
    downloads : tuple of Download
        Official files of the data set.
    folders : tuple of str
        Inner folders that archives and other libraries put the files into.
    """

    read: Callable[[Path, Path | None, int | None], formats.Labelled]
    splits: dict[str, tuple[tuple[str, str | None], ...]]
    downloads: tuple[Download, ...]
    folders: tuple[str, ...]


def _mnist_like(folders: tuple[str, ...], mirrors: tuple[str, ...], md5: dict[str, str]) -> Dataset:
    def names(part: str) -> tuple[str, str]:
        return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"

    downloads = tuple(
        Download(f"{name}.gz", digest, tuple(f"{mirror}{name}.gz" for mirror in mirrors), (name,))
        for name, digest in md5.items()
    )
    return Dataset(formats.read_mnist, {"train": (names("train"),), "test": (names("t10k"),)}, downloads, folders)


CIFAR10_BATCHES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))

# Checksums as published by the authors of each data set (CIFAR-10 and STL-10: on their pages) and used by torchvision.
DATASETS: dict[str, Dataset] = {
    "mnist": _mnist_like(
        ("MNIST/raw",),
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        {
            "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion-mnist": _mnist_like(
        ("FashionMNIST/raw",),
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        {
            "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "cifar10": Dataset(
        formats.read_cifar10,
        {"train": tuple((name, None) for name in CIFAR10_BATCHES), "test": (("test_batch.bin", None),)},
        (
            Download(
                "cifar-10-binary.tar.gz",
                "c32a1d4ab5d03f1284b67883e8d87530",
                ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
                (*CIFAR10_BATCHES, "test_batch.bin"),
                "cifar-10-batches-bin",
            ),
        ),
        ("cifar-10-batches-bin",),
    ),
    "stl10": Dataset(
        formats.read_stl10,
        {
            "train": (("train_X.bin", "train_y.bin"),),
            "test": (("test_X.bin", "test_y.bin"),),
            "unlabeled": (("unlabeled_X.bin", None),),
        },
        (
            Download(
                "stl10_binary.tar.gz",
                "91f7769df0f17e558f3565bffb0c7dfb",
                ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
                ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin"),
                "stl10_binary",
            ),
        ),
        ("stl10_binary",),
    ),
}
"""Data sets that are read from files; `digits` is embedded in scikit-learn."""


def read_official(
    name: str, data_dir: str | Path | None, split: str, limit: int | None
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Images (n, h, w, c) in [0, 1] of a split, their labels if all files have them, and a note on what was found.

    Parameters and errors are those of `dynamics.views.load_images`.
    """
    dataset = DATASETS[name]
    batches, found = dataset.splits[split], locate(name, data_dir, split)
    stacks: list[np.ndarray] = []
    classes: list[Any] = []  # arrays, or None for a file without labels
    read: list[Path] = []
    for image_file, label_file in batches:
        left = None if limit is None else limit - sum(map(len, stacks))
        if image_file not in found or left == 0:
            continue
        pixels, labels = dataset.read(found[image_file], found.get(label_file), left)
        stacks.append(np.divide(pixels, 255, dtype=np.float32, order="C"))
        classes.append(labels)
        read.append(found[image_file])
    complete = all(labels is not None for labels in classes)
    total = sum(map(len, stacks))
    note = f"{total:,} images from {', '.join(path.name for path in read)} in {read[0].parent}"
    if len(read) < len(batches):
        note += f" ({len(read)} of {len(batches)} official files)"
    if not complete:
        note += ", without labels"
    images = stacks[0] if len(stacks) == 1 else np.concatenate(stacks)  # no second copy of a large set
    return images, np.concatenate(classes) if complete else None, note


def locate(name: str, data_dir: str | Path | None, split: str) -> dict[str, Path]:
    """Files of a split that exist, by official name; those that the cache lacks are downloaded."""
    dataset = DATASETS[name]
    wanted = [file for batch in dataset.splits[split] for file in batch if file]
    if data_dir is None:
        cache = cache_folder()
        found = _find(name, cache, wanted)
        for download in dataset.downloads:
            # an archive is unpacked in one step, so a part of it is the user's own choice of batches
            if set(download.provides) & set(wanted) and not set(download.provides) & set(found):
                fetch(download, cache / name, wanted)
        found = _find(name, cache, wanted)
        data_dir = cache
    else:
        data_dir = expanded(data_dir)
        found = _find(name, data_dir, wanted)
    if not any(image_file in found for image_file, _ in dataset.splits[split]):
        raise DataError(_missing(name, Path(data_dir), [image_file for image_file, _ in dataset.splits[split]]))
    return found


def _find(name: str, data_dir: Path, wanted: list[str]) -> dict[str, Path]:
    """Files of the most complete folder, by official name."""
    candidates = [
        {file: path for file in wanted for path in _variants(folder, file) if os.path.isfile(path)}
        for folder in _folders(name, data_dir)
    ]
    return max(candidates, key=lambda found: (wanted[0] in found, len(found)))


def _folders(name: str, data_dir: Path) -> list[Path]:
    """Where to look, the most specific first; a folder called like another data set is not taken for this one."""
    own = [data_dir / name]
    if data_dir.resolve().name not in set(DATASETS) - {name}:
        own.append(data_dir)
    return [folder / inner for folder in own for inner in (".", *DATASETS[name].folders)]


def _variants(folder: Path, file: str) -> list[Path]:
    """Names a file goes by, the preferred one last; `train-images.idx3-ubyte` is a common unpacked spelling."""
    if "-idx" not in file:
        return [folder / file]
    dotted = file.replace("-idx", ".idx")
    return [folder / variant for variant in (f"{dotted}.gz", dotted, f"{file}.gz", file)]


def _missing(name: str, data_dir: Path, wanted: list[str]) -> str:
    archives = [download.file for download in DATASETS[name].downloads if download.folder]
    packed = [path for folder in _folders(name, data_dir) for file in archives if (path := folder / file).is_file()]
    if not os.path.isdir(data_dir):
        return f"{data_dir}: no such folder; give the folder that holds {', '.join(wanted)} ({name})."
    if packed:
        return f"{packed[0]}: is not unpacked; unpack it there (tar xf {packed[0].name}), then {name} is found."
    either = " (or the same with .gz)" if "-idx" in wanted[0] else ""
    inner = ", ".join((name, *DATASETS[name].folders))
    return (
        f"{data_dir}: holds no {name}; looked for {', '.join(wanted)}{either} in it and in its subfolders {inner}; "
        "put them there, or leave `data_dir` out to download them."
    )
