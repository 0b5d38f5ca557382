"""Images that are not what they seem: other ranges, types and orders of axes than augmentations take."""

from functools import partial

import jax
import numpy as np
import pytest

from dynamics.errors import DataError
from dynamics.views import compose, make_pairs
from dynamics.views.augment import random_crop
from dynamics.views.intensities import intensities

KEY = jax.random.key(0)


@pytest.fixture
def images(rng):
    return rng.random((12, 6, 6, 3)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_unsigned_integers_are_divided_by_the_largest_of_their_type(images, dtype):
    largest = np.iinfo(dtype).max
    crop = partial(random_crop, size=4)
    expected = make_pairs(images, crop, KEY, standardise=False)
    found = make_pairs((images.astype(np.float64) * largest).round().astype(dtype), crop, KEY, standardise=False)
    np.testing.assert_allclose(found.x, expected.x, atol=1 / 255)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (lambda x: x * 255, "images / 255"),
        (lambda x: 2 * x - 1, r"\(images \+ 1\) / 2"),
        (lambda x: (x - 0.485) / 0.229, "standard deviation"),
        (lambda x: (x * 255).astype(np.int32), "images / 255"),
        (lambda x: x + 0.01, "in \\[0, 1\\]"),
    ],
)
def test_another_range_is_not_clipped_but_refused(images, change, remedy):
    with pytest.raises(DataError, match=remedy):
        make_pairs(change(images), compose(), KEY)


def test_rounding_beyond_the_range_is_none(images):
    found = make_pairs(images / images.max() * (1 + 1e-6), compose(), KEY, standardise=False)
    assert found.x.max() == 1


def test_channels_in_front_are_named_and_grey_images_get_a_channel(images):
    with pytest.raises(DataError, match=r"3 channels in front .* np.moveaxis\(images, 1, -1\)"):
        make_pairs(np.moveaxis(images, -1, 1), compose(), KEY)
    with pytest.raises(DataError, match=r"shape \(12, 108\)"):
        make_pairs(images.reshape(12, -1), compose(), KEY)
    assert make_pairs(images[..., 0], compose(), KEY).input_shape == (6, 6, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_reported_at_the_users_row(images, bad):
    images[7, 0, 0, 0] = images[9, 1, 1, 1] = bad
    with pytest.raises(DataError, match=r"2 images have NaN or infinite entries \(first: row 7\)"):
        make_pairs(images, compose(), KEY)
    with pytest.raises(DataError, match="first: row 9"):
        intensities(images, np.array([3, 9, 1]))
