"""What every architecture offers: the declaration of its layers, its finite network and its size."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import linen as nn

from dynamics.errors import ConfigError
from dynamics.networks.layers import ACTIVATION_GAINS, Flatten, Layer, Layers, Pool
from dynamics.networks.linen import Network

HEADS: dict[str, Layer] = {"flatten": Flatten(), "pool": Pool()}


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """A network in NTK parameterisation, declared once by `layers`.

    Every parameter is N(0, 1) at the start; weights enter the forward pass as w_std/√fan_in · W, biases as b_std · b
    (Jacot et al. 2018, Sec. 2).

    Parameters
    ----------
    activation : {"relu", "erf", "gelu"}
        Non-linearity; each has an infinite-width kernel in closed form.
    w_std : float, optional
        Scale of the weights. The default keeps unit variance from layer to layer: √2 for ReLU (He et al. 2015),
        otherwise E[φ(z)²]^{-1/2}.
    b_std : float, optional
        Scale of the biases. The default is a network without biases.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    activation: str = "relu"
    w_std: float | None = None
    b_std: float | None = None

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATION_GAINS:
            raise ConfigError(
                f"{self._name}: activation {self.activation!r} is unknown; choose from {', '.join(ACTIVATION_GAINS)}."
            )
        for name in ("w_std", "b_std"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"{self._name}: {name} is {value}; give a positive number, or leave it out.")

    @abstractmethod
    def layers(self) -> Layers:
        """Return the declaration, from the input to the last hidden layer (without the readout)."""

    @abstractmethod
    def check_input(self, shape: tuple[int, ...]) -> None:
        """Raise `ConfigError` unless views of this shape (without the batch axis) fit the architecture."""

    @property
    def has_infinite_width(self) -> bool:
        """Whether there is a kernel of the infinitely wide network."""
        return True

    def module(self, dim: int) -> nn.Module:
        """Return the finite network with `dim` outputs as a Flax Linen module.

        Raises
        ------
        ConfigError
            If `dim` is below 1.
        """
        if dim < 1:
            raise ConfigError(f"{self._name}: dim is {dim}; give an integer of at least 1.")
        return Network(self, dim)

    def parameter_count(self, input_shape: tuple[int, ...], dim: int) -> int:
        """Return the number of parameters for views of shape `input_shape` and `dim` outputs; nothing is computed."""
        x = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
        params = jax.eval_shape(self.module(dim).init, jax.random.key(0), x)
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def _gain(self) -> float:
        return ACTIVATION_GAINS[self.activation] if self.w_std is None else self.w_std

    def _require_positive(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 1:
                raise ConfigError(f"{self._name}: {name} is {getattr(self, name)}; give an integer of at least 1.")

    def _require_head(self, head: str) -> None:
        if head not in HEADS:
            raise ConfigError(f"{self._name}: head {head!r} is unknown; choose from {', '.join(HEADS)}.")

    def _require_images(self, shape: tuple[int, ...]) -> None:
        if len(shape) == 3 and all(size > 0 for size in shape):
            return
        if len(shape) == 2:
            advice = "add a channel axis with x[..., None]"
        else:
            advice = 'give images, or take an MLP (`network="mlp"`)'
        raise ConfigError(f"{self._name}: needs views (height, width, channels), got shape {shape}; {advice}.")
