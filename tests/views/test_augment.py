import colorsys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from quick import over_both, over_keys

from dynamics.errors import ConfigError, DataError
from dynamics.support.precision import double_precision
from dynamics.views.augment import (
    binarise,
    color_jitter,
    compose,
    gaussian_blur,
    gaussian_noise,
    random_crop,
    random_flip,
    random_grayscale,
    random_resized_crop,
    random_shift,
    random_solarize,
    rotate_hue,
)

KEY = jax.random.key(0)

EVERY = {
    "crop": partial(random_crop, size=5),
    "resized crop": partial(random_resized_crop, size=(6, 7)),
    "shift": partial(random_shift, max_shift=2),
    "shift, edge": partial(random_shift, max_shift=2, fill="edge"),
    "flip": random_flip,
    "vertical flip": partial(random_flip, axis="vertical"),
    "jitter": partial(color_jitter, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, p=0.8),
    "grayscale": partial(random_grayscale, p=0.5),
    "solarize": partial(random_solarize, p=0.5),
    "binarise": binarise,
    "blur": partial(gaussian_blur, kernel_size=3),
    "noise": partial(gaussian_noise, std=0.1),
    "composition": compose(random_flip, partial(random_crop, size=6), partial(gaussian_noise, std=0.1)),
}


@pytest.fixture
def image(rng):
    return jnp.asarray(rng.random((9, 8, 3)), jnp.float32)


def many(augmentation, image, num=200):
    """The augmentation under `num` keys, as NumPy (num, h, w, c)."""
    return np.asarray(over_keys(augmentation)(jax.random.split(KEY, num), image))


# What all of them have in common


@pytest.mark.parametrize("name", EVERY)
def test_jit_and_vmap_change_nothing_and_keys_decide(name, image):
    keys = jax.random.split(KEY, 20)
    images = jnp.broadcast_to(image, (20, *image.shape)).at[1].set(1 - image)
    together = over_both(EVERY[name])(keys, images)
    for i in (0, 1, 0):  # the third time with the first key again
        np.testing.assert_allclose(together[i], EVERY[name](keys[i], images[i]), atol=2e-6)
    assert (len(np.unique(np.delete(together, 1, axis=0), axis=0)) > 1) == (name != "binarise")


@pytest.mark.parametrize("augmentation", EVERY.values(), ids=EVERY.keys())
def test_precision_is_kept_with_and_without_x64(augmentation, image):
    assert jax.eval_shape(augmentation, KEY, image).dtype == jnp.float32
    with double_precision():
        for dtype in (jnp.float32, jnp.float64):
            assert jax.eval_shape(augmentation, KEY, image.astype(dtype)).dtype == dtype


@pytest.mark.parametrize("augmentation", EVERY.values(), ids=EVERY.keys())
def test_nothing_relies_on_implicit_promotion(augmentation, image):
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        jax.eval_shape(augmentation, KEY, image)


@pytest.mark.parametrize(
    "identity",
    [
        compose(),
        partial(random_resized_crop, scale=(1.0, 1.0), ratio=(8 / 9, 8 / 9)),
        partial(random_shift, max_shift=0),
        partial(random_flip, p=0.0),
        partial(color_jitter, brightness=0.9, contrast=0.9, saturation=0.9, hue=0.5, p=0.0),
        color_jitter,
        partial(random_grayscale, p=0.0),
        partial(random_solarize, p=0.0),
        partial(gaussian_blur, kernel_size=3, p=0.0),
        partial(gaussian_blur, kernel_size=1, p=1.0),
        partial(gaussian_noise, std=0.0),
    ],
)
def test_options_that_ask_for_nothing_give_the_image_back(identity, image):
    np.testing.assert_allclose(identity(KEY, image), image, atol=1e-6)


# Geometry


def test_crops_are_the_windows_of_the_image_all_equally_often(image):
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(image), (7, 7), axis=(0, 1))
    windows = windows.transpose(0, 1, 3, 4, 2).reshape(-1, 7, 7, 3)  # 3 · 2 places
    crops = many(partial(random_crop, size=7), image, 600)
    equal = (crops[:, None] == windows[None]).all(axis=(2, 3, 4))
    assert (equal.sum(axis=1) == 1).all()
    assert scipy.stats.chisquare(equal.sum(axis=0)).pvalue > 1e-4


def window_of(view, height, width):
    """Place and size of the window that a linearly resized coordinate image shows, from two interior pixels."""
    out = view.shape[0]
    low, high = out // 3, 2 * out // 3
    step = (view[high, high] - view[low, low]) / (high - low)
    corner = view[low, low] + 0.5 - step * (low + 0.5)
    return corner, step * out  # (top, left), (height, width)


