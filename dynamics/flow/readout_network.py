"""A network as its last hidden layer and a readout, F = u h(θ) W + reference, with the derivatives of h at the start.

>>> import numpy as np
>>> network = ReadoutNetwork(lambda V: np.eye(4, 3) @ V, np.ones((3, 5)), np.zeros((5, 2)), scale=1.0)
>>> network.hidden.shape, network.tangent(np.ones((3, 5))).shape
((4, 5), (4, 5))
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.support.one_line import one_line
from dynamics.support.precision import full_precision
from dynamics.typing import Array, Embedding


@dataclass(frozen=True, eq=False)
class ReadoutNetwork:
    """A network with the readout made explicit, on fixed points.

    Parameters
    ----------
    features : callable
        params -> h (2n + b, N), the last hidden layer on the training views and after them on b test points.
    params : pytree of arrays
        Parameters θ₀ of the features before training. Derivatives are taken in their precision.
    readout : array (N, d)
        W before training.
    scale : float
        u, with which the function is F = u h W: the output multiplier times 1/√N in `dynamics.networks`.
    num_views : int, optional
        2n, the number of training views; all points by default.
    reference : array (2n + b, d), optional
        A part of the function that does not depend on the weights, F = u h W + reference, as networks have whose
        function was centred.
    """

    features: Callable[[Any], Float[Array, "points units"]]
    params: Any
    readout: Float[Array, "units dim"]
    scale: float
    num_views: int | None = None
    reference: Float[np.ndarray, "points dim"] | None = None

    __repr__ = one_line

    @property
    def views(self) -> int:
        """Number of training views 2n."""
        return len(self.hidden) if self.num_views is None else self.num_views

    @property
    def num_weights(self) -> int:
        """Number of weights P of the features."""
        return sum(np.size(leaf) for leaf in jax.tree.leaves(self.params))

    @cached_property
    def hidden(self) -> Float[np.ndarray, "points units"]:
        """The features h₀ (2n + b, N) before training, float64."""
        return np.asarray(self._linearised[0], np.float64)

    @property
    def initial_embeddings(self) -> Embedding:
        """F (2n + b, d) before training."""
        return self.scale * self.hidden @ np.asarray(self.readout, np.float64) + self.fixed_part

    @property
    def fixed_part(self) -> Embedding:
        """The reference (2n + b, d), zero without one."""
        if self.reference is None:
            return np.zeros((len(self.hidden), self.readout.shape[1]))
        return self.reference

    def made_small(self, scale: float) -> "ReadoutNetwork":
        """The network with its initial function subtracted but for a share of it, α F(0), whatever the weights do."""
        F0 = self.scale * self.hidden @ np.asarray(self.readout, np.float64)
        return replace(self, reference=(scale - 1) * F0)

    def tangent(self, direction: Any) -> Float[Array, "points units"]:
        """J δ, the derivative of the features along a direction δ of weight space; one forward pass."""
        with full_precision(self._dtype):
            return _apply(self._linearised[1], jax.tree.map(partial(jnp.asarray, dtype=self._dtype), direction))

    def pullback(self, cotangent: Float[Array, "points units"]) -> Any:
        """Jᵀ Y, the gradient of ⟨Y, h⟩ by the parameters; one backward pass."""
        with full_precision(self._dtype):
            return _apply(self._linearised[2], jnp.asarray(cotangent, self._dtype))

    def flat(self, direction: Any) -> Float[np.ndarray, " weights"]:
        """A direction of weight space as one vector, float64."""
        leaves = [np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(direction)]
        return np.concatenate(leaves) if leaves else np.zeros(0)

    def unflat(self, vector: Float[np.ndarray, " weights"]) -> Any:
        """The direction of weight space that a vector stands for."""
        leaves, treedef = jax.tree.flatten(self.params)
        parts = np.split(np.asarray(vector), np.cumsum([np.size(leaf) for leaf in leaves])[:-1])
        shaped = [part.reshape(np.shape(leaf)) for part, leaf in zip(parts, leaves, strict=True)]
        return jax.tree.unflatten(treedef, shaped)

    def moved(
        self, direction: Float[np.ndarray, " weights"], readout: Float[np.ndarray, "units dim"]
    ) -> "ReadoutNetwork":
        """The network at the weights θ₀ + δ and another readout."""

        def add(leaf: Array, step: np.ndarray) -> np.ndarray:
            return (np.asarray(leaf, np.float64) + step).astype(self._dtype)

        return replace(self, params=jax.tree.map(add, self.params, self.unflat(direction)), readout=readout)

    @cached_property
    def _linearised(self) -> tuple[Array, Callable, Callable]:
        """h₀, J and Jᵀ; what the forward pass at θ₀ computes is kept."""
        with full_precision(self._dtype):
            params = jax.tree.map(partial(jnp.asarray, dtype=self._dtype), self.params)
            h0, along = _linearise(self.features, params)
            return h0, along, jax.tree_util.Partial(_transpose, along, params)

    @cached_property
    def _dtype(self) -> np.dtype:
        """Precision of the parameters, at least float32."""
        return np.dtype(np.result_type(np.float32, *(np.asarray(leaf).dtype for leaf in jax.tree.leaves(self.params))))


@partial(jax.jit, static_argnums=0)
def _linearise(features: Callable, params: Any) -> tuple[Array, Callable]:
    return jax.linearize(features, params)


def _transpose(along: Callable, params: Any, cotangent: Array) -> Any:
    return jax.linear_transpose(along, params)(cotangent)[0]


@jax.jit
def _apply(function: Callable, argument: Any) -> Any:
    return function(argument)
