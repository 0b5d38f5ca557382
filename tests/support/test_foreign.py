"""Arrays of other libraries become NumPy's or JAX's with the same numbers."""

import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import DataError
from dynamics.support.foreign import as_array


class OnlyDLPack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **settings):
        return self.array.__dlpack__(**settings)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __array__(self, dtype=None, copy=None):
        return np.from_dlpack(self.array)


def test_arrays_of_numpy_and_jax_are_left_alone():
    for array in (np.arange(3), jnp.arange(3)):
        assert as_array(array) is array


def test_protocols_are_followed():
    assert as_array(OnlyDLPack(np.arange(3.0))).tolist() == [0, 1, 2]
    assert as_array([1.0, 2.0]).tolist() == [1, 2] and float(as_array(2.5)) == 2.5


def test_what_cannot_be_read_is_named():
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("implicit conversion is not allowed")

    with pytest.raises(DataError, match=r"Broken.*implicit"):
        as_array(Broken())


def test_tensors_come_without_gradient_and_in_numbers_that_numpy_has():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed, and the package does not need it")
    values = torch.tensor([0.5, 2.0], requires_grad=True)
    np.testing.assert_array_equal(as_array(values * 2), [1.0, 4.0])
    half = as_array(values.to(torch.bfloat16))
    assert half.dtype == np.float32 and half.tolist() == [0.5, 2.0]
    assert as_array(torch.arange(3)).dtype.kind == "i"