def test_resized_crops_show_windows_of_the_right_area_and_ratio():
    height, width = 40, 36
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    coordinates = jnp.asarray(np.stack([rows, columns], axis=-1) / 64, jnp.float32)  # in [0, 1], as images are
    crop = partial(random_resized_crop, scale=(0.1, 0.5), ratio=(0.5, 2.0), size=(90, 90), method="linear")
    found = np.array([np.concatenate(window_of(64 * view, height, width)) for view in many(crop, coordinates, 300)])
    np.testing.assert_allclose(found, found.round(), atol=2e-3)  # whole pixels
    top, left, tall, wide = found.round().T
    assert (top >= 0).all() and (left >= 0).all() and (top + tall <= height).all() and (left + wide <= width).all()
    area, ratio = tall * wide / (height * width), wide / tall
    assert 0.09 < area.min() < 0.13 and 0.45 < area.max() < 0.53  # up to the rounding to whole pixels
    assert 0.45 < ratio.min() < 0.6 and 1.7 < ratio.max() < 2.2
    assert abs(np.log(ratio).mean()) < 5 * np.log(2) / np.sqrt(3 * 300)
    assert len(np.unique(top)) > 10 and len(np.unique(left)) > 10


def test_resized_crops_interpolate_linearly(rng):
    # ratio 20 never fits a square: the fallback is the full width and a twentieth of it in height, centred
    image = jnp.asarray(rng.random((21, 20, 1)), jnp.float32)
    view = random_resized_crop(KEY, image, scale=(0.5, 0.5), ratio=(20.0, 30.0), size=(1, 40), method="linear")
    positions = (np.arange(40) + 0.5) / 2 - 0.5
    expected = np.interp(positions, np.arange(20), np.asarray(image)[10, :, 0])
    np.testing.assert_allclose(view[0, :, 0], expected, atol=1e-6)


def test_resized_crops_keep_constant_images_and_the_range():
    crop = partial(random_resized_crop, scale=(0.1, 0.3))
    np.testing.assert_allclose(many(crop, jnp.full((16, 16, 1), 0.3), 50), 0.3, atol=1e-6)
    checkers = jnp.asarray(np.indices((16, 16)).sum(axis=0) % 2, jnp.float32)[..., None]
    views = many(crop, checkers, 50)  # cubic: would overshoot
    assert views.min() == 0 and views.max() == 1


@pytest.mark.parametrize("fill", ["zero", "edge"])
def test_shifts_move_the_image_and_fill_the_border(image, fill):
    reference = np.asarray(image)
    candidates = []
    for down in (-2, -1, 0, 1, 2):
        for right in (-2, -1, 0, 1, 2):
            moved = np.roll(reference, (down, right), axis=(0, 1))
            rows, columns = np.arange(9) - down, np.arange(8) - right  # where each pixel comes from
            if fill == "edge":
                moved = reference[rows.clip(0, 8)][:, columns.clip(0, 7)]
            else:
                moved[(rows < 0) | (rows > 8)] = 0
                moved[:, (columns < 0) | (columns > 7)] = 0
            candidates.append(moved)
    views = many(partial(random_shift, max_shift=2, fill=fill), image, 1000)
    equal = (views[:, None] == np.array(candidates)[None]).all(axis=(2, 3, 4))
    assert (equal.sum(axis=1) == 1).all()
    assert scipy.stats.chisquare(equal.sum(axis=0)).pvalue > 1e-4


@pytest.mark.parametrize(("axis", "mirrored"), [("horizontal", np.s_[:, ::-1]), ("vertical", np.s_[::-1])])
def test_flips(image, axis, mirrored):
    np.testing.assert_array_equal(random_flip(KEY, image, p=1.0, axis=axis), np.asarray(image)[mirrored])
    flipped = (many(partial(random_flip, p=0.3, axis=axis), image, 1000) == np.asarray(image)[mirrored]).all((1, 2, 3))
    assert abs(flipped.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 1000)


# Colour


def luma(images):
    return images @ np.array([0.299, 0.587, 0.114])


def test_brightness_multiplies_by_one_factor(image):
    dark = image / 4  # nothing is clipped
    factors = many(partial(color_jitter, brightness=0.6), dark) / np.asarray(dark)
    assert np.ptp(factors, axis=(1, 2, 3)).max() < 1e-5
    factors = factors[:, 0, 0, 0]
    assert 0.4 <= factors.min() < 0.45 and 1.55 < factors.max() <= 1.6
    assert scipy.stats.kstest(factors, "uniform", (0.4, 1.2)).pvalue > 1e-4
    bright = many(partial(color_jitter, brightness=0.6), image)
    assert bright.max() == 1 and (bright >= 0).all()


