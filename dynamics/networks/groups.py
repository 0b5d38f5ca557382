"""Finite groups of the image plane: what they do to pixels, and how their elements compose.

A group is a set of pixel permutations y ↦ R_p y + s of an image: quarter turns and reflections R_p, circular shifts s.

| name | elements | order on n×n images |
|---|---|---|
| `translation` | circular shifts | n² |
| `cyclic` | circular shifts along the rows | n |
| `c4` | quarter turns about the centre | 4 |
| `d4` | quarter turns and reflections | 8 |
| `p4` | quarter turns and circular shifts | 4n² |
| `p4m` | quarter turns, reflections and circular shifts | 8n² |

Elements are numbered 0, …, |G| − 1, the identity first; all methods take arrays of them, NumPy's or JAX's.

>>> import numpy as np
>>> group = PlaneGroup("c4", 8, 8)
>>> images = np.random.default_rng(0).uniform(size=(5, 8, 8, 1))
>>> bool((group.act(1, images) == np.rot90(images, axes=(1, 2))).all())
True
>>> int(group.compose(1, 3)), int(group.inverse(1)), group.lengths.tolist()
(0, 3, [0, 1, 2, 1])
"""

from dataclasses import dataclass
from functools import cache
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Shaped

from dynamics.errors import ConfigError
from dynamics.typing import Array

Elements = int | np.integer | Int[Array, "..."]

# name -> the point group, and whether there are shifts along the height and along the width
GROUPS: dict[str, tuple[str, tuple[bool, bool]]] = {
    "translation": ("c1", (True, True)),
    "cyclic": ("c1", (False, True)),
    "c4": ("c4", (False, False)),
    "d4": ("d4", (False, False)),
    "p4": ("c4", (True, True)),
    "p4m": ("d4", (True, True)),
}

_TURN = np.array([[0, -1], [1, 0]], np.int32)  # of (row, column): np.rot90, counter-clockwise
_REFLECTION = np.array([[1, 0], [0, -1]], np.int32)  # np.fliplr
_POINTS = {"c1": (1, 1), "c4": (4, 1), "d4": (4, 2)}


