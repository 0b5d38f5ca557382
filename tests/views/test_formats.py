"""Every format is written by hand here, byte by byte."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from official_files import cifar_record, idx

from dynamics.errors import CapacityError, DataError
from dynamics.views.formats import read_cifar10, read_idx, read_mnist, read_stl10


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, size=(7, 5, 4))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx_images_and_labels(tmp_path, images, pack):
    (tmp_path / "i").write_bytes(pack(idx(images)))
    (tmp_path / "l").write_bytes(pack(idx(np.arange(7))))
    pixels, labels = read_mnist(tmp_path / "i", tmp_path / "l")
    np.testing.assert_array_equal(pixels, images[..., None])
    np.testing.assert_array_equal(labels, np.arange(7))
    pixels, labels = read_mnist(tmp_path / "i", tmp_path / "l", limit=3)
    np.testing.assert_array_equal(pixels, images[:3, ..., None])
    assert labels.tolist() == [0, 1, 2]
    assert read_mnist(tmp_path / "i")[1] is None


def test_idx_of_the_wrong_size_names_file_expected_and_found(tmp_path, images):
    content = idx(images)  # 16 + 140 bytes
    for damaged, found in [(content[:-1], "155"), (content + b"x", "157"), (content[:16], "16")]:
        (tmp_path / "train").write_bytes(damaged)
        with pytest.raises(DataError, match=rf"train: .*expected 156 bytes, found {found} \(the file is truncated"):
            read_idx(tmp_path / "train", ndim=3)


@pytest.mark.parametrize("content", [b"", b"\x00\x00", b"\x00\x00\x08\x01" + bytes(20), b"<html>404</html>"])
def test_idx_of_another_magic_number_is_an_error(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(DataError, match="magic number 0x00000803"):
        read_idx(tmp_path / "f", ndim=3)


def test_a_truncated_gzip_stream_names_expected_and_found(tmp_path, images):
    whole = gzip.compress(idx(images))
    (tmp_path / "f.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"f.gz: .*expected 156 bytes, found \d+ \(the gzip stream is damaged"):
        read_idx(tmp_path / "f.gz", ndim=3)
    (tmp_path / "f.gz").write_bytes(whole[:15])
    with pytest.raises(DataError, match=r"f.gz: the gzip stream is damaged .*no header"):
        read_idx(tmp_path / "f.gz", ndim=3)


def test_a_wrong_gzip_checksum_is_an_error(tmp_path, images):
    damaged = bytearray(gzip.compress(idx(images), compresslevel=0))  # stored, so that a pixel can be changed
    damaged[60] ^= 1
    (tmp_path / "f.gz").write_bytes(damaged)
    with pytest.raises(DataError, match=r"f.gz: .*CRC"):
        read_idx(tmp_path / "f.gz", ndim=3)


def test_a_gz_that_is_none_is_an_error(tmp_path, images):
    (tmp_path / "f.gz").write_bytes(idx(images))
    with pytest.raises(DataError, match=r"f.gz: is no gzip file"):
        read_idx(tmp_path / "f.gz", ndim=3)


def test_idx_files_that_do_not_belong_together_are_an_error(tmp_path, images):
    (tmp_path / "i").write_bytes(idx(images))
    (tmp_path / "l").write_bytes(idx(np.arange(6)))
    with pytest.raises(DataError, match=r"l: holds 6 labels, but i holds 7 images"):
        read_mnist(tmp_path / "i", tmp_path / "l")
    (tmp_path / "l").write_bytes(idx(np.array([0, 1, 2, 77, 4, 5, 6])))
    with pytest.raises(DataError, match=r"1 of 7 labels .*record 3"):
        read_mnist(tmp_path / "i", tmp_path / "l")


def test_cifar10_records(tmp_path, rng):
    images = rng.integers(0, 256, size=(3, 32, 32, 3))
    (tmp_path / "b.bin").write_bytes(b"".join(map(cifar_record, (9, 0, 4), images)))
    pixels, labels = read_cifar10(tmp_path / "b.bin")
    np.testing.assert_array_equal(pixels, images)
    assert labels.tolist() == [9, 0, 4]
    pixels, labels = read_cifar10(tmp_path / "b.bin", limit=2)
    np.testing.assert_array_equal(pixels, images[:2])
    assert labels.tolist() == [9, 0]


def test_damaged_cifar10_is_an_error(tmp_path):
    for found in (0, 3072, 2 * 3073 + 5):
        (tmp_path / "b.bin").write_bytes(bytes(found))
        with pytest.raises(DataError, match=rf"b.bin: expected a multiple of 3,073 bytes .*found {found:,}"):
            read_cifar10(tmp_path / "b.bin")
    (tmp_path / "b.bin").write_bytes(bytes(3073) + b"\xc8" + bytes(3072))
    with pytest.raises(DataError, match=r"1 of 2 labels .*record 1"):
        read_cifar10(tmp_path / "b.bin")


def test_stl10_is_stored_by_channel_and_column(tmp_path, rng):
    images = rng.integers(0, 256, size=(2, 96, 96, 3), dtype=np.uint8)
    content = b"".join(image[:, j, c].tobytes() for image in images for c in range(3) for j in range(96))
    (tmp_path / "X.bin").write_bytes(content)
    (tmp_path / "y.bin").write_bytes(bytes([10, 1]))
    pixels, labels = read_stl10(tmp_path / "X.bin", tmp_path / "y.bin")
    np.testing.assert_array_equal(pixels, images)
    assert labels.tolist() == [9, 0]
    pixels, labels = read_stl10(tmp_path / "X.bin", tmp_path / "y.bin", limit=1)
    np.testing.assert_array_equal(pixels, images[:1])
    assert labels.tolist() == [9]


def test_damaged_stl10_is_an_error(tmp_path):
    (tmp_path / "X.bin").write_bytes(bytes(27_648 - 1))
    with pytest.raises(DataError, match=r"X.bin: expected a multiple of 27,648 bytes .*found 27,647"):
        read_stl10(tmp_path / "X.bin")
    (tmp_path / "X.bin").write_bytes(bytes(2 * 27_648))
    (tmp_path / "y.bin").write_bytes(bytes([1]))
    with pytest.raises(DataError, match=r"holds 1 labels, but X.bin holds 2 images"):
        read_stl10(tmp_path / "X.bin", tmp_path / "y.bin")
    (tmp_path / "y.bin").write_bytes(bytes([1, 0]))  # classes are 1 … 10 in the file
    with pytest.raises(DataError, match="1 of 2 labels"):
        read_stl10(tmp_path / "X.bin", tmp_path / "y.bin")


@pytest.mark.parametrize("read", [read_mnist, read_cifar10, read_stl10])
def test_a_file_that_cannot_be_opened_is_an_error(tmp_path, read):
    with pytest.raises(DataError, match=r"absent: cannot be read"):
        read(tmp_path / "absent")


def test_a_stream_that_unpacks_to_more_than_announced_is_not_unpacked(tmp_path):
    """64 MiB of zeros in a file of 64 KiB, of which the header announces 140 bytes."""
    announced = idx(np.zeros((7, 5, 4), int))[:16]
    (tmp_path / "f.gz").write_bytes(gzip.compress(announced + bytes(2**26), compresslevel=1))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"f.gz: .*expected 156 bytes, found at least"):
        read_idx(tmp_path / "f.gz", ndim=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_sizes_beyond_the_memory_are_refused_before_anything_is_unpacked(tmp_path):
    header = b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 2**31, 2**31)
    for name, content in (("f", header + bytes(9)), ("f.gz", gzip.compress(header + bytes(9)))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CapacityError, match=rf"{name}: it announces 9.9e\+18 GB"):
            read_idx(tmp_path / name, ndim=3)
