"""Names of the arrays that travel through the package, with their axes.

`n` pairs, `2n` views, `d` embedding dimensions, `m` modes, `T` recorded times. Arrays of the theory are NumPy float64.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float, Shaped

if TYPE_CHECKING:
    # Most functions take arrays of both libraries, and what an operation makes of them is known at run time only, where
    # the tests check every annotation. With a union a checker would complain of each product.
    Array = Any
else:
    Array = jax.Array | np.ndarray

Views = Shaped[Array, "views ..."]
"""A stack of inputs of any modality; the first axis counts them."""

Gram = Float[Array, "rows columns"]
"""Kernel values k(x_i, y_j)."""

SquareGram = Float[Array, "views views"]
"""Kernel values among the 2n views in the order x_1 … x_n, x'_1 … x'_n."""

Embedding = Float[Array, "views dim"]
"""Embeddings of the views, one row a view."""

Spectrum = Float[Array, "modes"]
"""Eigenvalues in descending (signed) order."""

KernelFn = Callable[[Views, Views], Gram]
"""(x1 (a, …), x2 (b, …)) -> (a, b)."""
