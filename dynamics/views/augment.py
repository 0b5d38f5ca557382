"""Augmentations: pure functions `(key, image (h, w, c)) -> image`, jittable and vmappable.

Images hold intensities in [0, 1]; the precision of the image is kept, with and without x64. Options are bound with
`functools.partial`, steps are chained with `compose`:

>>> from functools import partial
>>> import jax, jax.numpy as jnp
>>> augmentation = compose(partial(random_crop, size=6), partial(random_flip, p=0.5))
>>> augmentation(jax.random.key(0), jnp.ones((8, 8, 3))).shape
(6, 6, 3)
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int, Key

from dynamics.errors import ConfigError, DataError
from dynamics.support.compiled import comparable

KeyArray = Key[jax.Array, ""]
Image = Float[jax.Array, "h w c"]
Augmentation = Callable[[KeyArray, Image], Image]
"""(key, image (h, w, c)) -> image."""

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the weights of PIL and torchvision


@dataclass(frozen=True)
class _Composition:
    """The steps one after the other; two of the same steps are equal, so that nothing is compiled twice for them."""

    steps: tuple[Augmentation, ...] = field(compare=False)  # as they were given, for `dynamics.views.style_factors`
    same_as: tuple[Augmentation, ...] = field(repr=False)

    def __call__(self, key: KeyArray, image: Image) -> Float[jax.Array, "h2 w2 c2"]:
        for step_key, step in zip(jax.random.split(key, max(1, len(self.steps))), self.steps, strict=False):
            image = step(step_key, image)
        return image


def compose(*steps: Augmentation) -> Augmentation:
    """Chain augmentations, each with a key of its own; without steps, the identity.

    Compositions of the same steps with the same settings are equal.
    """
    return _Composition(steps, tuple(map(comparable, steps)))


# Geometry


def random_crop(key: KeyArray, image: Image, *, size: int) -> Float[jax.Array, "size size c"]:
    """Window of `size`×`size` pixels at a uniformly random place: Simon et al. (2023), two 20×20 crops of CIFAR-10.

    Raises
    ------
    DataError
        If the window is larger than the image.
    """
    top, left = crop_corner(key, image, size)
    return jax.lax.dynamic_slice(image, (top, left, jnp.zeros_like(top)), (size, size, image.shape[2]))


def crop_corner(key: KeyArray, image: Image, size: int) -> Int[jax.Array, "2"]:
    """Row and column of the upper left corner that `random_crop` takes under a key; `DataError` as there."""
    height, width, _ = image.shape
    if not 1 <= size <= min(height, width):
        raise DataError(f"A {size}×{size} crop does not fit into {height}×{width} images; choose another augmentation.")
    return _whole(jax.random.uniform(key, (2,)), jnp.asarray([height - size, width - size]))


def random_resized_crop(
    key: KeyArray,
    image: Image,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    size: tuple[int, int] | None = None,
    method: Literal["linear", "cubic"] = "cubic",
) -> Float[jax.Array, "h2 w2 c"]:
    """Window of random area and aspect ratio, resized: the "Inception crop" of Szegedy et al. (2015).

    The area is uniform in `scale`, the ratio log-uniform. Of ten draws the first that fits is taken; if none does, the
    largest centred window whose ratio is allowed. Down-sampling is antialiased; the result is clipped to [0, 1], where
    the cubic kernel would overshoot.

    Parameters
    ----------
    scale : (float, float)
        Smallest and largest area, as a share of the image's.
    ratio : (float, float)
        Smallest and largest width / height.
    size : (int, int), optional
        Output height and width; the image's own if None.
    method : str
        Method of interpolation, as `jax.image.resize` names it.

    Raises
    ------
    ConfigError
        If `scale` or `ratio` is not an ascending positive range, or `scale` exceeds 1.
    """
    height, width, channels = image.shape
    size = size or (height, width)
    corner, crop = crop_window(key, image, scale, ratio)
    zoom = jnp.asarray(size, image.dtype) / crop
    resized = jax.image.scale_and_translate(
        image, (*size, channels), (0, 1), zoom, -corner * zoom, method=method, antialias=True
    )
    return jnp.clip(resized, 0, 1)


def crop_window(
    key: KeyArray, image: Image, scale: tuple[float, float], ratio: tuple[float, float]
) -> tuple[Float[jax.Array, "2"], Float[jax.Array, "2"]]:
    """Window that `random_resized_crop` takes under a key: corner and size, (row, column), in pixels.

    Raises
    ------
    ConfigError
        If `scale` or `ratio` is not an ascending positive range, or `scale` exceeds 1.
    """
    if not 0 < scale[0] <= scale[1] <= 1 or not 0 < ratio[0] <= ratio[1]:
        raise ConfigError(f"scale={scale} and ratio={ratio}: give ascending positive ranges, scale at most 1.")
    height, width, _ = image.shape
    uniform = jax.random.uniform(key, (22,), image.dtype)  # one draw for all: calls of threefry are slow to compile

    area = height * width * (scale[0] + (scale[1] - scale[0]) * uniform[:10])
    log_ratio = math.log(ratio[0]) + math.log(ratio[1] / ratio[0]) * uniform[10:20]
    heights = jnp.round(jnp.sqrt(area * jnp.exp(-log_ratio)))
    widths = jnp.round(jnp.sqrt(area * jnp.exp(log_ratio)))
    fits = (heights >= 1) & (heights <= height) & (widths >= 1) & (widths <= width)

    fallback = jnp.asarray(
        [min(height, max(1, round(width / ratio[0]))), min(width, max(1, round(height * ratio[1])))], image.dtype
    )
    first = jnp.argmax(fits)
    crop = jnp.where(fits.any(), jnp.stack([heights[first], widths[first]]), fallback)
    slack = jnp.asarray([height, width], image.dtype) - crop
    corner = jnp.where(fits.any(), _whole(uniform[20:], slack).astype(image.dtype), jnp.floor(slack / 2))
    return corner, crop


def random_shift(
    key: KeyArray, image: Image, *, max_shift: int = 1, fill: Literal["zero", "edge"] = "zero"
) -> Float[jax.Array, "h w c"]:
    """Move the image by a whole number of pixels, uniform in {−max_shift … max_shift}², and fill what becomes free."""
    pad = ((max_shift, max_shift), (max_shift, max_shift), (0, 0))
    padded = jnp.pad(image, pad, mode="constant" if fill == "zero" else "edge")
    top, left = shift_corner(key, max_shift)
    return jax.lax.dynamic_slice(padded, (top, left, jnp.zeros_like(top)), image.shape)


def random_roll(key: KeyArray, image: Image, *, max_shift: int = 1) -> Float[jax.Array, "h w c"]:
    """Move the image as `random_shift` does; what leaves it on one side comes in on the other."""
    return jnp.roll(image, max_shift - shift_corner(key, max_shift), axis=(0, 1))


def shift_corner(key: KeyArray, max_shift: int) -> Int[jax.Array, "2"]:
    """Row and column, 0 … 2·max_shift, of the corner in the padded image that `random_shift` takes under a key."""
    return _whole(jax.random.uniform(key, (2,)), jnp.asarray([2 * max_shift, 2 * max_shift]))


def random_flip(
    key: KeyArray, image: Image, *, p: float = 0.5, axis: Literal["horizontal", "vertical"] = "horizontal"
) -> Float[jax.Array, "h w c"]:
    """Mirror left and right (`horizontal`) or up and down (`vertical`) with probability `p`."""
    return jnp.where(coin(key, p), jnp.flip(image, axis=1 if axis == "horizontal" else 0), image)


# Colour


def color_jitter(
    key: KeyArray,
    image: Image,
    *,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
    p: float = 1.0,
) -> Float[jax.Array, "h w c"]:
    """With probability `p`, change brightness, contrast, saturation and hue, in random order.

    Parameters
    ----------
    brightness, contrast, saturation : float
        The factor is uniform in [max(0, 1 − strength), 1 + strength]; the result is clipped to [0, 1].
    hue : float
        The hue turns by an angle uniform in [−hue, hue], in units of the full circle, at most 0.5.

    Raises
    ------
    DataError
        If saturation or hue is asked for and the image has no three colour channels.
    ConfigError
        If a strength is negative, or hue is above 0.5.
    """
    if min(brightness, contrast, saturation, hue) < 0 or hue > 0.5:
        raise ConfigError(
            f"Colour jitter of strengths {(brightness, contrast, saturation, hue)}: give no negative ones, and a hue "
            "of at most 0.5."
        )
    if saturation or hue:
        _require_colour(image, "saturation and hue")
    strengths = (brightness, contrast, saturation, hue)
    if not any(strengths):
        return image
    share, rank, factors = jitter_draws(key, image, strengths)
    changes = (
        lambda x: _blend(jnp.zeros_like(x), x, factors[0]),
        lambda x: _blend(_luma(x).mean(), x, factors[1]),
        lambda x: _blend(_luma(x), x, factors[2]),
        lambda x: rotate_hue(x, factors[3]),
    )
    wanted = [change for change, strength in zip(changes, strengths, strict=True) if strength]
    orders = jnp.asarray(list(itertools.permutations(range(len(wanted)))), int)
    order = orders[_whole(rank, jnp.asarray(len(orders) - 1))]
    # a scan, so that each change is compiled once instead of once a position
    jittered, _ = jax.lax.scan(lambda x, which: (jax.lax.switch(which, wanted, x), None), image, order)
    return jnp.where(_lands(share, p), jittered, image)


def jitter_draws(
    key: KeyArray, image: Image, strengths: tuple[float, float, float, float]
) -> tuple[jax.Array, jax.Array, list[jax.Array]]:
    """What `color_jitter` draws under a key.

    Whether to change anything (to be compared with p) and in which order, both uniform in [0, 1), then the factors of
    brightness, contrast and saturation and the turn of the hue.
    """
    share, rank, *draws = jax.random.uniform(key, (6,), image.dtype)
    low = [max(0.0, 1 - strength) for strength in strengths[:3]] + [-strengths[3]]
    high = [1 + strength for strength in strengths[:3]] + [strengths[3]]
    return share, rank, [a + (b - a) * draw for a, b, draw in zip(low, high, draws, strict=True)]


def random_intensity(key: KeyArray, image: Image, *, low: float = 0.4, high: float = 1.0) -> Float[jax.Array, "h w c"]:
    """Multiply all intensities by a factor uniform in [low, high]."""
    return image * intensity(key, image, low, high)


def intensity(key: KeyArray, image: Image, low: float, high: float) -> Float[jax.Array, ""]:
    """Factor of `random_intensity` under a key.

    Raises
    ------
    ConfigError
        If the range is not ascending and positive, or exceeds 1.
    """
    if not 0 < low <= high <= 1:
        raise ConfigError(f"Intensities between {low} and {high}: give an ascending positive range, at most 1.")
    return jax.random.uniform(key, (), image.dtype, low, high)


def random_grayscale(key: KeyArray, image: Image, *, p: float = 0.2) -> Float[jax.Array, "h w c"]:
    """With probability `p`, replace all three channels by the luma 0.299 R + 0.587 G + 0.114 B.

    Raises
    ------
    DataError
        If the image has no three colour channels.
    """
    _require_colour(image, "grayscale")
    return jnp.where(coin(key, p), jnp.broadcast_to(_luma(image), image.shape), image)


def random_solarize(
    key: KeyArray, image: Image, *, threshold: float = 0.5, p: float = 0.2
) -> Float[jax.Array, "h w c"]:
    """With probability `p`, invert the intensities from the threshold on (Grill et al. 2020)."""
    return jnp.where(coin(key, p) & (image >= threshold), 1 - image, image)


def binarise(key: KeyArray, image: Image, *, threshold: float = 0.5) -> Float[jax.Array, "h w c"]:
    """Intensities above the threshold become 1, the others 0; the key is not used."""
    return (image > threshold).astype(image.dtype)


def rotate_hue(image: Float[jax.Array, "h w 3"], turn: Float[jax.Array, ""]) -> Float[jax.Array, "h w 3"]:
    """Turn the hue by `turn` full circles at constant HSV saturation and value."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    value = image.max(axis=-1)
    chroma = value - image.min(axis=-1)
    safe = jnp.where(chroma > 0, chroma, 1)  # a grey pixel has no hue and keeps its value whatever hue it is given
    sextant = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )

    def channel(offset: int) -> Float[jax.Array, "h w"]:
        k = jnp.mod(offset + sextant + 6 * turn, 6)
        return value - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)

    return jnp.stack([channel(5), channel(3), channel(1)], axis=-1)


