"""Augmentation recipes named after their source.

An entry of `AUGMENTATIONS` is a function of the image shape (h, w, c), because sources crop to the native size and
scale the blur with it. Where a source's recipe has colour operations and the images have one channel, the recipe
without them is used, and its `note` says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dynamics.errors import DataError
from dynamics.views.augment import (
    Augmentation,
    binarise,
    color_jitter,
    compose,
    gaussian_blur,
    gaussian_noise,
    random_crop,
    random_flip,
    random_grayscale,
    random_intensity,
    random_resized_crop,
    random_roll,
    random_shift,
    random_solarize,
)
from dynamics.views.datasets import splits_of

Shape = tuple[int, ...]


@dataclass(frozen=True)
class TwoViews:
    """How the two views of a pair are made.

    Parameters
    ----------
    first, second : callable
        Augmentations of the two views; the same one in a symmetric recipe.
    note : str
        How this differs from the source's recipe; empty if it does not.
    """

    first: Augmentation
    second: Augmentation
    note: str = ""


def none(shape: Shape) -> TwoViews:
    """Leave both views as they are, so that they are identical and the modes are those of kernel PCA."""
    return TwoViews(compose(), compose())


def simon2023(shape: Shape) -> TwoViews:
    """Take two random 20×20 crops and change nothing else.

    Simon, Knutins, Liu, Geisz, Fetterman, Albrecht (2023), On the Stepwise Nature of Self-Supervised Learning, Fig. 1.
    """
    crop = partial(random_crop, size=20)
    if min(shape[:2]) < 20:
        raise DataError(
            f"Augmentation `simon2023` takes 20×20 crops, and the images are {shape[0]}×{shape[1]}; choose another."
        )
    return TwoViews(crop, crop)


def simclr(shape: Shape) -> TwoViews:
    """Crop, flip, colour distortion and blur.

    Chen, Kornblith, Norouzi, Hinton (2020), A Simple Framework for Contrastive Learning of Visual Representations,
    app. A. Images of up to 32 pixels get the CIFAR-10 recipe of app. B.9, with distortion strength 0.5 instead of 1 and
    without blur.
    """
    small = min(shape[:2]) <= 32
    s = 0.5 if small else 1.0
    colour, note = _colour(shape, partial(color_jitter, p=0.8), (0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s))
    blur = () if small else (partial(gaussian_blur, kernel_size=_blur_kernel(shape), p=0.5),)
    view = compose(random_resized_crop, random_flip, *colour, *blur)
    return TwoViews(view, view, note)


def barlow_twins(shape: Shape) -> TwoViews:
    """Crop, flip, colour distortion, and a blur and a solarisation that differ between the two views.

    Zbontar, Jing, Misra, LeCun, Deny (2021), Barlow Twins, released code; after Grill et al. (2020), BYOL. The blur of
    that code has no fixed kernel size; here it is cut at SimCLR's 10 % of the side.
    """
    colour, note = _colour(shape, partial(color_jitter, p=0.8), (0.4, 0.4, 0.2, 0.1))
    blur = partial(gaussian_blur, kernel_size=_blur_kernel(shape))
    common = (random_resized_crop, random_flip, *colour)
    first = compose(*common, partial(blur, p=1.0))
    second = compose(*common, partial(blur, p=0.1), partial(random_solarize, p=0.2))
    return TwoViews(first, second, note)


def vicreg(shape: Shape) -> TwoViews:
    """Use the recipe of Barlow Twins.

    Bardes, Ponce, LeCun (2021), VICReg: the released code uses the same two augmentations as that of Barlow Twins.
    """
    return barlow_twins(shape)


def simvae_mnist(shape: Shape) -> TwoViews:
    """Crop of at least 40 % of the area, *vertical* flip, binarised at ½.

    Bizeul, Schölkopf, Allen (2024), A Probabilistic Model Behind Self-Supervised Learning, released code (which resizes
    linearly and has ratio ≤ 1.3, not 4/3).
    """
    view = compose(_simvae_crop(0.4), partial(random_flip, axis="vertical"), binarise)
    return TwoViews(view, view)


def simvae_fashion_mnist(shape: Shape) -> TwoViews:
    """`simvae_mnist` without the binarisation."""
    view = compose(_simvae_crop(0.4), partial(random_flip, axis="vertical"))
    return TwoViews(view, view)


def simvae_cifar10(shape: Shape) -> TwoViews:
    """Strong colour jitter on every image, crop of at least 60 % of the area, *vertical* flip.

    Bizeul, Schölkopf, Allen (2024), released code, which first enlarges to 256×256 pixels; here the crop works on the
    native pixels.
    """
    colour, note = _colour(shape, color_jitter, (0.8, 0.8, 0.8, 0.2), grayscale=False)
    view = compose(*colour, _simvae_crop(0.6), partial(random_flip, axis="vertical"))
    return TwoViews(view, view, note)


def digits(shape: Shape) -> TwoViews:
    """Shift by up to one pixel, brightness ±30 %, and noise of standard deviation 0.1.

    The recipe was made for this project, for 8×8 images.
    """
    view = compose(random_shift, partial(color_jitter, brightness=0.3), partial(gaussian_noise, std=0.1))
    return TwoViews(view, view)


def digits_style(shape: Shape) -> TwoViews:
    """Circular shift by up to one pixel, and intensity between 0.4 and 1.

    The recipe was made for this project. It loses nothing of the image, so that the style can be read from every view.
    """
    view = compose(random_roll, random_intensity)
    return TwoViews(view, view)


AUGMENTATIONS: dict[str, Callable[[Shape], TwoViews]] = {
    "none": none,
    "digits": digits,
    "simon2023": simon2023,
    "simclr": simclr,
    "barlow-twins": barlow_twins,
    "vicreg": vicreg,
    "simvae-mnist": simvae_mnist,
    "simvae-fashion-mnist": simvae_fashion_mnist,
    "simvae-cifar10": simvae_cifar10,
    "digits-style": digits_style,
}
"""Name -> (image shape) -> the two augmentations."""

# Crops alone are what the theory was first tested with; STL-10 gets the recipe of its experiments, which used the
# standard augmentations of Barlow Twins; 8×8 digits are too small for either.
_DEFAULTS = {
    "digits": "digits",
    "mnist": "simon2023",
    "fashion-mnist": "simon2023",
    "cifar10": "simon2023",
    "stl10": "barlow-twins",
}
_DEFAULT = "barlow-twins"


def default_augmentation(dataset: str) -> str:
    """Name of the augmentation that a data set gets when none is asked for; images of your own get `barlow-twins`.

    Raises
    ------
    DataError
        If there is no such data set, or it holds no images.
    """
    splits_of(dataset)
    return _DEFAULTS.get(dataset, _DEFAULT)


def _colour(
    shape: Shape,
    jitter: Callable,
    strengths: tuple[float, float, float, float],
    grayscale: bool = True,
) -> tuple[tuple[Augmentation, ...], str]:
    """Colour steps (brightness, contrast, saturation, hue; then grayscale 0.2), and what one channel leaves out."""
    brightness, contrast, saturation, hue = strengths
    if shape[-1] == 3:
        steps = (partial(jitter, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue),)
        return (*steps, partial(random_grayscale, p=0.2)) if grayscale else steps, ""
    left_out = "saturation, hue or grayscale" if grayscale else "saturation or hue"
    channels = "one channel" if shape[-1] == 1 else f"{shape[-1]} channels"
    return (partial(jitter, brightness=brightness, contrast=contrast),), f"{channels}: no {left_out}"


def _blur_kernel(shape: Shape) -> int:
    """Odd number of pixels nearest to 10 % of the side, at least 3 (1 would blur nothing)."""
    return max(3, 2 * round((0.1 * min(shape[:2]) - 1) / 2) + 1)


def _simvae_crop(smallest: float) -> Augmentation:
    return partial(random_resized_crop, scale=(smallest, 1.0), ratio=(0.75, 1.3), method="linear")
