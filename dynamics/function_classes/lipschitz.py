"""κ-Lipschitz functions: how steep values are, their extension to all of space, and networks that never exceed κ."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.spatial.distance
from jaxtyping import Float, Key, Shaped

from dynamics.errors import ConfigError
from dynamics.function_classes.base import FunctionClass, flattened, require_dim
from dynamics.typing import Array, Embedding, Views


def lipschitz_constant(x: Views, values: Float[Array, "views dim"]) -> float:
    """Largest ‖f(x_i) − f(x_j)‖/‖x_i − x_j‖ over pairs of points; infinite if equal points differ in value."""
    inputs = scipy.spatial.distance.pdist(np.asarray(x, np.float64).reshape(len(x), -1))
    outputs = scipy.spatial.distance.pdist(np.asarray(values, np.float64))
    apart = inputs > 0
    if (outputs[~apart] > 0).any():
        return float("inf")
    return float((outputs[apart] / inputs[apart]).max(initial=0.0))


def lipschitz_extension(
    x: Views, values: Float[Array, "views dim"], constant: float, new: Shaped[Array, "points ..."]
) -> Float[np.ndarray, "points dim"]:
    """Values at new points of a function that agrees with the given ones, each output κ-Lipschitz (McShane 1934).

    It is the mean of the largest and the smallest extension, min_i f_i + κ‖x − x_i‖ and max_i f_i − κ‖x − x_i‖.

    Parameters
    ----------
    x : array (n, …)
        Points with known values.
    values : array (n, d)
        Values at these points.
    constant : float
        Lipschitz constant κ of every output on its own; with κ/√d the vector of all outputs is κ-Lipschitz.
    new : array (b, …)
        New points.

    Raises
    ------
    ConfigError
        If κ is less than the values need, so that there is no such function.
    """
    f = np.asarray(values, np.float64)
    needed = max(lipschitz_constant(x, column[:, None]) for column in f.T)
    if needed > constant * (1 + 1e-9):
        raise ConfigError(
            f"The values have slopes up to {needed:.4g}, more than the constant {constant:.4g}; raise it."
        )
    rows = (np.asarray(points, np.float64).reshape(len(points), -1) for points in (new, x))
    reach = constant * scipy.spatial.distance.cdist(*rows)[:, :, None]
    return ((f - reach).max(axis=1) + (f + reach).min(axis=1)) / 2


@dataclass(frozen=True)
class Lipschitz(FunctionClass):
    """Networks that are κ-Lipschitz whatever their parameters.

    Weights are divided by their spectral norm where it is above 1, and the outputs of a layer are sorted in pairs.
    Sorting is 1-Lipschitz as ReLU is; unlike with ReLU, such networks come close to every 1-Lipschitz function (Anil,
    Lucas & Grosse 2019).

    Parameters
    ----------
    constant : float
        Lipschitz constant κ > 0 of the whole vector of outputs.
    width : int
        Number of units of a hidden layer, an even number.
    depth : int
        Number of hidden layers.
    """

    constant: float
    width: int = 32
    depth: int = 2

    def __post_init__(self) -> None:
        if not self.constant > 0:
            raise ConfigError(f"The Lipschitz constant is {self.constant}; give a positive number.")
        if self.width < 2 or self.width % 2 or self.depth < 0:
            raise ConfigError(f"width is {self.width} and depth {self.depth}; give an even width and depth ≥ 0.")

    def init(self, key: Key[jax.Array, ""], x: Views, dim: int) -> Any:
        """Orthogonal weights, small random biases."""
        require_dim(dim)
        sizes = [flattened(x).shape[1], *[self.width] * self.depth, dim]
        params = []
        for fan_in, fan_out, part in zip(sizes, sizes[1:], jax.random.split(key, len(sizes) - 1), strict=False):
            weight_key, bias_key = jax.random.split(part)
            params.append(
                {
                    "weights": jax.nn.initializers.orthogonal()(weight_key, (fan_in, fan_out)),
                    "biases": 0.1 * jax.random.normal(bias_key, (fan_out,)),
                }
            )
        return params

    def apply(self, params: Any, x: Views) -> Embedding:
        """Values (n, dim), ‖f(x) − f(x')‖ ≤ κ‖x − x'‖."""
        h = self.constant * flattened(x)
        for layer in params[:-1]:
            h = _affine(layer, h)
            paired = h.reshape(len(h), -1, 2)
            h = jnp.stack([paired.max(axis=-1), paired.min(axis=-1)], axis=-1).reshape(h.shape)
        return _affine(params[-1], h)


def _affine(layer: dict[str, jax.Array], h: jax.Array) -> jax.Array:
    W = layer["weights"]
    return h @ (W / jnp.maximum(1.0, jnp.linalg.norm(W, 2))) + layer["biases"]
