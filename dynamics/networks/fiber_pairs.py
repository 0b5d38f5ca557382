"""Positive pairs in feature space: two fibers of one forward pass in place of two augmented images.

For an exactly equivariant network, f(T_h x)[g] = f(x)[h⁻¹g], the embeddings of two augmented images are fibers of the
image itself: f(T_h x)[0] = f(x)[h⁻¹0]. So augmentation (A-SSL) and homomorphic SSL (H-SSL; Keller, Suau, Zappella 2023)
with the same group elements have the same loss and the same gradient, the second at the cost of one view.

>>> import jax
>>> from dynamics.networks.groups import PlaneGroup
>>> pairs = FiberPairs.within(PlaneGroup("c4", 8, 8), 1)
>>> pairs.steps
(0, 1, 3)
>>> pairs.draw(jax.random.key(0), 5).shape
(2, 5)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key, Shaped

from dynamics.errors import ConfigError
from dynamics.networks.groups import PlaneGroup
from dynamics.support.precision import full_precision
from dynamics.typing import Array, Embedding

Drawn = Int[Array, "2 pairs"]


@dataclass(frozen=True)
class FiberPairs:
    """A law of pairs of fibers (u, us): u uniform over the group, s uniform over `steps`.

    Such a law does not change when the image is transformed. The two fibers are what augmentation with u⁻¹ and
    (us)⁻¹ would show.

    Parameters
    ----------
    group : PlaneGroup
        The group G, whose elements number the fibers.
    steps : tuple of int
        Elements s, closed under inverses so that the two partners have the same law. See `haar`, `at_distance` and
        `within` for the usual choices.

    Raises
    ------
    ConfigError
        If there are no steps, they are no elements of the group, or an inverse is missing.
    """

    group: PlaneGroup
    steps: tuple[int, ...]

    def __post_init__(self) -> None:
        steps, order = set(self.steps), self.group.order
        if not steps or not all(0 <= s < order for s in steps):
            raise ConfigError(f"Steps {self.steps} must be one or more elements 0 … {order - 1} of {self.group.name}.")
        missing = steps ^ {int(self.group.inverse(s)) for s in steps}
        if missing:
            raise ConfigError(f"Steps {self.steps}: {min(missing)} is there without its inverse, or the reverse.")

    @staticmethod
    def haar(group: PlaneGroup) -> "FiberPairs":
        """Independent fibers: the step is uniform over the whole group (the identity included)."""
        return FiberPairs(group, tuple(range(group.order)))

    @staticmethod
    def at_distance(group: PlaneGroup, distance: int) -> "FiberPairs":
        """Fibers at a fixed topographic distance, `group.lengths`; `ConfigError` if no fibers are so far apart."""
        _check_distance(group, distance)
        return FiberPairs(group, tuple(np.flatnonzero(group.lengths == distance).tolist()))

    @staticmethod
    def within(group: PlaneGroup, distance: int) -> "FiberPairs":
        """Fibers uniform in a window: at most so far apart; `ConfigError` beyond the size of the group."""
        _check_distance(group, distance)
        return FiberPairs(group, tuple(np.flatnonzero(group.lengths <= distance).tolist()))

    def draw(self, key: Key[jax.Array, ""], count: int) -> Drawn:
        """Draw one pair of fibers for each of `count` images, array (2, count)."""
        first_key, step_key = jax.random.split(key)
        first = jax.random.randint(first_key, (count,), 0, self.group.order)
        step = jnp.asarray(np.array(self.steps, np.int32))[jax.random.randint(step_key, (count,), 0, len(self.steps))]
        return jnp.stack([first, self.group.compose(first, step)])

    def every(self, count: int) -> Drawn:
        """Every pair of fibers of each of `count` images once, array (2, count·|G|·|steps|): the law itself, no draw.

        Pairs of one image stand together: `select` and `augment` repeat the images accordingly.
        """
        first = np.repeat(np.arange(self.group.order), len(self.steps))
        second = self.group.compose(first, np.tile(self.steps, self.group.order))
        return np.tile(np.stack([first, second]), (1, count))

    def select(self, fibers: Shaped[Array, "n fibers channels"], drawn: Drawn) -> Shaped[Array, "views channels"]:
        """Return the drawn fibers, all first ones and then all partners, array (2·pairs, channels): H-SSL.

        Parameters
        ----------
        fibers : array (n, |G|, channels)
            Fibers from one forward pass over n images.
        drawn : int array (2, pairs)
            Pairs from `draw` or `every`; `pairs` is a multiple of n.
        """
        image = np.repeat(np.arange(len(fibers)), drawn.shape[1] // len(fibers))
        return fibers[image, drawn].reshape(-1, fibers.shape[-1])

    def augment(self, images: Shaped[Array, "n h w c"], drawn: Drawn) -> Shaped[Array, "views h w c"]:
        """Transform images so that fiber 0 shows what the drawn fibers show, array (2·pairs, h, w, c): A-SSL.

        Fiber u of x is fiber 0 of T_h x with h = u⁻¹: for quarter turns h = (−u) mod 4, and not u.
        """
        image = np.repeat(np.arange(len(images)), drawn.shape[1] // len(images))
        twice = images[np.concatenate([image, image])]
        return self.group.act(self.group.inverse(drawn.reshape(-1)), twice)

    def transition(self) -> Float[np.ndarray, "fibers fibers"]:
        """Probability of the partner v given the fiber u, (|G|, |G|), doubly stochastic and symmetric.

        `np.kron(np.eye(n), transition)` is the relation graph of all fibers of n images, for losses and flows that
        take one.
        """
        P, elements = np.zeros([self.group.order] * 2), np.arange(self.group.order)
        for s in self.steps:
            P[elements, self.group.compose(elements, s)] += 1 / len(self.steps)
        return P

    def spectrum(self) -> Float[np.ndarray, " fibers"]:
        """Eigenvalues μ of the transition, descending: how much of each frequency two partners share.

        Haar pairs share the constant alone (1, 0, 0, …). On a cycle of n fibers, frequency m has cos(2πmd/n) at
        distance d, and sin(πm(2D+1)/n)/((2D+1) sin(πm/n)) in a window of radius D.
        """
        return np.linalg.eigvalsh(self.transition())[::-1]

    def embeddings(
        self,
        network: Any,
        params: Any,
        images: Shaped[Array, "n h w c"],
        drawn: Drawn,
        *,
        homomorphic: bool = True,
    ) -> Embedding:
        """Embeddings F (2·pairs, d) of partners, for any loss of `dynamics.objectives`, with all digits of their type.

        `bind` gives the same function for training, which multiplies as the device does by default.

        Parameters
        ----------
        network : EquivariantNetwork, or a module with its methods `__call__` and `fibers`
            The network f.
        params : pytree
            Parameters of the network.
        images : array (n, h, w, c)
            Images to embed.
        drawn : int array (2, pairs)
            Pairs from `draw` or `every`.
        homomorphic : bool
            True for H-SSL, one pass over the images and pairs of their fibers. False for A-SSL, a pass over 2·pairs
            augmented images.
        """
        with full_precision():
            return self.bind(network, drawn, homomorphic=homomorphic)(params, images)

    def bind(
        self, network: Any, drawn: Drawn, *, homomorphic: bool = True
    ) -> Callable[[Any, Shaped[Array, "n h w c"]], Embedding]:
        """`embeddings` as apply(params, images) for given pairs, as `small_network` and `gradient_descent` take it."""
        if homomorphic:
            return lambda params, images: self.select(network.apply(params, images, method="fibers"), drawn)
        return lambda params, images: network.apply(params, self.augment(images, drawn))


def _check_distance(group: PlaneGroup, distance: int) -> None:
    largest = int(group.lengths.max())
    if not 0 <= distance <= largest:
        raise ConfigError(
            f"Fibers of the group {group.name} on {group.height}×{group.width} images are at distances 0 … {largest}; "
            f"{distance} is beyond."
        )
