"""A Gram matrix that stays on the device: the values of `gram`, and no tile on the host."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import CapacityError, ConfigError, KernelError
from dynamics.kernels import gram, on_device, rbf


def dot(x1, x2):
    return jnp.asarray(x1) @ jnp.asarray(x2).T


@pytest.fixture
def x(rng):
    return rng.normal(size=(11, 4))


@pytest.fixture
def no_copy(monkeypatch):
    """What would fetch an array from the device fails."""

    def refuse(*_):
        raise AssertionError("a tile was fetched")

    monkeypatch.setattr(on_device, "np", SimpleNamespace(asarray=refuse, ndarray=np.ndarray))
    monkeypatch.setattr(jax, "device_get", refuse)


@pytest.mark.parametrize("tile", [4, 50])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_matrix_stays_on_the_device(tile, dtype, x, no_copy, request):
    views, seen = jnp.asarray(x, jnp.float32), []
    values = gram(dot, views, tile=tile, dtype=dtype, on_device=True, progress=lambda *tiles: seen.append(tiles))
    assert isinstance(values, jax.Array) and values.dtype == dtype and values.devices() == {jax.devices()[0]}
    other = gram(dot, views, views[:5], tile=tile, dtype=dtype, on_device=True)
    assert seen[-1] == ((6, 6) if tile == 4 else (1, 1))
    request.getfixturevalue("monkeypatch").undo()
    exact = np.asarray(views, np.float64) @ np.asarray(views, np.float64).T
    np.testing.assert_allclose(values, exact, rtol=1e-5, atol=1e-5 if dtype == "float32" else 1e-12)
    np.testing.assert_array_equal(values, np.asarray(values).T)
    np.testing.assert_allclose(other, exact[:, :5], rtol=1e-5, atol=1e-5 if dtype == "float32" else 1e-12)


def test_a_kernel_that_is_wrong_is_named_as_on_the_host(x):
    wrong = {
        "values are not finite": lambda a, b: dot(a, b) / 0,
        "returned shape": lambda a, b: dot(a, b)[:1],
        "a kernel is symmetric": lambda a, b: dot(a, 2 * b + 1),
    }
    for message, kernel in wrong.items():
        with pytest.raises(KernelError, match=message):
            gram(kernel, x, tile=4, on_device=True)


def test_what_does_not_go_together_is_refused(x, tmp_path):
    with pytest.raises(ConfigError, match="without a cache"):
        gram(rbf(1.0), x, on_device=True, cache=tmp_path)
    with pytest.raises(ConfigError, match="one device"):
        gram(rbf(1.0), x, on_device=True, devices=[jax.devices()[0]] * 2)
    with pytest.raises(CapacityError, match="may be used"):
        gram(rbf(1.0), x, on_device=True, memory=100)
