"""Half of a Gram matrix in tiles: the product against the full matrix, its cache, its checks and its memory."""

import numpy as np
import pytest

from dynamics.errors import CapacityError, ConfigError, DataError, KernelError
from dynamics.kernels import Kernel, TiledGram, empirical_ntk, gram, infinite_kernel, rbf
from dynamics.modes import contrastive_modes
from dynamics.modes.lanczos import leading_modes, mode_residuals
from dynamics.networks import MLP


@pytest.mark.parametrize("tile", [1, 4, 5, 7, 11, 100])
def test_multiplies_like_the_matrix(rng, tile):
    x, Q = rng.normal(size=(11, 3)), rng.normal(size=(11, 2))
    expected = np.exp(-((x[:, None] - x) ** 2).sum(axis=-1) / (2 * 1.5**2)) @ Q
    np.testing.assert_allclose(TiledGram(rbf(1.5), x, tile=tile)(Q), expected, rtol=1e-12)


def test_half_of_the_matrix_is_held(rng):
    x = rng.normal(size=(40, 3))
    K = TiledGram(rbf(1.5), x, tile=4)
    assert K.nbytes == 8 * 16 * 55 < 0.6 * 8 * 40**2
    assert TiledGram(rbf(1.5), x, tile=4, dtype="float32").nbytes == K.nbytes / 2


def test_kernels_with_work_on_each_side_alone_and_in_numpy(rng):
    x, params = rng.normal(size=(7, 3)), rng.normal(size=(3, 2))
    kernel = empirical_ntk(lambda params, x: x @ params, params)
    np.testing.assert_allclose(TiledGram(kernel, x, tile=3)(np.eye(7)), x @ x.T, rtol=1e-12)
    np.testing.assert_allclose(TiledGram(lambda a, b: a @ b.T, x, tile=3)(np.eye(7)), x @ x.T, rtol=1e-12)


@pytest.mark.parametrize(("dtype", "error"), [("float64", 1e-10), ("float32", 1e-4)])
@pytest.mark.parametrize("center", [False, True])
def test_modes_from_tiles(rng, dtype, error, center):
    x = rng.normal(size=(130, 12))
    views = np.concatenate([x, x + 0.2 * rng.normal(size=x.shape)])
    kernel = infinite_kernel(MLP(depth=2))
    expected = contrastive_modes(gram(kernel, views), num_modes=8, center=center)
    K = TiledGram(kernel, views, tile=60, dtype=dtype)
    modes = leading_modes(K, 8, center=center)
    np.testing.assert_allclose(modes.eigenvalues, expected.eigenvalues, rtol=error)
    # what is iterated on is symmetric to the last bit, in float32 as well
    assert (mode_residuals(K, modes, center=center) <= 1e-9 * modes.eigenvalues).all()


class Counted:
    def __init__(self):
        self.calls, self.broken_at = 0, None
        self.kernel = Kernel("counted", self.function, key="counted")

    def function(self, x1, x2):
        if self.calls == self.broken_at:
            raise KeyboardInterrupt
        self.calls += 1
        return x1 @ x2.T


def test_the_cache_is_that_of_gram(rng, tmp_path):
    x, Q, counted = rng.normal(size=(10, 4)), rng.normal(size=(10, 2)), Counted()
    seen = []
    first = TiledGram(
        counted.kernel, x, tile=4, cache=tmp_path, progress=lambda done, total: seen.append((done, total))
    )
    assert counted.calls == 6
    assert seen == [(3, 6), (5, 6), (6, 6)]
    np.testing.assert_allclose(first(Q), x @ (x.T @ Q), rtol=1e-12)
    again = TiledGram(counted.kernel, x, tile=4, cache=tmp_path)
    np.testing.assert_array_equal(again(Q), first(Q))
    np.testing.assert_array_equal(gram(counted.kernel, x, tile=4, cache=tmp_path), first(np.eye(10)))
    assert counted.calls == 6


def test_an_interrupted_evaluation_goes_on(rng, tmp_path):
    x, counted = rng.normal(size=(16, 4)), Counted()
    counted.broken_at = 8  # in the third of four row blocks
    with pytest.raises(KeyboardInterrupt):
        TiledGram(counted.kernel, x, tile=4, cache=tmp_path)
    counted.broken_at = None
    K = TiledGram(counted.kernel, x, tile=4, cache=tmp_path)
    assert counted.calls == 8 + (10 - 4)  # the first block came from the disk; the second was in the background still
    np.testing.assert_allclose(K(np.eye(16)), x @ x.T, rtol=1e-12)


def test_a_damaged_file_is_evaluated_again_with_a_warning(rng, tmp_path):
    x, counted = rng.normal(size=(10, 4)), Counted()
    TiledGram(counted.kernel, x, tile=4, cache=tmp_path)
    (path,) = tmp_path.rglob("rows-00000000-*.block")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="It is evaluated again"):
        K = TiledGram(counted.kernel, x, tile=4, cache=tmp_path)
    np.testing.assert_allclose(K(np.eye(10)), x @ x.T, rtol=1e-12)
    assert counted.calls == 6 + 3


def test_what_is_no_kernel_is_refused(rng):
    x = rng.normal(size=(10, 3))

    def with_nan(a, b):
        return np.where((a[:, None] == x[1]).all(axis=-1) & (b[None] == x[9]).all(axis=-1), np.nan, a @ b.T)

    with pytest.raises(KernelError, match=r"1 values are not finite \(first: views 1 and 9\)"):
        TiledGram(with_nan, x, tile=2)
    with pytest.raises(KernelError, match=r"k\(x, y\) = .* for views 0 and 1; a kernel is symmetric"):
        TiledGram(lambda a, b: a @ np.triu(np.ones((3, 3))) @ b.T, x, tile=2)
    with pytest.raises(KernelError, match="returned shape"):
        TiledGram(lambda a, b: a @ b.T[:, :1], x, tile=2)


def test_settings_out_of_range(rng):
    x = rng.normal(size=(1000, 2))
    with pytest.raises(ConfigError, match="tile"):
        TiledGram(rbf(1.0), x, tile=0)
    with pytest.raises(ConfigError, match="dtype"):
        TiledGram(rbf(1.0), x, dtype="float16")
    with pytest.raises(DataError, match="no views"):
        TiledGram(rbf(1.0), x[:0])
    with pytest.raises(CapacityError, match=r"1,000 views in float64 takes .* GB on a device.*float32"):
        TiledGram(rbf(1.0), x, tile=100, memory=10**6)
