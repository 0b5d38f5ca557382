"""Positive pairs from a user's own vectors or sequences: rescaled entries, and members of one group.

>>> import jax, numpy as np
>>> x = np.random.default_rng(0).choice([-1.0, 1.0], size=(50, 6))
>>> pairs = scaled_pairs(x, np.arange(6) >= 2, jax.random.key(0))
>>> bool((pairs.x[:, :2] == x[:, :2]).all()), bool((np.sign(pairs.x_prime) == x).all())
(True, True)
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Key, Shaped

from dynamics.errors import ConfigError, DataError
from dynamics.typing import Array
from dynamics.views.pairs import Pairs


def scale_entries(
    key: Key[jax.Array, ""],
    x: Float[Array, "n *entries"],
    scaled: Bool[Array, "*broadcastable"],
    low: float = 0.5,
    high: float = 1.0,
) -> Float[jax.Array, "n *entries"]:
    """Multiply the chosen entries by independent τ ~ U[low, high], which keeps their signs and changes their sizes.

    Parameters
    ----------
    key : jax key
        Random key from which τ is drawn.
    x : array (n, …)
        Natural data, one datum in each row.
    scaled : bool array
        Mask of the entries that are scaled; one mask for all, or one for every row.
    low, high : float
        Range of the scales τ.
    """
    x = jnp.asarray(x)
    tau = jax.random.uniform(key, x.shape, x.dtype, low, high)
    return x * jnp.where(jnp.asarray(scaled), tau, 1)


def scaled_pairs(
    x: Float[Array, "n *entries"],
    scaled: Bool[Array, "*broadcastable"],
    key: Key[jax.Array, ""],
    *,
    low: float = 0.5,
    high: float = 1.0,
) -> Pairs:
    """Two views of every row in which the chosen entries are rescaled independently (HaoChen & Ma 2023, Section 5).

    Parameters
    ----------
    x : array (n, …)
        Natural data, one datum in each row.
    scaled : bool array
        Mask of the entries that the augmentation may change; one mask for all rows, or one for every row.
    key : jax key
        Random key from which both sets of scales are drawn.
    low, high : float
        Range of the scales τ.

    Raises
    ------
    ConfigError
        If low > high.
    """
    if not low <= high:
        raise ConfigError(f"The scales lie between low = {low} and high = {high}; give low ≤ high.")
    first, second = (scale_entries(part, x, scaled, low, high) for part in jax.random.split(key))
    return Pairs(np.asarray(first), np.asarray(second), f"entries rescaled by U[{low:g}, {high:g}]")


def group_pairs(
    x: Shaped[Array, "n *entries"], groups: Shaped[Array, " n"], key: Key[jax.Array, ""], *, num_pairs: int
) -> Pairs:
    """Draw two different members of one group for every pair; each row is as likely to come first.

    A group may be a labelled class, a video, a patient, or a piece of a manifold.

    Parameters
    ----------
    x : array (n, …)
        Data, one datum in each row.
    groups : array (n,)
        Group of every row. Rows that are alone in their group are never drawn.
    key : jax key
        Random key from which the pairs are drawn.
    num_pairs : int
        Number of pairs.

    Raises
    ------
    DataError
        If no group has two members.
    ConfigError
        If `num_pairs` is below 1.
    """
    if num_pairs < 1:
        raise ConfigError(f"num_pairs={num_pairs}: give at least 1.")
    _, which, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = np.argsort(which, kind="stable")  # members of a group stand together, from its start on
    starts = np.cumsum(counts) - counts
    place = np.empty(len(which), int)
    place[order] = np.arange(len(which))
    eligible = np.flatnonzero(counts[which] > 1)
    if not eligible.size:
        raise DataError("group_pairs: no group has two members, so there are no partners; give larger groups.")
    first_key, step_key = jax.random.split(key)
    first = np.asarray(jax.random.choice(first_key, eligible, (num_pairs,)))
    group = which[first]
    share = np.asarray(jax.random.uniform(step_key, (num_pairs,)), np.float64)
    step = 1 + np.minimum((share * (counts[group] - 1)).astype(int), counts[group] - 2)
    second = order[starts[group] + (place[first] - starts[group] + step) % counts[group]]
    values = np.asarray(x)
    return Pairs(values[first], values[second], f"members of {int((counts > 1).sum())} groups")
