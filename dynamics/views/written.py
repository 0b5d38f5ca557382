"""Augmentations as they are written: the name of a recipe, or steps with their strengths, one after the other.

>>> from dynamics.views.written import get_augmentation
>>> get_augmentation("crop:.5+noise:.1", (8, 8, 1)) is get_augmentation("crop:.5+noise:.1", (8, 8, 1))
True

A part is a recipe of `AUGMENTATIONS`, or a step of `STEPS` with or without its strength; `+` stands between parts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from dynamics.errors import ConfigError, DataError
from dynamics.support.bounds import Bounds
from dynamics.support.files import brief
from dynamics.views.augment import (
    Augmentation,
    binarise,
    color_jitter,
    compose,
    gaussian_blur,
    gaussian_noise,
    random_flip,
    random_grayscale,
    random_intensity,
    random_resized_crop,
    random_roll,
    random_shift,
    random_solarize,
)
from dynamics.views.presets import AUGMENTATIONS, Shape, TwoViews


@dataclass(frozen=True)
class Step:
    """A kind of augmentation with one strength.

    Parameters
    ----------
    make : callable
        (strength, image shape) -> augmentation.
    usual : float
        Strength where none is written.
    bounds : Bounds
        Strengths that are allowed.
    strength : str
        What the strength is.
    """

    make: Callable[[float | int, Shape], Augmentation]
    usual: float | int
    bounds: Bounds
    strength: str


def _moved(move: Callable, pixels: float | int, shape: Shape) -> Augmentation:
    if pixels >= min(shape[:2]):
        raise DataError(f"A move by {pixels} pixels leaves nothing of {shape[0]}×{shape[1]} images; give fewer.")
    return partial(move, max_shift=int(pixels))


def _blurred(sigma: float | int, shape: Shape) -> Augmentation:
    """A blur on every image, whose kernel reaches to two of its widest standard deviations."""
    size = 2 * math.ceil(2 * sigma) + 1
    if size // 2 >= min(shape[:2]):
        raise DataError(f"A blur of {sigma:g} pixels is too wide for {shape[0]}×{shape[1]} images; give a lower one.")
    return partial(gaussian_blur, kernel_size=size, sigma=(min(0.1, sigma), sigma), p=1.0)


_SHARE, _FACTOR, _PIXELS = Bounds(0.0, 1.0), Bounds(0.0, 10.0), Bounds(1, 10_000, whole=True)

STEPS: dict[str, Step] = {
    "crop": Step(
        lambda s, _: partial(random_resized_crop, scale=(s, 1.0)),
        *(0.08, Bounds(0.01, 1.0), "smallest area of a window that is resized to the whole, as a share of the image"),
    ),
    "shift": Step(partial(_moved, random_shift), 1, _PIXELS, "most pixels, filled with zeros"),
    "roll": Step(partial(_moved, random_roll), 1, _PIXELS, "most pixels; what leaves comes in on the other side"),
    "flip": Step(lambda s, _: partial(random_flip, p=s), 0.5, _SHARE, "probability, left and right"),
    "flip-vertical": Step(
        lambda s, _: partial(random_flip, p=s, axis="vertical"), 0.5, _SHARE, "probability, up and down"
    ),
    "brightness": Step(lambda s, _: partial(color_jitter, brightness=s), 0.4, _FACTOR, "largest change of the factor"),
    "contrast": Step(lambda s, _: partial(color_jitter, contrast=s), 0.4, _FACTOR, "largest change of the factor"),
    "saturation": Step(lambda s, _: partial(color_jitter, saturation=s), 0.4, _FACTOR, "largest change of the factor"),
    "hue": Step(lambda s, _: partial(color_jitter, hue=s), 0.1, Bounds(0.0, 0.5), "largest turn, in full circles"),
    "grayscale": Step(lambda s, _: partial(random_grayscale, p=s), 0.2, _SHARE, "probability"),
    "intensity": Step(
        lambda s, _: partial(random_intensity, low=s), 0.4, Bounds(0.001, 1.0), "smallest factor; the largest is 1"
    ),
    "solarize": Step(lambda s, _: partial(random_solarize, p=s), 0.2, _SHARE, "probability"),
    "binarise": Step(lambda s, _: partial(binarise, threshold=s), 0.5, _SHARE, "threshold"),
    "blur": Step(lambda s, shape: _blurred(s, shape), 1.0, Bounds(0.01, 100.0), "largest standard deviation in pixels"),
    "noise": Step(
        lambda s, _: partial(gaussian_noise, std=s), 0.1, Bounds(0.0, 100.0), "standard deviation, not clipped"
    ),
}
"""Name of a step -> how it is made, and what its strength means."""


@cache
def get_augmentation(text: str, shape: Shape) -> TwoViews:
    """Return the two augmentations that a text names, for images (h, w, c).

    It is the same object at each call, so that nothing is compiled twice.

    Parameters
    ----------
    text : str
        A recipe of `AUGMENTATIONS` such as `simclr`; a step of `STEPS`, with its strength as in `noise:.1`, or without
        as in `flip`; or several of these with `+` between them, which are applied from left to right.
    shape : tuple of int
        Shape (h, w, c) of one image.

    Raises
    ------
    ConfigError
        If the text names no augmentation, or a strength is out of its range.
    DataError
        If the augmentation does not fit the images.
    """
    parts = [_part(name, strength, shape) for name, strength in _parsed(text)]
    if len(parts) == 1:
        return parts[0]
    first, second = compose(*(part.first for part in parts)), compose(*(part.second for part in parts))
    return TwoViews(first, second, "; ".join(dict.fromkeys(part.note for part in parts if part.note)))


def check_augmentation(text: str) -> None:
    """Raise `ConfigError` unless the text names an augmentation, whatever the images are."""
    _parsed(text)


@cache
def _part(name: str, strength: float | int | None, shape: Shape) -> TwoViews:
    if strength is None:
        return AUGMENTATIONS[name](shape)
    step = STEPS[name].make(strength, shape)
    return TwoViews(step, step)


def _parsed(text: str) -> list[tuple[str, float | int | None]]:
    """Parts of the text: a recipe and None, or a step and its strength."""
    return [_parsed_part(part.strip(), text) for part in text.split("+")]


def _parsed_part(part: str, text: str) -> tuple[str, float | int | None]:
    name, colon, written = part.partition(":")
    name = name.strip()
    if name in AUGMENTATIONS and not colon:
        return name, None
    if name not in STEPS:
        steps = f"steps with a strength, as in crop:.5+noise:.1, are {', '.join(STEPS)}"
        if name in AUGMENTATIONS:
            raise ConfigError(
                f"The augmentation `{brief(name)}` takes no strength; write it without `:{brief(written)}`."
            )
        within = f" in `{brief(text)}`" if part != text else ""
        raise ConfigError(
            f"There is no augmentation `{brief(part)}`{within}; known are {', '.join(AUGMENTATIONS)}; {steps}."
        )
    step = STEPS[name]
    return name, _strength(name, written.strip(), step) if colon else step.usual


def _strength(name: str, written: str, step: Step) -> float | int:
    kind = int if step.bounds.whole else float
    try:
        value = kind(written) if written.isascii() else None
    except ValueError:
        value = None
    if value is None or not step.bounds.admit(value):
        raise ConfigError(
            f"The strength of `{name}` is `{brief(written)}`; give {step.bounds} ({step.strength}), such as "
            f"{name}:{step.usual:g}."
        )
    return value
