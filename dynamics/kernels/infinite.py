"""Kernels of infinitely wide networks, from the same declaration as the finite ones.

Two routes lead to the same numbers: fused recursions for the layers that they know, and neural-tangents for all.
"""

import math
import warnings
from collections.abc import Callable
from functools import partial, wraps
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp

from dynamics.errors import ConfigError
from dynamics.kernels.elementary import require_kind
from dynamics.kernels.fused import evaluate_fused, supports
from dynamics.kernels.kernel import ColumnViews, Kernel, RowViews
from dynamics.networks.base import Architecture
from dynamics.networks.layers import Activation, Conv, Dense, Flatten, Layers, Pool, Residual, Tap
from dynamics.support.precision import in_full_precision
from dynamics.typing import Gram

TILE_BYTES = 2**28
"""Memory for one tile of a convolutional kernel."""


BACKENDS = ("auto", "fused", "neural-tangents")


def infinite_kernel(architecture: Architecture, kind: str = "ntk", *, backend: str = "auto") -> Kernel:
    """Return the kernel of an architecture at infinite width.

    With global average pooling a pair of views costs O(pixels²), otherwise O(pixels) (Novak et al. 2019, Sec. 3).
    `estimate_cost` tells the time of an evaluation beforehand.

    Parameters
    ----------
    architecture : Architecture
        Architecture of the network; its widths do not matter.
    kind : {"ntk", "nngp"}
        "nngp" is the limit of the conjugate kernel h hᵀ/N of the last hidden layer, and predicts training from a small
        readout; "ntk" the limit of Σ_θ ∂_θf ∂_θf for one output, and predicts training from a centred function.
    backend : {"auto", "fused", "neural-tangents"}
        How the kernel is computed. "auto" takes the fused recursion, which is several times faster, where it knows
        every layer (ReLU and erf), and neural-tangents elsewhere.

    Raises
    ------
    ConfigError
        If `kind` or `backend` is unknown, the fused recursion does not know a layer, or neural-tangents is needed and
        not installed; when called, if the views do not fit the architecture.
    """
    require_kind("infinite_kernel", kind)
    if backend not in BACKENDS:
        raise ConfigError(f"infinite_kernel: backend {backend!r} is unknown; choose from {', '.join(BACKENDS)}.")
    layers = architecture.layers()
    fused = supports(layers) if backend == "auto" else backend == "fused"
    if fused and not supports(layers):
        raise ConfigError(
            f"infinite_kernel: the fused recursion does not know every layer of this {type(architecture).__name__}; "
            'choose the backend "neural-tangents".'
        )
    if not fused:
        _require_neural_tangents(architecture)
    evaluate: Callable | None = None

    def function(x1: RowViews, x2: ColumnViews) -> Gram:
        nonlocal evaluate
        for x in (x1, x2):
            architecture.check_input(x.shape[1:])
        if fused:
            return evaluate_fused(layers, kind, x1, x2)
        if evaluate is None:
            evaluate = jax.jit(partial(stax_kernel(architecture), get=kind))
        return evaluate(jnp.asarray(x1), jnp.asarray(x2))

    tile_side = _fused_tile_side if fused else _tile_side
    key = f"{kind} of {architecture!r}, {'fused' if fused else 'neural-tangents'}"
    return Kernel(f"{type(architecture).__name__}-{kind}", function, partial(tile_side, layers), key=key)


def _require_neural_tangents(architecture: Architecture) -> None:
    if find_spec("neural_tangents") is None:
        raise ConfigError(
            f"The infinite-width kernel of this {type(architecture).__name__} needs neural-tangents, since the fused "
            "recursion is not asked for or does not know every layer (it knows relu and erf); install the extra "
            "ssl-dynamics[neural-tangents], or use the kernel of the finite network."
        )


def _fused_tile_side(layers: Layers, view_shape: tuple[int, ...]) -> int:
    # memory is bounded by the chunks; a tile of some seconds at most lets a progress bar move
    if Pool() in layers:
        return max(8, min(64, 4096 // math.prod(view_shape[:-1])))
    if Flatten() in layers[:1]:
        return 1024 if jax.default_backend() == "cpu" else 4096  # enough work for a launch
    return 256


def _tile_side(layers: Layers, view_shape: tuple[int, ...]) -> int:
    if Flatten() in layers[:1]:
        return 512
    pixels = math.prod(view_shape[:-1])
    # about eight arrays of the size of one covariance are alive at once: NNGP, NTK and what an activation needs
    bytes_per_pair = 8 * 8 * (pixels**2 if Pool() in layers else pixels)
    return max(1, min(512, math.isqrt(TILE_BYTES // bytes_per_pair)))


def stax_kernel(architecture: Architecture) -> Callable:
    """Return neural-tangents' own `kernel_fn(x1, x2, get)` of the infinite-width network, which checks no inputs.

    `get="nngp"` is the limit of h hᵀ/N, h the last hidden layer; `get="ntk"` that of Σ_θ ∂_θf ∂_θfᵀ for one output,
    with a readout of unit scale and without bias. `infinite_kernel` is the same with its inputs checked.
    """
    _require_neural_tangents(architecture)
    from dynamics.kernels._neural_tangents import stax  # imported late: it takes seconds, and few need it

    kernel_fn = stax.serial(_serial(stax, architecture.layers()), stax.Dense(1, W_std=1.0, b_std=None))[2]

    @in_full_precision
    @wraps(kernel_fn)
    def quiet(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            # the summands are independent: every branch ends in weights of its own
            warnings.filterwarnings("ignore", "`FanIn` layers assume independent inputs")
            return kernel_fn(*args, **kwargs)

    return quiet


def _serial(stax: Any, layers: Layers) -> tuple:
    return stax.serial(stax.Identity(), *(_layer(stax, layer) for layer in layers if not isinstance(layer, Tap)))


def _layer(stax: Any, layer: Any) -> tuple:
    match layer:
        case Dense():
            return stax.Dense(layer.width, W_std=layer.w_std, b_std=layer.b_std)
        case Conv():
            return stax.Conv(
                layer.width, (layer.size,) * 2, (layer.stride,) * 2, "SAME", W_std=layer.w_std, b_std=layer.b_std
            )
        case Activation("relu"):
            return stax.Relu()
        case Activation("erf"):
            return stax.Erf()
        case Activation("gelu"):
            return stax.Gelu()
        case Residual():
            paths = stax.parallel(_serial(stax, layer.shortcut), _serial(stax, layer.branch))
            return stax.serial(stax.FanOut(2), paths, stax.FanInSum())
        case Flatten():
            return stax.Flatten()
        case Pool():
            return stax.GlobalAvgPool()
    raise TypeError(f"{layer!r} is no layer of a declaration.")
