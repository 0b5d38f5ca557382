"""Augmentations as they are written, against the functions that they name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError, DataError
from dynamics.views import AUGMENTATIONS, STEPS, gaussian_noise, get_augmentation, load_pairs, random_shift
from dynamics.views.written import check_augmentation

KEY = jax.random.key(3)


@pytest.fixture
def image(rng):
    return jnp.asarray(rng.random((12, 12, 3)), jnp.float32)


@pytest.mark.parametrize("name", STEPS)
def test_every_step_fits_images_with_its_usual_strength_and_both_ends_of_its_range(name):
    step = STEPS[name]
    for written in (name, f"{name}:{step.usual:g}", f"{name}:{step.bounds.least:g}"):
        views = get_augmentation(written, (32, 32, 3))
        out = jax.eval_shape(views.first, KEY, jax.ShapeDtypeStruct((32, 32, 3), jnp.float32))
        assert out.shape == (32, 32, 3) and views.first == views.second
    for outside in (step.bounds.least - 1, step.bounds.most + 1):
        with pytest.raises(ConfigError, match=rf"strength of `{name}` is .*give .*{name}:"):
            check_augmentation(f"{name}:{outside:g}")


def test_a_strength_is_that_of_the_function(image):
    noisy = get_augmentation("noise:0.25", image.shape).first(KEY, image)
    np.testing.assert_array_equal(noisy, gaussian_noise(KEY, image, std=0.25))
    np.testing.assert_array_equal(get_augmentation("flip:1", image.shape).first(KEY, image), image[:, ::-1])
    np.testing.assert_array_equal(get_augmentation("flip-vertical:1", image.shape).first(KEY, image), image[::-1])
    np.testing.assert_array_equal(get_augmentation("binarise:.3", image.shape).first(KEY, image), image > 0.3)
    grey = np.asarray(get_augmentation("grayscale:1", image.shape).first(KEY, image))
    np.testing.assert_allclose(grey[..., 1], np.asarray(image) @ [0.299, 0.587, 0.114], rtol=1e-5)


def test_parts_follow_each_other_with_keys_of_their_own(image):
    keys = jax.random.split(KEY)
    expected = gaussian_noise(keys[1], random_shift(keys[0], image, max_shift=2), std=0.1)
    both = get_augmentation(" shift:2 + noise ", image.shape)
    np.testing.assert_array_equal(both.first(KEY, image), expected)


def test_a_recipe_may_be_a_part_and_keeps_its_two_views_and_its_note():
    shape = (12, 12, 1)
    recipe, flip, longer = (get_augmentation(text, shape) for text in ("vicreg", "flip:1", "vicreg+flip:1"))
    assert longer.first.steps == (recipe.first, flip.first) and longer.second.steps == (recipe.second, flip.second)
    assert longer.note == recipe.note == "one channel: no saturation, hue or grayscale"
    assert not set(STEPS) & set(AUGMENTATIONS)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("blurr:1", "no augmentation `blurr:1`; known are none"),
        ("crop:.5+nose", "no augmentation `nose` in `crop:.5\\+nose`"),
        ("", "no augmentation ``"),
        ("noise:", "strength of `noise` is ``"),
        ("noise:nan", "`nan`; give a number from 0"),
        ("shift:1.5", "`1.5`; give a whole number"),
        ("noise:٣", "strength of `noise`"),  # Python reads digits of every script
        ("simclr:2", "takes no strength"),
    ],
)
def test_mistakes_are_named(text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        load_pairs("digits", num_pairs=4, augmentation=text)


@pytest.mark.parametrize("text", ["shift:8", "roll:9", "blur:4"])
def test_what_is_too_large_for_the_images_is_refused(text):
    with pytest.raises(DataError, match="8×8"):
        get_augmentation(text, (8, 8, 1))
