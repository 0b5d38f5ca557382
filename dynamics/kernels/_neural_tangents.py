"""Import of neural-tangents on a current JAX, and nowhere else.

neural-tangents 0.6.5 is its last release; it takes names from `jax` that JAX ≥ 0.6 has moved or removed, and its
`experimental` part, unused here, needs TensorFlow. While it is being imported this module lends those names back and
leaves an empty module in the place of `experimental`; afterwards `jax` is as it was. Only kernels of infinitely wide
networks and Jacobian-contraction empirical kernels are known to work this way.

One private function of neural-tangents is replaced, because XLA's float64 convolution on the CPU, with which it
averages covariances over windows, is slow and ends the process with a segmentation fault for large batches (jaxlib
0.10.1).
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import jax
import jax.extend.core
import jax.extend.linear_util  # neural-tangents takes it from `jax.extend` without importing it
import jax.numpy as jnp
from jax import lax
from jax.interpreters import ad

_ABSENT = object()
_EXPERIMENTAL = "neural_tangents.experimental"


def _safe_map(f: Any, *sequences: Any) -> list:
    return [f(*items) for items in zip(*sequences, strict=True)]


def _safe_zip(*sequences: Any) -> list[tuple]:
    return list(zip(*sequences, strict=True))


@contextmanager
def _lent(module: ModuleType, **names: Any) -> Iterator[None]:
    """Give `module` the names that it lacks, and take them back."""
    # looked up in the dictionary: some JAX versions answer a removed name through a module-level __getattr__ that warns
    lacking = {name: value for name, value in names.items() if name not in vars(module)}
    vars(module).update(lacking)
    try:
        yield
    finally:
        for name in lacking:
            del vars(module)[name]


@contextmanager
def _lent_module(name: str, **contents: Any) -> Iterator[None]:
    """Put a module with these contents in the place of `name`, and the original back."""
    original: Any = sys.modules.get(name, _ABSENT)
    stand_in = ModuleType(name)
    vars(stand_in).update(contents)
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        if original is _ABSENT:
            del sys.modules[name]
        else:
            sys.modules[name] = original


def _import_neural_tangents() -> ModuleType:
    if "neural_tangents" in sys.modules:
        return sys.modules["neural_tangents"]
    moved = {name: getattr(jax.extend.core, name) for name in ("Jaxpr", "JaxprEqn", "Literal", "Var", "Primitive")}
    sys.modules[_EXPERIMENTAL] = ModuleType(_EXPERIMENTAL)
    with (
        _lent(jax.core, **moved),
        # only the key of two tables of rules for a primitive that no longer occurs
        _lent(ad, zeros_like_p=jax.extend.core.Primitive("zeros_like")),
        _lent_module("jax.util", safe_map=_safe_map, safe_zip=_safe_zip),
    ):
        return importlib.import_module("neural_tangents")


def _window_mean(original: Callable) -> Callable:
    """Return a stand-in for `_conv_kernel_full_spatial_shared` that adds shifted slices instead of convolving."""

    def conv_kernel(
        covariance: Any, filter_shape: Sequence[int], strides: Sequence[int], padding: Any, batch_ndim: int
    ) -> jax.Array | None:
        if covariance is None or covariance.ndim == 0 or padding.name != "SAME":
            return original(covariance, filter_shape, strides, padding, batch_ndim)
        # axes (batch…, height, height, width, width): both positions of a pair move together through the window
        for index, (size, stride) in enumerate(zip(filter_shape, strides, strict=True)):
            axis = batch_ndim + 2 * index
            side = covariance.shape[axis]
            pads = [(0, 0)] * covariance.ndim
            pads[axis] = pads[axis + 1] = lax.padtype_to_pads((side,), (size,), (stride,), "SAME")[0]
            padded, span = jnp.pad(covariance, pads), (-(-side // stride) - 1) * stride + 1
            lead = (slice(None),) * axis
            covariance = sum(padded[(*lead, *(slice(k, k + span, stride),) * 2)] for k in range(size)) / size
        # the original returns (batch…, width, width, height, height), and neural-tangents keeps count of the reversals
        sides = len(filter_shape)
        pairs = [(batch_ndim + 2 * side, batch_ndim + 2 * side + 1) for side in reversed(range(sides))]
        return covariance.transpose(*range(batch_ndim), *(axis for pair in pairs for axis in pair))

    return conv_kernel


neural_tangents = _import_neural_tangents()
stax: ModuleType = neural_tangents.stax

_linear: Any = importlib.import_module("neural_tangents._src.stax.linear")
_original_window_mean = _linear._conv_kernel_full_spatial_shared
_linear._conv_kernel_full_spatial_shared = _window_mean(_original_window_mean)
