import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.kernels import empirical_ntk, gram, infinite_kernel, rbf
from dynamics.kernels.product import KernelProduct
from dynamics.modes import contrastive_modes
from dynamics.modes.lanczos import leading_modes
from dynamics.networks import MLP


@pytest.mark.parametrize("tile", [1, 4, 5, 11, 100])
def test_equals_the_product_with_the_matrix(rng, tile):
    x, Q = rng.normal(size=(11, 3)), rng.normal(size=(11, 2))
    np.testing.assert_allclose(KernelProduct(rbf(1.5), x, tile=tile)(Q), gram(rbf(1.5), x) @ Q, rtol=1e-12)


def test_a_kernel_with_work_on_each_side_alone(rng):
    def apply(params, x):
        return np.tanh(1.0) * x @ params

    x, params = rng.normal(size=(7, 3)), rng.normal(size=(3, 2))
    kernel = empirical_ntk(apply, params)
    np.testing.assert_allclose(KernelProduct(kernel, x, tile=3)(np.eye(7)), gram(kernel, x), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_modes_without_the_matrix(rng, dtype):
    x = rng.normal(size=(130, 12))
    views = np.concatenate([x, x + 0.2 * rng.normal(size=x.shape)])
    kernel = infinite_kernel(MLP(depth=2))
    product = KernelProduct(kernel, views, tile=60, dtype=dtype)
    expected = contrastive_modes(gram(kernel, views), num_modes=8, center=True)
    modes = leading_modes(product, 8, center=True)
    np.testing.assert_allclose(modes.eigenvalues, expected.eigenvalues, rtol=1e-10 if dtype == "float64" else 1e-4)


def test_settings_out_of_range(rng):
    x = rng.normal(size=(4, 2))
    with pytest.raises(ConfigError, match="tile"):
        KernelProduct(rbf(1.0), x, tile=0)
    with pytest.raises(ConfigError, match="dtype"):
        KernelProduct(rbf(1.0), x, dtype="float16")


def test_diagonal(rng):
    x = rng.normal(size=(5, 2))
    kernel = infinite_kernel(MLP(depth=1))
    np.testing.assert_allclose(KernelProduct(kernel, x).diagonal(), np.diag(gram(kernel, x)), rtol=1e-12)
