"""Whether what is asked for fits into the memory that is left, asked before any of it is taken."""

import math
from typing import Any

import jax

from dynamics.errors import CapacityError
from dynamics.support.environment import available_memory

_COPIES = 3  # of the parameters: they themselves, their gradient, and what the next step is made of


def require_memory(params: Any) -> None:
    """Raise `CapacityError` if a network's parameters do not fit into the memory that is left.

    Parameters
    ----------
    params : pytree
        Parameters, or their shapes as `jax.eval_shape` gives them.
    """
    leaves = jax.tree.leaves(params)
    count = sum(math.prod(leaf.shape) for leaf in leaves)
    needed = _COPIES * sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)
    available = available_memory()
    if available is not None and needed > available:
        raise CapacityError(
            f"The network has {count:.3g} parameters, which take {needed / 1e9:.3g} GB with what training adds, and "
            f"{available / 1e9:.3g} GB of memory are left; lower `width`, `depth` or `dim`."
        )
