"""Style labels say what the augmentation did: views are made again from them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.views import (
    color_jitter,
    compose,
    gaussian_noise,
    get_augmentation,
    random_crop,
    random_flip,
    random_intensity,
    random_resized_crop,
    random_roll,
    random_shift,
    style_factors,
    styled_views,
)

KEYS = jax.random.split(jax.random.key(0), 40)


def both(augmentation, image):
    """Views and factors under all keys, as NumPy."""
    made = jax.jit(jax.vmap(lambda key: (augmentation(key, image), style_factors(augmentation, key, image))))(KEYS)
    return jax.tree.map(np.asarray, made)


@pytest.fixture
def image(rng):
    return jnp.asarray(rng.uniform(0.2, 0.8, size=(9, 8, 3)), jnp.float32)


def test_shift_is_undone_by_its_label(image):
    views, factors = both(partial(random_roll, max_shift=2), image)
    for view, shift in zip(views, factors["shift"], strict=True):
        back = shift // 5 - 2, shift % 5 - 2
        np.testing.assert_array_equal(np.roll(view, back, axis=(0, 1)), image)
    assert len(set(factors["shift"])) > 10
    shifted, labels = both(random_shift, image)
    for view, shift in zip(shifted, labels["shift"], strict=True):
        np.testing.assert_array_equal(
            np.roll(view, (shift // 3 - 1, shift % 3 - 1), (0, 1))[1:-1, 1:-1], image[1:-1, 1:-1]
        )


def test_intensity_and_flip(image):
    views, factors = both(compose(random_intensity, random_flip), image)
    assert 0.4 <= factors["intensity"].min() < 0.55 and 0.85 < factors["intensity"].max() <= 1
    for view, intensity, flip in zip(views, factors["intensity"], factors["flip"], strict=True):
        np.testing.assert_allclose(view, intensity * (image[:, ::-1] if flip else image), rtol=1e-6)
    assert set(factors["flip"]) == {0, 1}


def test_crops_are_where_and_as_large_as_they_say():
    """In an image whose intensities are its coordinates the mean of a window is its centre, its spread its size."""
    rows, columns = np.meshgrid((np.arange(24) + 0.5) / 24, (np.arange(24) + 0.5) / 24, indexing="ij")
    ramp = jnp.asarray(np.stack([rows, columns], axis=-1), jnp.float32)
    crop = partial(random_resized_crop, scale=(0.3, 0.8), method="linear")
    views, factors = both(crop, ramp)
    np.testing.assert_allclose(views[..., 0].mean(axis=(1, 2)), factors["row"], atol=0.02)
    np.testing.assert_allclose(views[..., 1].mean(axis=(1, 2)), factors["column"], atol=0.02)
    areas = np.ptp(views[..., 0], axis=(1, 2)) * np.ptp(views[..., 1], axis=(1, 2))
    assert np.corrcoef(areas, factors["scale"])[0, 1] > 0.98 and 0.25 < factors["scale"].min() < 0.5
    views, factors = both(
        compose(crop, partial(random_flip, axis="vertical")), jnp.asarray(rows, jnp.float32)[..., None]
    )
    upside_down = np.asarray(views[..., 0][:, -1] < views[..., 0][:, 0]).all(axis=1)
    np.testing.assert_array_equal(upside_down, factors["flip"] == 1)
    centres = views[..., 0].mean(axis=(1, 2))
    np.testing.assert_allclose(np.where(upside_down, 1 - centres, centres), factors["row"], atol=0.02)
    views, factors = both(partial(random_crop, size=10), ramp)
    np.testing.assert_allclose(views.mean(axis=(1, 2)), np.stack([factors["row"], factors["column"]], 1), atol=1e-5)


def test_jitter_says_nothing_changed_where_it_did_not(image):
    views, factors = both(partial(color_jitter, brightness=0.2, p=0.5), image)
    for view, brightness in zip(views, factors["brightness"], strict=True):
        np.testing.assert_allclose(view, np.clip(brightness * image, 0, 1), atol=1e-6)
    assert 5 < (factors["brightness"] == 1).sum() < 35 and set(factors) == {"brightness"}


def test_steps_without_a_label_have_none(image):
    assert style_factors(compose(partial(gaussian_noise, std=0.1)), KEYS[0], image) == {}
    preset = get_augmentation("simvae-cifar10", (9, 8, 3)).first
    factors = jax.eval_shape(partial(style_factors, preset), KEYS[0], image)
    assert set(factors) == {"brightness", "contrast", "saturation", "hue", "row", "column", "scale", "flip"}


def test_styled_views_repeat_images_with_their_labels(rng):
    images, labels = rng.uniform(size=(7, 8, 8, 1)).astype(np.float32), np.arange(7)
    recipe = get_augmentation("digits-style", (8, 8, 1)).first
    made = styled_views(images, labels, recipe, jax.random.key(1), repeats=3, chunk=4)
    assert len(made) == 21 and made.views.shape == (21, 8, 8, 1)
    whole = styled_views(images, labels, recipe, jax.random.key(1), repeats=3)
    np.testing.assert_array_equal(made.views, whole.views)
    for view, label, shift, intensity in zip(
        made.views, made.content, made.style["shift"], made.style["intensity"], strict=True
    ):
        back = np.roll(view, (shift // 3 - 1, shift % 3 - 1), axis=(0, 1)) / intensity
        np.testing.assert_allclose(back, images[label], rtol=1e-5)
    with pytest.raises(ConfigError, match="repeats is 0"):
        styled_views(images, None, recipe, jax.random.key(0), repeats=0)
