"""Distributions of positive pairs on which what a function class can learn is known: HaoChen & Ma (2023), Section 5.

Each knows how to draw natural data, two views of them, and the clusters that no augmentation leaves.

>>> import jax
>>> cube = SignedCube(dim=6, signal=2)
>>> pairs = cube.pairs(100, jax.random.key(0))
>>> pairs.input_shape, cube.num_clusters, cube.num_classes
((6,), 64, 4)
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from dynamics.errors import ConfigError
from dynamics.typing import Array
from dynamics.views.pairs import Pairs
from dynamics.views.vectors import scale_entries


class PairDistribution(ABC):
    """Natural data, their augmentation, and what is the same in all views of one datum."""

    @property
    @abstractmethod
    def num_clusters(self) -> int:
        """Number of sets of views between which no pair crosses."""

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Number of values of the finest label that the example is about."""

    @abstractmethod
    def natural(self, key: Key[jax.Array, ""], num: int) -> tuple[jax.Array, Int[jax.Array, " num"]]:
        """Draw natural data (num, …) and the clusters (num,) that they lie in; traceable."""

    @abstractmethod
    def augment(self, key: Key[jax.Array, ""], x: Array, cluster: Int[Array, " num"]) -> jax.Array:
        """One view of each natural datum; traceable."""

    @abstractmethod
    def classes(self, cluster: Int[Array, " num"]) -> Int[Array, " num"]:
        """Class of each cluster, which the label is a function of."""

    def views(self, key: Key[jax.Array, ""], num: int) -> tuple[jax.Array, jax.Array, Int[jax.Array, " num"]]:
        """Two views of `num` natural data, and their clusters; traceable, for fresh pairs at every step of training."""
        data_key, first, second = jax.random.split(key, 3)
        x, cluster = self.natural(data_key, num)
        return self.augment(first, x, cluster), self.augment(second, x, cluster), cluster

    def pairs(self, num_pairs: int, key: Key[jax.Array, ""]) -> Pairs:
        """A sample of positive pairs.

        Raises
        ------
        ConfigError
            If `num_pairs` is below 1.
        """
        if num_pairs < 1:
            raise ConfigError(f"num_pairs={num_pairs}: give at least 1.")
        x, x_prime, _ = self.views(key, num_pairs)
        return Pairs(np.asarray(x), np.asarray(x_prime), str(self))


@dataclass(frozen=True)
class SignedCube(PairDistribution):
    """Corners of a cube whose last coordinates are rescaled: Examples 5.1 and 5.4.

    x̄ ~ U{±1}^d; a view keeps the first s coordinates and multiplies each of the others by its own τ ~ U[low, high]. The
    clusters are the 2^d orthants; a label is a function of the first s signs, so the classes are 2^s.

    Parameters
    ----------
    dim : int
        Number of coordinates d.
    signal : int
        Number s of coordinates that views keep, between 1 and d.
    low, high : float
        Range of the scales τ, ½ and 1 in the paper. It is not negative, so that signs survive.
    """

    dim: int = 6
    signal: int = 2
    low: float = 0.5
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.signal <= self.dim:
            raise ConfigError(f"signal is {self.signal} of {self.dim} coordinates; choose between 1 and {self.dim}.")
        if not 0 <= self.low <= self.high or self.high == 0:
            raise ConfigError(f"The scales lie in [{self.low}, {self.high}]; give 0 ≤ low ≤ high, high > 0.")

    @property
    def num_clusters(self) -> int:
        """2^d."""
        return 2**self.dim

    @property
    def num_classes(self) -> int:
        """2^s."""
        return 2**self.signal

    def corners(self) -> Float[np.ndarray, "clusters dim"]:
        """All x̄, the one of cluster c in row c."""
        return sign_patterns(self.dim)

    def natural(self, key: Key[jax.Array, ""], num: int) -> tuple[jax.Array, Int[jax.Array, " num"]]:
        """Corners, uniformly."""
        cluster = jax.random.randint(key, (num,), 0, self.num_clusters)
        return _signs_of(cluster, self.dim), cluster

    def augment(self, key: Key[jax.Array, ""], x: Array, cluster: Int[Array, " num"]) -> jax.Array:
        """Rescale the coordinates after the first s."""
        return scale_entries(key, x, jnp.arange(self.dim) >= self.signal, self.low, self.high)

    def cluster_of(self, views: Float[Array, "num dim"]) -> Int[np.ndarray, " num"]:
        """Orthant of each view."""
        return (np.asarray(views) > 0) @ (1 << np.arange(self.dim))

    def classes(self, cluster: Int[Array, " num"]) -> Int[Array, " num"]:
        """The first s signs."""
        return cluster % self.num_classes

    def coordinate_moments(
        self,
    ) -> tuple[Float[np.ndarray, "dim dim"], Float[np.ndarray, "dim dim"], Float[np.ndarray, " dim"]]:
        """E x xᵀ, E x x⁺ᵀ and E x of the views, exactly."""
        mean = (self.low + self.high) / 2
        square = (self.low**2 + self.low * self.high + self.high**2) / 3
        scaled = np.arange(self.dim) >= self.signal
        return np.diag(np.where(scaled, square, 1.0)), np.diag(np.where(scaled, mean**2, 1.0)), np.zeros(self.dim)


