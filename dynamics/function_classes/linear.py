"""Linear functions, with and without a bias."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.function_classes.base import LinearInFeatures, flattened
from dynamics.modes.restricted import PairMoments
from dynamics.typing import Array, Views


@dataclass(frozen=True)
class Linear(LinearInFeatures):
    """f(x) = W x, or W x + b: a bias adds the constant, on which all partners agree, and takes a dimension for it.

    Parameters
    ----------
    bias : bool
        Whether there is a bias.

    Examples
    --------
    >>> from dynamics.modes.restricted import restricted_modes
    >>> from dynamics.views import SignedCube
    >>> cube = SignedCube(dim=6, signal=2)
    >>> 28 * restricted_modes(Linear().exact_moments(*cube.coordinate_moments())).eigenvalues
    array([28., 28., 27., 27., 27., 27.])
    """

    bias: bool = False

    def features(self, x: Views) -> Float[Array, "views features"]:
        """The entries of x, and 1 with a bias."""
        rows = flattened(x)
        return jnp.concatenate([rows, jnp.ones_like(rows[:, :1])], axis=1) if self.bias else rows

    def exact_moments(
        self,
        second: Float[np.ndarray, "entries entries"],
        pair: Float[np.ndarray, "entries entries"],
        mean: Float[np.ndarray, " entries"],
    ) -> PairMoments:
        """Moments from those of the views themselves, E x xᵀ, E x x⁺ᵀ and E x."""
        if not self.bias:
            return PairMoments(second, pair, mean)
        second, pair = (np.block([[M, mean[:, None]], [mean[None], np.ones((1, 1))]]) for M in (second, pair))
        return PairMoments(second, pair, np.append(mean, 1.0))