def test_contrast_keeps_the_mean_luma_and_scales_the_deviations(image):
    soft = 0.4 + image / 5
    reference = np.asarray(soft)
    mean = luma(reference).mean()
    factors = (many(partial(color_jitter, contrast=0.5), soft) - mean) / (reference - mean)
    far = np.abs(reference - mean) > 0.02  # where the quotient is well conditioned
    np.testing.assert_allclose(
        factors[:, far], np.broadcast_to(factors[:, far][:, :1], factors[:, far].shape), rtol=1e-4
    )
    assert 0.5 - 1e-4 <= factors[:, far].min() < 0.55 and 1.45 < factors[:, far].max() <= 1.5 + 1e-4


def test_saturation_keeps_the_luma_of_every_pixel(image):
    soft = 0.4 + image / 5
    views = many(partial(color_jitter, saturation=0.8), soft)
    np.testing.assert_allclose(luma(views), np.broadcast_to(luma(np.asarray(soft)), views.shape[:-1]), atol=1e-5)
    spread = np.ptp(views, axis=-1) / np.ptp(np.asarray(soft), axis=-1)
    assert 0.2 - 1e-4 <= spread.min() < 0.3 and 1.7 < spread.max() <= 1.8 + 1e-4


@pytest.mark.parametrize("turn", [0.0, 0.1, -0.25, 1 / 3, 0.5])
def test_hue_rotation_is_that_of_colorsys(image, turn):
    extremes = jnp.asarray(np.stack(np.meshgrid([0, 0.5, 1], [0, 0.5, 1], [0, 0.5, 1]), axis=-1).reshape(3, 9, 3))
    for pixels in (image, extremes.astype(jnp.float32)):
        turned = rotate_hue(pixels, jnp.float32(turn))
        for got, before in zip(np.asarray(turned).reshape(-1, 3), np.asarray(pixels).reshape(-1, 3), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*before.tolist())
            np.testing.assert_allclose(got, colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value), atol=2e-6)


def test_hue_jitter_turns_all_pixels_by_one_angle(image):
    views = many(partial(color_jitter, hue=0.2), image, 60)
    before = np.array([colorsys.rgb_to_hsv(*p) for p in np.asarray(image).reshape(-1, 3).tolist()])
    turns = []
    for view in views:
        after = np.array([colorsys.rgb_to_hsv(*p) for p in view.reshape(-1, 3).tolist()])
        np.testing.assert_allclose(after[:, 1:], before[:, 1:], atol=1e-5)
        turn = (after[:, 0] - before[:, 0] + 0.5) % 1 - 0.5
        clear = before[:, 1] > 0.2  # pale colours have an ill-conditioned hue
        np.testing.assert_allclose(turn[clear], turn[clear][0], atol=1e-4)
        turns.append(turn[clear][0])
    assert -0.2001 <= min(turns) < -0.1 and 0.1 < max(turns) <= 0.2001


def test_jitter_changes_colours_in_random_order():
    # Saturation moves a colour along the line to its luma, a hue rotation keeps HSV value and chroma: the luma that the
    # value moved towards is the original one if saturation came first, and the final one if it came last.
    pixel = np.array([0.6, 0.45, 0.4], np.float32)
    views = many(partial(color_jitter, saturation=0.5, hue=0.3), jnp.asarray(pixel[None, None]), 300)[:, 0, 0]
    factor = np.ptp(views, axis=-1) / np.ptp(pixel)

    def explained_by(towards):
        return np.abs(views.max(axis=-1) - (towards + factor * (pixel.max() - towards))) < 1e-5

    saturation_first, hue_first = explained_by(luma(pixel)), explained_by(luma(views))
    assert (saturation_first | hue_first).all()
    assert 0.35 < (saturation_first & ~hue_first).mean() < 0.65


def test_jitter_is_applied_with_its_probability(image):
    untouched = (many(partial(color_jitter, brightness=0.5, p=0.8), image, 1000) == np.asarray(image)).all((1, 2, 3))
    assert abs(untouched.mean() - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 1000)


def test_grayscale_has_the_weights_of_bt601(image):
    expected = np.broadcast_to(luma(np.asarray(image))[..., None], image.shape)
    np.testing.assert_allclose(random_grayscale(KEY, image, p=1.0), expected, atol=1e-6)