# Sharpness and noise


def gaussian_blur(
    key: KeyArray, image: Image, *, kernel_size: int, sigma: tuple[float, float] = (0.1, 2.0), p: float = 0.5
) -> Float[jax.Array, "h w c"]:
    """With probability `p`, blur with a Gaussian of random width; the border is mirrored without repeating the edge.

    Parameters
    ----------
    kernel_size : int
        Width of the truncated kernel in pixels, odd; 10 % of the side in Chen et al. (2020).
    sigma : (float, float)
        The standard deviation, in pixels, is uniform in this range.

    Raises
    ------
    ConfigError
        If the kernel size is even, or the range is not ascending and positive.
    DataError
        If the kernel reaches further than the mirrored image.
    """
    if kernel_size < 1 or kernel_size % 2 == 0 or not 0 < sigma[0] <= sigma[1]:
        raise ConfigError(
            f"kernel_size={kernel_size}, sigma={sigma}: give an odd size and an ascending positive range."
        )
    radius = kernel_size // 2
    if radius >= min(image.shape[:2]):
        raise DataError(f"A blur kernel of {kernel_size} pixels does not fit {image.shape[0]}×{image.shape[1]} images.")
    chance, share = jax.random.uniform(key, (2,), image.dtype)
    width = sigma[0] + (sigma[1] - sigma[0]) * share
    taps = jax.nn.softmax(-((jnp.arange(-radius, radius + 1, dtype=image.dtype) / width) ** 2) / 2)

    blurred = jnp.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="reflect")
    for axis in (0, 1):  # shifted sums rather than a convolution, which XLA runs slowly inside a CPU loop
        side = image.shape[axis]
        shifted = (jax.lax.slice_in_dim(blurred, i, i + side, axis=axis) for i in range(kernel_size))
        blurred = sum(tap * part for tap, part in zip(taps, shifted, strict=True))
    return jnp.where(_lands(chance, p), blurred, image)


