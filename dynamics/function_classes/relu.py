"""Single ReLU units, on the whole input or summed over the patches of a ring. Neither has an output layer.

A linear layer on top would make both universal in the limit of many units, and their inductive bias would be gone.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Key

from dynamics.errors import ConfigError
from dynamics.function_classes.base import FunctionClass, flattened, require_dim
from dynamics.typing import Array, Embedding, Views


class Units(NamedTuple):
    """Parameters of a layer of units.

    weights : array (dim, fan_in)
        Weights U, with one row for each unit.
    biases : array (dim,)
        Biases b.
    """

    weights: Float[Array, "dim fan_in"]
    biases: Float[Array, " dim"]


@dataclass(frozen=True)
class ReLUUnits(FunctionClass):
    """f(x) = relu(U x + b), each output one unit.

    Parameters
    ----------
    scale : float
        Standard deviation of the random weights, times √fan_in.
    """

    scale: float = 1.0

    def init(self, key: Key[jax.Array, ""], x: Views, dim: int) -> Units:
        """Normal weights; biases zero."""
        return _random_units(key, flattened(x).shape[1], dim, self.scale)

    def apply(self, params: Units, x: Views) -> Embedding:
        """relu(U x + b)."""
        return jax.nn.relu(flattened(x) @ params.weights.T + params.biases)


@dataclass(frozen=True)
class PatchConvolution(FunctionClass):
    """f(x) = Σ_t relu(U x_{t : t+s−1} + b) over all positions t of a ring: one circular convolution, summed.

    Parameters
    ----------
    size : int
        Number s of entries of a patch.
    scale : float
        Standard deviation of the random weights, times √fan_in.
    """

    size: int
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"size is {self.size}; a patch has at least 1 entry.")

    def init(self, key: Key[jax.Array, ""], x: Views, dim: int) -> Units:
        """Normal weights; biases zero.

        Raises
        ------
        ConfigError
            If the patch is larger than the ring.
        """
        if self.size > flattened(x).shape[1]:
            raise ConfigError(f"Patches of {self.size} entries do not fit a ring of {flattened(x).shape[1]}.")
        return _random_units(key, self.size, dim, self.scale)

    def apply(self, params: Units, x: Views) -> Embedding:
        """Σ_t relu(U x_{t : t+s−1} + b)."""
        rows = flattened(x)
        ring = jnp.concatenate([rows, rows[:, : self.size - 1]], axis=1)
        # shifted slices and one matmul: as a convolution it would be slow inside compiled loops
        patches = jnp.stack([ring[:, i : i + rows.shape[1]] for i in range(self.size)], axis=-1)
        return jax.nn.relu(patches @ params.weights.T + params.biases).sum(axis=1)


def _random_units(key: jax.Array, fan_in: int, dim: int, scale: float) -> Units:
    require_dim(dim)
    return Units(scale * jax.random.normal(key, (dim, fan_in)) / jnp.sqrt(fan_in), jnp.zeros(dim))
