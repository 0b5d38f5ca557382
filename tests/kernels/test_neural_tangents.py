import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.support.precision import double_precision

BORROW = """
import sys, types
import jax, jax.core
import jax.interpreters.ad
names = {module.__name__: set(vars(module)) for module in (jax, jax.core, jax.interpreters.ad)}
utilities = sys.modules.get("jax.util")
import dynamics.kernels, dynamics.networks
assert "neural_tangents" not in sys.modules, "the packages are not light"
from dynamics.kernels._neural_tangents import stax
for module in (jax, jax.core, jax.interpreters.ad):
    gained = set(vars(module)) - names[module.__name__]
    # submodules of jax that neural-tangents imports are no loan
    gained = {name for name in gained if not isinstance(vars(module)[name], types.ModuleType)}
    assert not gained, (module.__name__, gained)
assert sys.modules.get("jax.util") is utilities
assert "tensorflow" not in sys.modules and "tf2jax" not in sys.modules
assert not jax._src.xla_bridge.backends_are_initialized(), "a device was started"
"""


def test_import_borrows_and_gives_back():
    # in a process of its own, since other tests have imported neural-tangents here
    result = subprocess.run([sys.executable, "-c", BORROW], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(6, 6), (5, 7)])
def test_window_mean_equals_the_convolution_it_replaces(rng, stride, shape):
    from dynamics.kernels import _neural_tangents

    linear = _neural_tangents._linear
    original = _neural_tangents._original_window_mean
    assert linear._conv_kernel_full_spatial_shared is not original
    covariance = rng.normal(size=(2, 3, *np.repeat(shape, 2)))
    with double_precision():
        arguments = (jnp.asarray(covariance), (3, 3), (stride, stride), linear.Padding.SAME, 2)
        expected, values = original(*arguments), linear._conv_kernel_full_spatial_shared(*arguments)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-14)
