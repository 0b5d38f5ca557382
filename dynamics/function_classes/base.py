"""What every class of functions offers: random members, their values, and where it is linear, its exact operator."""

from abc import ABC, abstractmethod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

from dynamics.errors import ConfigError
from dynamics.modes.restricted import PairMoments, pair_moments
from dynamics.typing import Array, Embedding, Views

Params = Any


class FunctionClass(ABC):
    """A set of functions from views to R^d, indexed by parameters: anything with `init` and `apply` can be trained."""

    @abstractmethod
    def init(self, key: Key[jax.Array, ""], x: Views, dim: int) -> Params:
        """Random parameters for views like x (n, …) and `dim` outputs; traceable, so that seeds can be `vmap`ped."""

    @abstractmethod
    def apply(self, params: Params, x: Views) -> Embedding:
        """Values (n, dim)."""


class LinearInFeatures(FunctionClass):
    """f(x) = ψ(x)W with features ψ that are not trained: its restricted eigenproblem can be solved exactly."""

    @abstractmethod
    def features(self, x: Views) -> Float[Array, "views features"]:
        """ψ (n, p)."""

    def init(self, key: Key[jax.Array, ""], x: Views, dim: int) -> Params:
        """W (p, dim) with entries N(0, 0.1²/p)."""
        p = jax.eval_shape(self.features, x).shape[-1]
        return 0.1 * jax.random.normal(key, (p, dim)) / np.sqrt(p)

    def apply(self, params: Params, x: Views) -> Embedding:
        """ψ(x)W."""
        return self.features(x) @ params

    def moments(self, views: Views, graph: Float[Array, "views views"] | None = None) -> PairMoments:
        """Moments of the features on views (2n, …), x_1 … x_n, x'_1 … x'_n, or on all views of a relation graph."""
        return pair_moments(np.asarray(self.features(views)), graph=graph)


def flattened(x: Views) -> Float[Array, "views entries"]:
    """Views as vectors."""
    return jnp.asarray(x).reshape(len(x), -1)


def require_dim(dim: int) -> None:
    """Raise `ConfigError` unless there is an output."""
    if dim < 1:
        raise ConfigError(f"dim is {dim}; give at least 1.")
