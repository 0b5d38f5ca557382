"""Style of a view: what its augmentation did to the image, recovered from the key that it was made with.

An augmentation is a pure function of a key, so what it drew can be drawn again: nothing has to be stored, and every
recipe made with `compose` has style labels.

>>> import jax, jax.numpy as jnp
>>> from functools import partial
>>> from dynamics.views import compose, random_flip, random_roll
>>> recipe = compose(random_roll, partial(random_flip, p=1.0))
>>> factors = style_factors(recipe, jax.random.key(0), jnp.ones((8, 8, 1)))
>>> sorted(factors), int(factors["flip"])
(['flip', 'shift'], 1)
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Shaped

from dynamics.errors import ConfigError
from dynamics.support.one_line import one_line
from dynamics.views import augment
from dynamics.views.augment import Augmentation, Image, KeyArray

Factors = dict[str, jax.Array]


@dataclass(frozen=True, eq=False)
class StyledViews:
    """Views with what is shown and how.

    Parameters
    ----------
    views : array (n, h, w, c)
        Views, one in each row.
    content : int array (n,), optional
        Class of the image; None where there are no labels.
    style : mapping
        Name -> array (n,): integers are classes, real numbers quantities.
    """

    views: Float[np.ndarray, "n h w c"]
    content: Int[np.ndarray, " n"] | None
    style: Mapping[str, Shaped[np.ndarray, " n"]]

    __repr__ = one_line

    def __len__(self) -> int:
        """Return the number of views n."""
        return len(self.views)


def style_factors(augmentation: Augmentation, key: KeyArray, image: Image) -> Factors:
    """What the augmentation does to an image of this shape under this key, by name, scalars.

    - crops: `row` and `column` of the centre, as shares of the image's sides, and for resized ones `scale`, the share
      of the image's area; a flip that follows turns the centre's row or column round with the image;
    - shifts: `shift`, a class for each of the (2·max_shift + 1)² places;
    - `flip` and `grayscale`: 0 or 1;
    - `intensity`, `brightness`, `contrast`, `saturation` (factors) and `hue` (share of the full circle).

    Blur, noise, solarisation and binarisation have no labels.
    """
    steps = getattr(augmentation, "steps", None)
    if steps is not None:  # a composition, which gives every step a key of its own
        factors: Factors = {}
        for step_key, step in zip(jax.random.split(key, max(1, len(steps))), steps, strict=False):
            found = style_factors(step, step_key, image)
            function, settings = _unwrapped(step)
            if function is augment.random_flip:
                place = "column" if _with_defaults(function, settings)["axis"] == "horizontal" else "row"
                if place in factors:
                    factors[place] = jnp.where(found["flip"], 1 - factors[place], factors[place])
            factors |= found
        return factors
    function, settings = _unwrapped(augmentation)
    return _FACTORS[function](key, image, settings) if function in _FACTORS else {}


def styled_views(
    images: Float[np.ndarray, "n h w c"],
    labels: Int[np.ndarray, " n"] | None,
    augmentation: Augmentation,
    key: KeyArray,
    *,
    repeats: int = 1,
    chunk: int = 1024,
) -> StyledViews:
    """Augment every image `repeats` times and say what was done.

    Parameters
    ----------
    images : array (n, h, w, c)
        Images with intensities in [0, 1].
    labels : int array (n,), optional
        Classes of the images.
    augmentation : callable
        (key, image) -> view, made with `compose`.
    key : jax key
        Random key; view i of all views is made with `fold_in(key, i)`.
    repeats : int
        Number of views of each image.
    chunk : int
        Number of views that are made at once.

    Raises
    ------
    ConfigError
        If `repeats` is below 1.
    """
    if repeats < 1:
        raise ConfigError(f"repeats is {repeats}; give at least 1.")
    total = repeats * len(images)
    chunk = min(chunk, total)
    parts = []
    for start in range(0, total, chunk):
        # the last chunk is filled up from the front, so that one shape is compiled
        index = np.arange(start, start + chunk) % total
        part = _chunk(augmentation, key, index.astype(np.uint32), images[index % len(images)])
        parts.append(jax.tree.map(lambda values, keep=total - start: np.asarray(values)[:keep], part))
    views, style = jax.tree.map(lambda *stacks: np.concatenate(stacks), *parts)
    return StyledViews(views, None if labels is None else np.tile(labels, repeats), style)


@partial(jax.jit, static_argnums=0)
def _chunk(augmentation: Augmentation, key: jax.Array, index: Any, images: Any) -> tuple[jax.Array, Factors]:
    def one(index: jax.Array, image: jax.Array) -> tuple[jax.Array, Factors]:
        view_key = jax.random.fold_in(key, index)
        return augmentation(view_key, image), style_factors(augmentation, view_key, image)

    return jax.vmap(one)(index, images)


def _resized_crop(key: KeyArray, image: Image, settings: Mapping[str, Any]) -> Factors:
    chosen = _with_defaults(augment.random_resized_crop, settings)
    corner, crop = augment.crop_window(key, image, chosen["scale"], chosen["ratio"])
    row, column = (corner + crop / 2) / jnp.asarray(image.shape[:2])
    return {"row": row, "column": column, "scale": crop.prod() / (image.shape[0] * image.shape[1])}


def _crop(key: KeyArray, image: Image, settings: Mapping[str, Any]) -> Factors:
    size = settings["size"]
    top, left = augment.crop_corner(key, image, size)
    return {"row": (top + size / 2) / image.shape[0], "column": (left + size / 2) / image.shape[1]}


def _shift(key: KeyArray, image: Image, settings: Mapping[str, Any]) -> Factors:
    max_shift = _with_defaults(augment.random_shift, settings)["max_shift"]
    row, column = augment.shift_corner(key, max_shift)
    return {"shift": (2 * max_shift + 1) * row + column}


def _coin(name: str, function: Augmentation) -> Callable[[KeyArray, Image, Mapping[str, Any]], Factors]:
    return lambda key, image, settings: {name: augment.coin(key, _with_defaults(function, settings)["p"]).astype(int)}


def _jitter(key: KeyArray, image: Image, settings: Mapping[str, Any]) -> Factors:
    names = ("brightness", "contrast", "saturation", "hue")
    chosen = _with_defaults(augment.color_jitter, settings)
    strengths = tuple(chosen[name] for name in names)
    share, _, factors = augment.jitter_draws(key, image, strengths)
    changed = share < chosen["p"]
    nothing = (1.0, 1.0, 1.0, 0.0)
    return {
        name: jnp.where(changed, factor, unchanged)
        for name, strength, factor, unchanged in zip(names, strengths, factors, nothing, strict=True)
        if strength
    }


def _intensity(key: KeyArray, image: Image, settings: Mapping[str, Any]) -> Factors:
    chosen = _with_defaults(augment.random_intensity, settings)
    return {"intensity": augment.intensity(key, image, chosen["low"], chosen["high"])}


def _unwrapped(augmentation: Augmentation) -> tuple[Any, dict[str, Any]]:
    """The function behind `functools.partial`, and what is bound to it."""
    settings: dict[str, Any] = {}
    while isinstance(augmentation, partial):
        settings = {**augmentation.keywords, **settings}
        augmentation = augmentation.func
    return augmentation, settings


def _with_defaults(function: Augmentation, settings: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {**{p.name: p.default for p in parameters if p.default is not p.empty}, **settings}


_FACTORS: dict[Any, Callable[[KeyArray, Image, Mapping[str, Any]], Factors]] = {
    augment.random_resized_crop: _resized_crop,
    augment.random_crop: _crop,
    augment.random_shift: _shift,
    augment.random_roll: _shift,
    augment.random_flip: _coin("flip", augment.random_flip),
    augment.random_grayscale: _coin("grayscale", augment.random_grayscale),
    augment.color_jitter: _jitter,
    augment.random_intensity: _intensity,
}