def gaussian_noise(key: KeyArray, image: Image, *, std: float) -> Float[jax.Array, "h w c"]:
    """Add independent normal noise of standard deviation `std` to every entry; the result is not clipped."""
    return image + std * jax.random.normal(key, image.shape, image.dtype)


def coin(key: KeyArray, p: float) -> jax.Array:
    """True with probability p."""
    return _lands(jax.random.uniform(key), p)


def _lands(uniform: jax.Array, p: float) -> jax.Array:
    """Whether a number uniform in [0, 1) is among the share p of them."""
    if not 0 <= p <= 1:
        raise ConfigError(f"p={p}: a probability lies between 0 and 1.")
    return uniform < p


def _whole(uniform: jax.Array, largest: jax.Array) -> jax.Array:
    """Whole numbers uniform in {0 … largest}, from numbers uniform in [0, 1)."""
    numbers = jnp.floor(uniform * (largest.astype(uniform.dtype) + 1)).astype(int)
    return jnp.minimum(numbers, largest.astype(int))  # the product may have been rounded up


def _blend(towards: jax.Array, image: Image, weight: jax.Array) -> Image:
    return jnp.clip(towards + weight * (image - towards), 0, 1)


def _luma(image: Image) -> Float[jax.Array, "h w 1"]:
    if image.shape[-1] != 3:
        return image.mean(axis=-1, keepdims=True)
    red, green, blue = (weight * image[..., i : i + 1] for i, weight in enumerate(LUMA))
    return red + green + blue


def _require_colour(image: Image, what: str) -> None:
    if image.shape[-1] != 3:
        raise DataError(f"Images with {image.shape[-1]} channel(s) have no colour, so {what} cannot be augmented.")
