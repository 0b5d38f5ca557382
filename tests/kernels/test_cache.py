"""The cache of Gram matrices: what it finds again, what it refuses, and what it survives."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from dynamics.errors import CapacityError, ConfigError
from dynamics.kernels import Kernel, arc_cosine, gram, linear, rbf, relu_network
from dynamics.kernels import cache as cache_module
from dynamics.support.hashes import content_hash


@pytest.fixture
def x(rng):
    return rng.normal(size=(10, 4))


class Counted:
    """A kernel that counts its tiles and can break down at one of them."""

    def __init__(self, key="counted"):
        self.calls, self.broken_at = 0, None
        self.kernel = Kernel("counted", self.function, key=key)

    def function(self, x1, x2):
        if self.calls == self.broken_at:
            raise KeyboardInterrupt
        self.calls += 1
        return x1 @ x2.T


def test_a_second_evaluation_reads(x, tmp_path):
    counted = Counted()
    first = gram(counted.kernel, x, tile=4, cache=tmp_path)
    assert counted.calls == 6
    seen = []
    again = gram(counted.kernel, x, tile=4, cache=tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert counted.calls == 6
    assert seen == [(3, 6), (5, 6), (6, 6)]
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(first, gram(counted.kernel, x, tile=4))
    # two stacks are another matrix, the last row block overlapping as well
    both = gram(counted.kernel, x, x[:7] + 1, tile=4, cache=tmp_path)
    np.testing.assert_array_equal(gram(counted.kernel, x, x[:7] + 1, tile=4, cache=tmp_path), both)
    np.testing.assert_allclose(both, x @ (x[:7] + 1).T, rtol=1e-13)


def test_an_interrupted_evaluation_goes_on(x, tmp_path):
    counted = Counted()
    counted.broken_at = 4  # in the second of three row blocks
    with pytest.raises(KeyboardInterrupt):
        gram(counted.kernel, x, tile=4, cache=tmp_path)
    counted.broken_at = None
    values = gram(counted.kernel, x, tile=4, cache=tmp_path)
    assert counted.calls == 4 + 3  # the second and third row block; the first came from the disk
    np.testing.assert_array_equal(values, gram(counted.kernel, x, tile=4))


def blocks_of(folder):
    return sorted(folder.rglob("*.block"))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def swap_with_another(path):
    other = blocks_of(path.parent)[-1]
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty, swap_with_another])
def test_a_damaged_file_is_evaluated_again_with_a_warning(damage, x, tmp_path):
    counted = Counted()
    expected = gram(counted.kernel, x, tile=4, cache=tmp_path)
    damage(blocks_of(tmp_path)[0])
    with pytest.warns(UserWarning, match=r"rows-00000000-00000004\.block.* It is evaluated again\."):
        values = gram(counted.kernel, x, tile=4, cache=tmp_path)
    np.testing.assert_array_equal(values, expected)
    assert counted.calls == 6 + 3
    gram(counted.kernel, x, tile=4, cache=tmp_path)  # it was mended
    assert counted.calls == 6 + 3


def test_nothing_else_is_served(x, tmp_path, monkeypatch):
    """Another key, view, shape, order, precision, version or formula is another matrix."""
    counted = Counted()
    gram(counted.kernel, x, cache=tmp_path)

    def is_new(kernel, *views, **settings):
        before = counted.calls
        gram(kernel, *views, cache=tmp_path, **settings)
        return counted.calls > before

    nudged = x.copy()
    nudged[3, 2] = np.nextafter(nudged[3, 2], 9)
    other = Counted("another")
    gram(other.kernel, x, cache=tmp_path)
    assert other.calls == 1
    assert not is_new(counted.kernel, x)
    assert is_new(counted.kernel, nudged)
    assert is_new(counted.kernel, x.reshape(10, 2, 2)[:, 0])
    assert is_new(counted.kernel, x[::-1])
    assert is_new(counted.kernel, x, x)
    assert is_new(counted.kernel, x, dtype="float32")
    monkeypatch.setattr(cache_module, "_versions", lambda: "later")
    assert is_new(counted.kernel, x)
    monkeypatch.setattr(cache_module, "_source", lambda: "corrected")
    assert is_new(counted.kernel, x)


def test_settings_are_part_of_the_keys_of_kernels():
    kernels = [linear(), rbf(1.0), rbf(1.0 + 1e-12), arc_cosine(0), arc_cosine(1)]
    kernels += [relu_network(2), relu_network(3), relu_network(2, "nngp"), relu_network(2, b_std=0.1)]
    kernels += [relu_network(2, w_std=1.0)]
    keys = [kernel.key for kernel in kernels]
    assert None not in keys and len(set(keys)) == len(keys)


def test_hashes_tell_shapes_types_and_order_apart():
    a = np.arange(4.0)
    parts = [(a,), (a.reshape(2, 2),), (a.view(np.int64),), (a, a), (a, "x"), ("x", a), ("xy",), ("x", "y"), ()]
    assert len({content_hash(*part) for part in parts}) == len(parts)
    assert content_hash(a[::2]) == content_hash(a[::2].copy())


def test_a_plain_function_needs_a_key(x, tmp_path):
    def dot(x1, x2):
        return x1 @ x2.T

    with pytest.raises(ConfigError, match=r"kernel 'dot': nothing says what its values depend on.*key="):
        gram(dot, x, cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_before(x, tmp_path, monkeypatch):
    usage = type("usage", (), {"free": 100})
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(CapacityError, match=r"4\.4e-07 GB for this Gram matrix and the disk has 1e-07 GB left"):
        gram(linear(), x, cache=tmp_path)


def test_a_disk_that_fails_later_costs_the_file_alone(x, tmp_path, monkeypatch):
    def refuse(path, block):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.files, "save_array", refuse)
    with pytest.warns(UserWarning, match="No space left on device"):
        values = gram(linear(), x, cache=tmp_path)
    np.testing.assert_allclose(values, x @ x.T, rtol=1e-13)


def test_a_folder_that_cannot_be_written(x, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="cannot be written"):
        gram(linear(), x, cache=tmp_path / "file")


def test_abandoned_files_are_removed_and_fresh_ones_left(x, tmp_path):
    gram(linear(), x, cache=tmp_path)
    (folder,) = tmp_path.iterdir()
    old, fresh = folder / "a.block.12.partial", folder / "b.block.34.partial"
    old.write_bytes(b"half")
    fresh.write_bytes(b"half")
    os.utime(old, (time.time() - 1e5,) * 2)
    gram(linear(), x, cache=tmp_path)
    assert not old.exists() and fresh.exists()


KILLED = """
import sys, time
import numpy as np
from dynamics.kernels import Kernel, gram
calls = 0
def slow(x1, x2):
    global calls
    calls += 1
    time.sleep(float(sys.argv[2]))
    return np.asarray(x1) @ np.asarray(x2).T
x = np.random.default_rng(0).normal(size=(40, 3))
values = gram(Kernel("slow", slow, key="slow"), x, tile=4, cache=sys.argv[1])
print(calls, float(np.abs(values - x @ x.T).max()))
"""


def test_a_killed_evaluation_resumes(tmp_path):
    running = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path, "0.1"])  # 55 tiles
    deadline = time.monotonic() + 60
    while len(blocks_of(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    assert running.wait(timeout=30) == -signal.SIGKILL
    kept = len(blocks_of(tmp_path))
    assert 2 <= kept < 10
    resumed = subprocess.run([sys.executable, "-c", KILLED, tmp_path, "0"], capture_output=True, text=True, timeout=60)
    calls, error = resumed.stdout.split()
    # row block i of ten has 10 − i tiles
    assert int(calls) == 55 - sum(10 - i for i in range(kept)), resumed.stderr
    assert float(error) < 1e-12