def test_solarisation_inverts_the_bright_half():
    image = jnp.asarray([[[0.0], [0.49], [0.5], [0.9], [1.0]]])
    np.testing.assert_allclose(random_solarize(KEY, image, p=1.0)[0, :, 0], [0, 0.49, 0.5, 0.1, 0], atol=1e-6)


def test_binarisation():
    image = jnp.asarray([[[0.0], [0.5], [0.51], [1.0]]])
    np.testing.assert_array_equal(binarise(KEY, image)[0, :, 0], [0, 0, 1, 1])


# Sharpness and noise


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0])
def test_blur_is_that_of_scipy(image, sigma):
    blurred = gaussian_blur(KEY, image, kernel_size=7, sigma=(sigma, sigma), p=1.0)
    reference = scipy.ndimage.gaussian_filter(
        np.asarray(image, np.float64), (sigma, sigma, 0), mode="mirror", radius=(3, 3, 0)
    )
    np.testing.assert_allclose(blurred, reference, atol=1e-6)


def test_the_width_of_the_blur_is_uniform():
    dot = jnp.zeros((21, 21, 1)).at[10, 10].set(1.0)
    views = many(partial(gaussian_blur, kernel_size=21, sigma=(0.5, 1.5), p=1.0), dot, 300)
    variances = (views.sum(axis=(2, 3)) * (np.arange(21) - 10) ** 2).sum(axis=1)
    assert scipy.stats.kstest(np.sqrt(variances), "uniform", (0.5, 1.0)).pvalue > 1e-4


def test_noise_is_white_with_the_given_deviation(image):
    noise = many(partial(gaussian_noise, std=0.25), image, 500) - np.asarray(image)
    assert scipy.stats.kstest(noise[:20].ravel() / 0.25, "norm").pvalue > 1e-4
    flat = noise.reshape(500, -1)
    covariance = flat.T @ flat / 500 / 0.25**2
    np.testing.assert_allclose(covariance, np.eye(flat.shape[1]), atol=6 * np.sqrt(2 / 500))


def test_compositions_apply_their_steps_in_order(image):
    crop_then_flip = compose(partial(random_crop, size=8), partial(random_flip, p=1.0))
    windows = [np.asarray(image)[top : top + 8][:, ::-1] for top in (0, 1)]
    assert any((np.asarray(crop_then_flip(KEY, image)) == window).all() for window in windows)
    # steps get keys of their own: two noises do not add up to twice one noise
    twice = compose(*2 * [partial(gaussian_noise, std=1.0)])(KEY, jnp.zeros((50, 50, 1)))
    assert abs(float(twice.std()) - np.sqrt(2)) < 0.1


# What does not fit


@pytest.mark.parametrize(
    ("augmentation", "shape", "error", "says"),
    [
        (partial(random_crop, size=20), (8, 8, 1), DataError, "20×20 crop does not fit into 8×8"),
        (partial(random_crop, size=9), (9, 8, 1), DataError, "9×9 crop does not fit into 9×8"),
        (partial(color_jitter, saturation=0.1), (8, 8, 1), DataError, "1 channel.* saturation and hue"),
        (partial(color_jitter, hue=0.1), (8, 8, 1), DataError, "saturation and hue"),
        (random_grayscale, (8, 8, 1), DataError, "grayscale"),
        (partial(gaussian_blur, kernel_size=17), (8, 8, 1), DataError, "17 pixels does not fit 8×8"),
        (partial(gaussian_blur, kernel_size=4), (8, 8, 1), ConfigError, "odd"),
        (partial(gaussian_blur, kernel_size=3, sigma=(2.0, 1.0)), (8, 8, 1), ConfigError, "ascending"),
        (partial(random_resized_crop, scale=(0.5, 1.5)), (8, 8, 1), ConfigError, "at most 1"),
        (partial(random_resized_crop, ratio=(2.0, 1.0)), (8, 8, 1), ConfigError, "ascending"),
        (partial(color_jitter, brightness=-0.1), (8, 8, 1), ConfigError, "no negative"),
        (partial(color_jitter, hue=0.6), (8, 8, 3), ConfigError, "hue of at most 0.5"),
        (partial(random_flip, p=1.5), (8, 8, 1), ConfigError, "p=1.5"),
    ],
)
def test_what_does_not_fit_is_an_error_with_and_without_jit(augmentation, shape, error, says):
    for call in (augmentation, jax.jit(augmentation)):
        with pytest.raises(error, match=says):
            call(KEY, jnp.zeros(shape))
