"""The second stage of an experiment: the declared network and its random parameters, before it is made small."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dynamics.errors import ConfigError
from dynamics.networks import Architecture, PlaneGroup, architecture
from dynamics.support.compiled import FOR_ONE_RUN
from dynamics.support.memory import require_memory
from dynamics.support.one_line import one_line
from dynamics.support.precision import full_precision
from dynamics.typing import Views


@dataclass(frozen=True, eq=False)
class RandomNetwork:
    """A network with its standard random parameters.

    Parameters
    ----------
    architecture : Architecture
        Declaration of the network.
    module : flax.linen.Module
        The network with d outputs; its method `features` returns the last hidden layer (2n, N).
    params : pytree
        Standard random parameters.
    views : array (2n, *input_shape)
        The training views.
    """

    architecture: Architecture
    module: nn.Module
    params: Any
    views: Views

    __repr__ = one_line

    @cached_property
    def hidden_layer(self) -> np.ndarray:
        """The last hidden layer on the training views, (2n, N), computed with all digits of float32."""
        return self.features(self.views)

    def features(self, views: Views) -> np.ndarray:
        """The last hidden layer on views (b, …), (b, N), computed with all digits of float32."""
        features = jax.jit(partial(self.module.apply, method="features"))
        with full_precision():
            return np.asarray(features(self.params, jnp.asarray(views)), np.float64)

    @property
    def description(self) -> str:
        """Name of the architecture, with its settings."""
        return describe(self.architecture)

    @property
    def readout_width(self) -> int:
        """N, the number of units in the last hidden layer; nothing is computed."""
        features = partial(self.module.apply, method="features")
        return jax.eval_shape(features, self.params, jnp.asarray(self.views[:1])).shape[1]


def declared_network(
    name: str, input_shape: tuple[int, ...], *, width: int | None, depth: int | None, head: str | None, group: str
) -> Architecture:
    """Declare a network by name; settings that are None keep the defaults of the architecture.

    Raises
    ------
    ConfigError
        If the architecture has no such setting, or the views of a group network are no images.
    """
    settings: dict[str, Any] = {"width": width, "blocks" if name == "resnet" else "depth": depth, "head": head}
    if name == "group-convnet":
        if len(input_shape) != 3:
            raise ConfigError(f"A group-convnet needs views (height, width, channels), got shape {input_shape}.")
        settings["group"] = PlaneGroup(group, *input_shape[:2])
    return architecture(name, **{key: value for key, value in settings.items() if value is not None})


def random_network(declared: Architecture, views: Views, *, dim: int, seed: int) -> RandomNetwork:
    """Draw the parameters of a network with `dim` outputs.

    Raises
    ------
    ConfigError
        If the views do not fit the architecture.
    CapacityError
        If the parameters do not fit into the memory that is left.
    """
    declared.check_input(views.shape[1:])
    module = declared.module(dim)
    require_memory(_initial_parameters.eval_shape(module, jax.random.key(seed), jnp.asarray(views[:1])))
    params = _initial_parameters(module, jax.random.key(seed), jnp.asarray(views[:1]))
    return RandomNetwork(declared, module, params, views)


def describe(declared: Architecture) -> str:
    """Name an architecture and those of its settings that are not None."""
    settings = {name: value for name, value in vars(declared).items() if value is not None}
    return f"{type(declared).__name__}({', '.join(f'{name} {value}' for name, value in settings.items())})"


@partial(jax.jit, static_argnums=0, compiler_options=FOR_ONE_RUN)
def _initial_parameters(module: nn.Module, key: jax.Array, views: jax.Array) -> Any:
    """Compiled as a whole, once a network: op by op, a forward pass that nobody looks at takes seconds to compile."""
    return module.init(key, views)