@dataclass(frozen=True)
class PointGroup:
    """Symmetries that leave the centre where it is: R_p = turnᵏ · reflectionᵐ, p = k + 4m.

    Parameters
    ----------
    name : {"c1", "c4", "d4"}
        Identity alone, quarter turns, or quarter turns and reflections.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in _POINTS:
            raise ConfigError(f"There is no point group `{self.name}`; known are {', '.join(_POINTS)}.")

    def __len__(self) -> int:
        """Return the number of elements |P|."""
        turns, reflections = _POINTS[self.name]
        return turns * reflections

    @property
    def matrices(self) -> Int[np.ndarray, "points 2 2"]:
        """R_p, acting on (row, column)."""
        return _tables(self.name)[0]

    @property
    def product(self) -> Int[np.ndarray, "points points"]:
        """Index of R_p R_q in row p, column q."""
        return _tables(self.name)[1]

    @property
    def inverse(self) -> Int[np.ndarray, " points"]:
        """Index of R_p⁻¹."""
        return self.product.argmin(axis=1).astype(np.int32)

    @property
    def lengths(self) -> Int[np.ndarray, " points"]:
        """Least number of quarter turns and reflections that make R_p."""
        k, m = np.arange(len(self)) % 4, np.arange(len(self)) // 4
        return np.minimum(k, 4 - k) + m

    def filter_index(self, size: int) -> Int[np.ndarray, "points taps"]:
        """Entry R_p⁻¹u of a size×size filter for every tap u, so that `filter.reshape(-1)[index[p]]` is turned by p."""
        taps = np.indices((size, size), np.int32).reshape(2, -1).T
        twice = 2 * taps - (size - 1)  # about the centre, in whole numbers
        source = (twice @ self.matrices[self.inverse].transpose(0, 2, 1) + size - 1) // 2
        return source[..., 0] * size + source[..., 1]


@cache
def _tables(name: str) -> tuple[np.ndarray, np.ndarray]:
    turns, reflections = _POINTS[name]
    power = np.linalg.matrix_power
    matrices = np.array([power(_TURN, k) @ power(_REFLECTION, m) for m in range(reflections) for k in range(turns)])
    products = matrices[:, None] @ matrices
    product = (products[:, :, None] == matrices).all(axis=(-2, -1)).argmax(axis=-1)
    return matrices, product.astype(np.int32)


@dataclass(frozen=True)
class PlaneGroup:
    """A group of pixel permutations of images of one size.

    Parameters
    ----------
    name : str
        Name of the group, a key of `GROUPS`.
    height, width : int
        Size of the images, in pixels.

    Raises
    ------
    ConfigError
        If the name is unknown, or the images cannot carry the group: a quarter turn needs a square.
    """

    name: str
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.name not in GROUPS:
            raise ConfigError(f"There is no group `{self.name}`; known are {', '.join(GROUPS)}.")
        if min(self.height, self.width) < 1:
            raise ConfigError(f"Group {self.name}: images of {self.height}×{self.width} pixels have no pixel.")
        if len(self.point) > 1 and self.height != self.width:
            raise ConfigError(
                f"Group {self.name} turns images by 90°, and {self.height}×{self.width} images are not square; "
                "crop them, or use `translation`."
            )

    def __str__(self) -> str:
        """Return the name and the size of the images."""
        return f"{self.name} on {self.height}×{self.width} pixels"

    @property
    def point(self) -> PointGroup:
        """The point group: the turns and reflections in this group."""
        return PointGroup(GROUPS[self.name][0])

    @property
    def shifts(self) -> tuple[int, int]:
        """Number of shifts along the height and along the width; 1 where there are none."""
        along_height, along_width = GROUPS[self.name][1]
        return self.height if along_height else 1, self.width if along_width else 1

    @property
    def order(self) -> int:
        """Number of elements |G|."""
        return len(self.point) * self.shifts[0] * self.shifts[1]

    def compose(self, g: Elements, h: Elements) -> Elements:
        """The product gh, the element that first does h and then g."""
        xp = _namespace(g, h)
        (p, s), (q, t) = self._parts(g), self._parts(h)
        turned = (xp.asarray(self.point.matrices)[p] @ t[..., None])[..., 0]
        return self._number(xp.asarray(self.point.product)[p, q], s + turned)

    def inverse(self, g: Elements) -> Elements:
        """The element that undoes g."""
        xp = _namespace(g)
        p, s = self._parts(g)
        back = xp.asarray(self.point.inverse)[p]
        return self._number(back, -(xp.asarray(self.point.matrices)[back] @ s[..., None])[..., 0])

    def act(self, g: Elements, images: Shaped[Array, "n h w c"]) -> Shaped[Array, "n h w c"]:
        """Transform images, (T_g x)(y) = x(g⁻¹ y), by one element for all images or by one element for each.

        Raises
        ------
        ConfigError
            If the images are not of the size that the group was made for.
        """
        self.check_images(images.shape)
        xp = _namespace(g, images)
        p, s = self._parts(self.inverse(g))
        matrices, offsets = xp.asarray(self.point.matrices)[p], xp.asarray(self._offsets)[p]
        pixels = np.indices((self.height, self.width), np.int32).transpose(1, 2, 0)
        source = pixels.reshape(-1, 2) @ xp.swapaxes(matrices, -1, -2) + (offsets + s)[..., None, :]
        index = source[..., 0] % self.height * self.width + source[..., 1] % self.width
        flat = images.reshape(len(images), -1, images.shape[-1])
        index = xp.broadcast_to(index, (len(images), flat.shape[1]))
        return xp.take_along_axis(flat, index[..., None], axis=1).reshape(images.shape)

    @property
    def lengths(self) -> Int[np.ndarray, " elements"]:
        """Topographic distance of every element from the identity.

        Quarter turns and reflections are counted. Shifts are measured in pixels round the torus along the longer axis,
        so that the window of radius D is a square of side 2D + 1. The distance is the larger of the two. Fibers u and v
        are at the distance of u⁻¹v, which does not change when the image is transformed.
        """
        p, s = self._parts(np.arange(self.order))
        apart = np.minimum(s, np.array(self.shifts) - s).max(axis=-1)
        return np.maximum(self.point.lengths[p], apart)

    def check_images(self, shape: tuple[int, ...]) -> None:
        """Raise `ConfigError` unless images of this shape (…, height, width, channels) are the group's."""
        if len(shape) < 3 or tuple(shape[-3:-1]) != (self.height, self.width):
            raise ConfigError(
                f"Group {self.name} was made for {self.height}×{self.width} images (height, width, channels), "
                f"got shape {tuple(shape)}."
            )

    @property
    def _offsets(self) -> np.ndarray:
        """Shift that goes with R_p: turns are about the centre, or about pixel (0, 0) if all shifts belong to G."""
        if self.shifts != (1, 1):
            return np.zeros((len(self.point), 2), np.int32)
        twice = np.array([self.height - 1, self.width - 1], np.int32)
        return (twice - self.point.matrices @ twice) // 2

    def _parts(self, g: Elements) -> tuple[Elements, Array]:
        """Point p (…) and shift s (…, 2)."""
        xp = _namespace(g)
        g = xp.asarray(g)
        rows, columns = self.shifts
        return g // (rows * columns), xp.stack([g // columns % rows, g % columns], axis=-1)

    def _number(self, p: Elements, s: Array) -> Elements:
        rows, columns = self.shifts
        return (p * rows + s[..., 0] % rows) * columns + s[..., 1] % columns


def _namespace(*arrays: object) -> ModuleType:
    """JAX if anything is JAX's, else NumPy, which keeps float64 whatever the precision of JAX."""
    return jnp if any(isinstance(array, jax.Array) for array in arrays) else np
