import gzip
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from official_files import cifar_batch, idx, snapshot
from sklearn.datasets import load_digits

from dynamics.errors import DataError
from dynamics.views import Images, load_images, official


@pytest.fixture
def mnist_files(rng):
    """Names and contents of a small MNIST: 6 training and 2 test images."""
    train, test = rng.integers(0, 256, size=(6, 3, 3)), rng.integers(0, 256, size=(2, 3, 3))
    return train, {
        "train-images-idx3-ubyte": idx(train),
        "train-labels-idx1-ubyte": idx(np.arange(6)),
        "t10k-images-idx3-ubyte": idx(test),
        "t10k-labels-idx1-ubyte": idx(np.array([8, 9])),
    }


def test_digits_are_those_of_scikit_learn():
    digits, reference = load_images("digits"), load_digits()
    assert digits.images.dtype == np.float32 and digits.shape == (8, 8, 1) and len(digits) == 1797
    np.testing.assert_array_equal(digits.images.reshape(1797, 64) * 16, reference.data)
    np.testing.assert_array_equal(digits.labels, reference.target)
    assert len(load_images("digits", limit=10).labels) == 10


@pytest.mark.parametrize("inner", [".", "mnist", "MNIST/raw", "mnist/MNIST/raw"])
@pytest.mark.parametrize("style", ["plain", "gz", "dotted"])
def test_mnist_is_found_wherever_it_commonly_lies(tmp_path, mnist_files, inner, style):
    train, files = mnist_files
    (tmp_path / inner).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        name = name.replace("-idx", ".idx") if style == "dotted" else name + ".gz" * (style == "gz")
        (tmp_path / inner / name).write_bytes(gzip.compress(content) if style == "gz" else content)
    before = snapshot(tmp_path)
    images = load_images("mnist", tmp_path)
    np.testing.assert_array_equal(images.images, (train[..., None] / 255).astype(np.float32))
    assert images.labels.tolist() == list(range(6)) and images.name == "mnist"
    assert load_images("mnist", str(tmp_path), split="test").labels.tolist() == [8, 9]
    assert load_images("mnist", tmp_path, limit=4).labels.tolist() == [0, 1, 2, 3]
    assert snapshot(tmp_path) == before


def test_the_subfolder_called_like_the_data_set_comes_first(tmp_path):
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "test_batch.bin").write_bytes(cifar_batch([1]))
    (tmp_path / "cifar10" / "test_batch.bin").write_bytes(cifar_batch([2]))
    assert load_images("cifar10", tmp_path, split="test").labels.tolist() == [2]


def test_images_without_labels_are_fine_and_said(tmp_path, mnist_files):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(mnist_files[1]["train-images-idx3-ubyte"])
    images = load_images("mnist", tmp_path)
    assert len(images) == 6 and images.labels is None
    assert images.note.endswith("without labels")


def test_a_folder_called_like_another_data_set_is_not_taken_for_this_one(tmp_path, mnist_files):
    (tmp_path / "mnist").mkdir()
    for name, content in mnist_files[1].items():
        (tmp_path / "mnist" / name).write_bytes(content)
    assert len(load_images("mnist", tmp_path / "mnist")) == 6
    for data_dir in (tmp_path, tmp_path / "mnist"):
        with pytest.raises(DataError, match="holds no fashion-mnist"):
            load_images("fashion-mnist", data_dir)


def test_some_of_the_batches_are_enough_and_their_number_is_said(tmp_path, caplog):
    folder = tmp_path / "cifar10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "data_batch_2.bin").write_bytes(cifar_batch([1, 2]))
    (folder / "data_batch_5.bin").write_bytes(cifar_batch([3]))
    with caplog.at_level(logging.INFO, logger="dynamics"):
        images = load_images("cifar10", tmp_path)
    assert images.labels.tolist() == [1, 2, 3]
    np.testing.assert_allclose(images.images[:, 0, 0, 0], np.array([20, 40, 60]) / 255, rtol=1e-6)
    assert images.note.startswith("3 images from data_batch_2.bin, data_batch_5.bin")
    assert images.note.endswith("(2 of 5 official files)") and images.note in caplog.text
    limited = load_images("cifar10", tmp_path, limit=2)
    assert limited.labels.tolist() == [1, 2]