@dataclass(frozen=True)
class SeparatedManifolds(PairDistribution):
    """Circles far from each other, each broken into arcs that no pair leaves: Example 5.7.

    r manifolds, each of diameter ρ and at least γ from the others; both views of a pair are uniform on one of the q
    arcs of a circle. The clusters are the rq arcs; the classes are the r circles.

    Parameters
    ----------
    num_manifolds : int
        Number r ≥ 2 of circles.
    pieces : int
        Number q ≥ 1 of arcs of a circle, with gaps of the same length between them.
    diameter : float
        Diameter ρ > 0 of a circle.
    separation : float
        Smallest distance γ > 0 between two circles.
    """

    num_manifolds: int = 4
    pieces: int = 4
    diameter: float = 0.1
    separation: float = 1.0

    def __post_init__(self) -> None:
        if self.num_manifolds < 2 or self.pieces < 1 or not (self.diameter > 0 and self.separation > 0):
            raise ConfigError(f"{self}: give at least 2 manifolds of at least 1 piece, and positive distances.")

    @property
    def num_clusters(self) -> int:
        """r q."""
        return self.num_manifolds * self.pieces

    @property
    def num_classes(self) -> int:
        """r."""
        return self.num_manifolds

    def natural(self, key: Key[jax.Array, ""], num: int) -> tuple[jax.Array, Int[jax.Array, " num"]]:
        """Points on the arcs, uniformly."""
        cluster_key, angle_key = jax.random.split(key)
        cluster = jax.random.randint(cluster_key, (num,), 0, self.num_clusters)
        return self._on_arc(angle_key, cluster), cluster

    def augment(self, key: Key[jax.Array, ""], x: Array, cluster: Int[Array, " num"]) -> jax.Array:
        """Another point of the same arc."""
        return self._on_arc(key, cluster).astype(x.dtype)

    def classes(self, cluster: Int[Array, " num"]) -> Int[Array, " num"]:
        """The circle."""
        return cluster // self.pieces

    def _on_arc(self, key: jax.Array, cluster: jax.Array) -> Float[jax.Array, "num 2"]:
        which, piece = cluster // self.pieces, cluster % self.pieces
        angle = 2 * jnp.pi / self.pieces * (piece + jax.random.uniform(key, cluster.shape) / 2)
        circle = self.diameter / 2 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
        # centres on a line, alternating around zero so that coordinates stay small
        place = (self.diameter + self.separation) * (which - (self.num_manifolds - 1) / 2)
        return circle + jnp.stack([place, jnp.zeros_like(place)], axis=-1)


@dataclass(frozen=True)
class PlacedPatch(PairDistribution):
    """A loud patch somewhere on a ring of quiet noise: Example 5.10.

    A datum is a ring of d entries: at position t a patch of s entries ±γ with γ > 1, and ±1 elsewhere. A view
    multiplies every entry outside the patch by its own τ ~ U[low, high]. The label is a function of the patch's signs
    (2^s classes). A cluster is given by what every view shows, the patch and its position; other signs are lost where
    τ = 0.

    Parameters
    ----------
    dim : int
        Number of entries d > 2s, so that the patch never meets itself around the ring.
    size : int
        Number of entries s ≥ 1 of the patch.
    loudness : float
        Size γ > 1 of the entries of the patch.
    low, high : float
        Range of the scales τ, 0 and 1 in the paper.
    """

    dim: int = 10
    size: int = 2
    loudness: float = 2.0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.size < self.dim / 2:
            raise ConfigError(f"A patch of {self.size} on a ring of {self.dim}: give 1 ≤ size < dim/2.")
        if not self.loudness > 1:
            raise ConfigError(f"loudness is {self.loudness}; the patch has to be louder than 1.")
        if not 0 <= self.low <= self.high <= 1:
            raise ConfigError(f"The scales lie in [{self.low}, {self.high}]; give 0 ≤ low ≤ high ≤ 1.")

    @property
    def num_clusters(self) -> int:
        """d 2^s."""
        return self.dim * 2**self.size

    @property
    def num_classes(self) -> int:
        """2^s."""
        return 2**self.size

    def natural(self, key: Key[jax.Array, ""], num: int) -> tuple[jax.Array, Int[jax.Array, " num"]]:
        """Patch, position and surroundings, all uniform."""
        cluster_key, noise_key = jax.random.split(key)
        cluster = jax.random.randint(cluster_key, (num,), 0, self.num_clusters)
        around = 2.0 * jax.random.bernoulli(noise_key, shape=(num, self.dim)) - 1.0
        return self.place(around, cluster), cluster

    def place(self, around: Float[Array, "num dim"], cluster: Int[Array, " num"]) -> Float[jax.Array, "num dim"]:
        """Put the patch of each cluster onto the ring."""
        offset = (jnp.arange(self.dim) - (cluster // self.num_classes)[:, None]) % self.dim
        patch = self.loudness * _signs_of(cluster % self.num_classes, self.size)
        inside = jnp.take_along_axis(patch, jnp.minimum(offset, self.size - 1), axis=1)
        return jnp.where(offset < self.size, inside, around)

    def augment(self, key: Key[jax.Array, ""], x: Array, cluster: Int[Array, " num"]) -> jax.Array:
        """Rescale everything outside of the patch."""
        offset = (jnp.arange(self.dim) - (cluster // self.num_classes)[:, None]) % self.dim
        return scale_entries(key, x, offset >= self.size, self.low, self.high)

    def classes(self, cluster: Int[Array, " num"]) -> Int[Array, " num"]:
        """The signs of the patch, wherever it is."""
        return cluster % self.num_classes


def sign_patterns(length: int) -> Float[np.ndarray, "patterns length"]:
    """All 2^length vectors of signs; bit i of the row's number says whether entry i is +1."""
    return np.asarray(_bits(np.arange(2**length), length) * 2.0 - 1.0)


def _bits(numbers: Array, length: int) -> Array:
    return (numbers[:, None] >> np.arange(length)) & 1


def _signs_of(numbers: jax.Array, length: int) -> jax.Array:
    return _bits(numbers, length) * 2.0 - 1.0
