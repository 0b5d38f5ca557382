"""Keeps XLA's CPU compiler from computing activations again in the backward pass of convolutions.

The gradient of a convolution's kernel needs its input with the axes in another order. XLA on a CPU fuses that
transposition with whatever elementwise operations made the input (normalisation, ReLU, the sum of a residual block and,
through it, of all blocks before), and evaluates all of them anew, one strided element at a time: 39 % of a step of
ResNet-18 (width 1/4, jaxlib 0.10.1), where a copy of the finished array takes 2 %. An optimisation barrier does not
help, since it is taken out before operations are fused. A division does: XLA counts it as too expensive to repeat.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dynamics.typing import Array


def computed_once(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same array, to be read and not recomputed by all that use it; call it on the input of a convolution.

    Divides by a number that is 1 at run time, which the compiler cannot know: bits stay as they are, and so does the
    gradient. On other backends nothing is done.
    """
    if jax.default_backend() != "cpu":
        return x
    one = 1 + jnp.minimum(jnp.abs(x[(0,) * x.ndim]), 0)
    return x / jax.lax.stop_gradient(one)