def test_stl10_train_and_unlabeled(tmp_path):
    (tmp_path / "stl10_binary").mkdir()
    (tmp_path / "stl10_binary" / "train_X.bin").write_bytes(bytes([51]) * 27_648)
    (tmp_path / "stl10_binary" / "train_y.bin").write_bytes(bytes([7]))
    (tmp_path / "stl10_binary" / "unlabeled_X.bin").write_bytes(bytes(2 * 27_648))
    train = load_images("stl10", tmp_path)
    assert train.shape == (96, 96, 3) and train.labels.tolist() == [6]
    np.testing.assert_allclose(train.images, 0.2, rtol=1e-6)
    unlabeled = load_images("stl10", tmp_path, split="unlabeled")
    assert len(unlabeled) == 2 and unlabeled.labels is None


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("imagenet", {}, "known are digits, mnist, fashion-mnist, cifar10, stl10"),
        ("digits", {"split": "test"}, "it has train"),
        ("cifar10", {"split": "val"}, "it has train, test"),
        ("digits", {"limit": 0}, "at least 1"),
    ],
)
def test_unknown_names_are_an_error_that_lists_the_known_ones(name, options, says):
    with pytest.raises(DataError, match=says):
        load_images(name, **options)


def test_an_explicit_folder_without_the_data_is_never_a_reason_to_download(tmp_path, monkeypatch):
    monkeypatch.setattr(official, "fetch", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(DataError, match=r"holds no mnist; looked for train-images-idx3-ubyte .*\.gz.* MNIST/raw"):
        load_images("mnist", tmp_path)
    with pytest.raises(DataError, match=r"looked for data_batch_1.bin, .*data_batch_5.bin .*cifar-10-batches-bin"):
        load_images("cifar10", tmp_path)
    with pytest.raises(DataError, match=r"absent: no such folder; give the folder that holds test_batch.bin"):
        load_images("cifar10", tmp_path / "absent", split="test")
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz: is not unpacked"):
        load_images("cifar10", tmp_path)


def test_damage_is_found_through_the_loader(tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(cifar_batch([1, 2])[:-7])
    with pytest.raises(DataError, match=r"test_batch.bin: expected a multiple of 3,073 bytes .*found 6,139"):
        load_images("cifar10", tmp_path, split="test")


def test_real_mnist(data_dir):
    train, test = load_images("mnist", data_dir), load_images("mnist", data_dir, split="test")
    # class counts as published with the data set
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.images.shape == (60_000, 28, 28, 1) and train.images.dtype == np.float32
    # the mean and standard deviation everybody normalises MNIST with
    np.testing.assert_allclose([train.images.mean(), train.images.std()], [0.1307, 0.3081], atol=1e-4)


def test_real_cifar10(data_dir):
    images = load_images("cifar10", data_dir)
    assert images.images.shape[1:] == (32, 32, 3) and len(images) % 10_000 == 0
    assert images.labels.min() == 0 and images.labels.max() == 9
    # the channel means everybody normalises CIFAR-10 with; a batch and a JPEG copy deviate a little
    np.testing.assert_allclose(images.images.mean(axis=(0, 1, 2)), [0.4914, 0.4822, 0.4465], atol=0.01)
    # neighbouring pixels of natural images are alike: an axis read in the wrong order would show here
    assert (
        np.abs(np.diff(images.images[:500], axis=1)).mean() < 0.1 > np.abs(np.diff(images.images[:500], axis=2)).mean()
    )


def test_images_know_their_shape(rng):
    images = Images(rng.random((4, 5, 6, 3)).astype(np.float32))
    assert len(images) == 4 and images.shape == (5, 6, 3) and images.labels is None


def test_importing_is_light():
    code = (
        "import sys, dynamics.views, jax\n"
        "assert not {'pooch', 'sklearn', 'requests', 'scipy.ndimage'} & set(sys.modules), 'heavy import'\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge._backends, 'a device was started'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
