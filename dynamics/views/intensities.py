"""Images as augmentations take them: (n, h, w, c), float32, intensities in [0, 1].

>>> intensities(np.array([[[0, 255]]], np.uint8), np.array([0])).ravel()
array([0., 1.], dtype=float32)
"""

import numpy as np
from jaxtyping import Float, Int, Num

from dynamics.errors import DataError
from dynamics.support.numbers import real_array

_CHANNELS = (1, 3, 4)
_ROUNDING = 1e-4  # intensities may miss [0, 1] by so much, as after resizing


def intensities(
    images: Num[np.ndarray, "n ..."], rows: Int[np.ndarray, " drawn"], name: str = "images"
) -> Float[np.ndarray, "drawn h w c"]:
    """The images of these rows with intensities in [0, 1], as the augmentations, which clip, expect them.

    Parameters
    ----------
    images : array (n, h, w, c) or (n, h, w)
        Floating-point intensities in [0, 1]; or unsigned integers, which are divided by the largest of their type.
    rows : array of int
        Which images.
    name : str
        What the images are called in messages.

    Raises
    ------
    DataError
        If the images have another shape or range, or are not finite; the sentence says how to convert them.
    """
    shape = np.shape(images)
    if len(shape) == 4 and shape[1] in _CHANNELS and shape[3] not in _CHANNELS:
        raise DataError(
            f"{name}: the shape {shape} has its {shape[1]} channels in front (n, c, h, w); give (n, h, w, c), such as "
            "np.moveaxis(images, 1, -1)."
        )
    if len(shape) not in (3, 4):
        raise DataError(f"{name}: images have shape {shape}; give (n, h, w, c), or (n, h, w) for grey ones.")
    drawn = real_array(images[rows], name)
    drawn = drawn[..., None] if drawn.ndim == 3 else drawn
    if drawn.dtype.kind == "u":
        return (drawn / np.float32(np.iinfo(drawn.dtype).max)).astype(np.float32)
    bad = ~np.isfinite(drawn).reshape(len(drawn), -1).all(axis=1)
    if bad.any():
        raise DataError(
            f"{name}: {bad.sum()} images have NaN or infinite entries (first: row {int(rows[bad].min())}); remove or "
            "repair them."
        )
    low, high = float(drawn.min(initial=0)), float(drawn.max(initial=1))
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise DataError(f"{name}: intensities reach from {low:.4g} to {high:.4g}; {_remedy(low, high)}.")
    return np.clip(drawn.astype(np.float32), 0, 1)


def _remedy(low: float, high: float) -> str:
    if low >= 0 and high <= 255:
        return "give values in [0, 1], such as images / 255"
    if low >= -1 and high <= 1:
        return "give values in [0, 1], such as (images + 1) / 2"
    return "give values in [0, 1]; if they were normalised, multiply by the standard deviation and add the mean"
