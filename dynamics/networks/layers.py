"""The vocabulary in which an architecture is declared once.

A declaration is a tuple of these layers. `dynamics.networks.linen` reads it as a finite-width Flax module and
`dynamics.kernels.infinite` as the kernel of its infinite-width limit, so that the two cannot drift apart.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

ACTIVATION_GAINS = {
    "relu": math.sqrt(2),
    "erf": (2 / math.pi * math.asin(2 / 3)) ** -0.5,
    "gelu": (1 / 3 + 1 / (2 * math.pi * math.sqrt(3))) ** -0.5,
}
"""W_std = E[φ(z)²]^{-1/2}, z ~ N(0, 1), which keeps a unit pre-activation variance from layer to layer.

For ReLU it is He et al. (2015), Eq. 10. These are the activations whose infinite-width kernels have closed forms.
"""


@dataclass(frozen=True)
class Dense:
    """x ↦ w_std/√fan_in · x W + b_std · b with W, b ~ N(0, 1); `b_std=None` leaves the bias out."""

    name: str
    width: int
    w_std: float
    b_std: float | None


@dataclass(frozen=True)
class Conv:
    """Square convolution over zero-padded images (padding SAME), scaled like `Dense` with fan_in = size²·channels."""

    name: str
    width: int
    size: int
    stride: int
    w_std: float
    b_std: float | None


@dataclass(frozen=True)
class Activation:
    """Elementwise non-linearity, a key of `ACTIVATION_GAINS`."""

    kind: str


@dataclass(frozen=True)
class Residual:
    """x ↦ shortcut(x) + branch(x); an empty shortcut is the identity."""

    branch: "Layers"
    shortcut: "Layers" = ()


@dataclass(frozen=True)
class Tap:
    """Gives the activations at this point a name under which they can be watched; changes nothing."""

    name: str


@dataclass(frozen=True)
class Flatten:
    """(batch, …) ↦ (batch, entries)."""


@dataclass(frozen=True)
class Pool:
    """Global average pooling, (batch, height, width, channels) ↦ (batch, channels)."""


Layer = Dense | Conv | Activation | Residual | Tap | Flatten | Pool
Layers = tuple[Layer, ...]


@runtime_checkable
class Declaration(Protocol):
    """What the finite network needs to know of an architecture: its layers, and which views it accepts."""

    def layers(self) -> Layers:
        """Return the layers from the input to the last hidden layer, without the readout."""

    def check_input(self, shape: tuple[int, ...]) -> None:
        """Raise `ConfigError` unless views of this shape (without the batch axis) fit."""
