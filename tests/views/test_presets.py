import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import over_keys

from dynamics.errors import ConfigError, DataError
from dynamics.views import AUGMENTATIONS, default_augmentation, get_augmentation, load_images
from dynamics.views.datasets import NAMES

SHAPES = {"digits": (8, 8, 1), "mnist": (28, 28, 1), "cifar10": (32, 32, 3), "stl10": (96, 96, 3)}


def views(preset, image, num=1):
    """Both views under `num` keys, (num, h, w, c) each."""
    keys = jax.random.split(jax.random.key(0), num)
    return [np.asarray(over_keys(view)(keys, image)) for view in (preset.first, preset.second)]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_preset_fits_every_data_set_or_says_that_it_does_not(name, shape):
    if name == "simon2023" and shape[0] < 20:
        with pytest.raises(DataError, match="20×20 crops, and the images are 8×8"):
            get_augmentation(name, shape)
        return
    preset = get_augmentation(name, shape)
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    for view in (preset.first, preset.second):
        out = jax.eval_shape(view, jax.random.key(0), image)
        assert out.dtype == jnp.float32
        assert out.shape == ((20, 20, shape[2]) if name == "simon2023" else shape)
    colourful = name in ("simclr", "barlow-twins", "vicreg", "simvae-cifar10")
    assert preset.note.startswith("one channel: no saturation") == (colourful and shape[2] == 1)


def test_every_data_set_has_a_default_that_fits():
    for name in NAMES:
        get_augmentation(default_augmentation(name), SHAPES[name.removeprefix("fashion-")])
    with pytest.raises(DataError, match=r"no data set `imagenet`; known are digits, mnist"):
        default_augmentation("imagenet")


def test_an_unknown_preset_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"no augmentation `byol`; known are none, digits, simon2023"):
        get_augmentation("byol", (8, 8, 1))


def test_none_is_the_identity(rng):
    image = jnp.asarray(rng.random((8, 8, 1)), jnp.float32)
    for view in views(get_augmentation("none", (8, 8, 1)), image):
        np.testing.assert_array_equal(view[0], image)


def test_the_two_views_of_barlow_twins_differ_in_blur_and_solarisation(rng):
    # the loss of fine detail shows the blur of the first view, dark images that became bright the solarised second ones
    image = jnp.asarray(0.7 + 0.3 * rng.random((36, 36, 3)), jnp.float32)
    first, second = views(get_augmentation("barlow-twins", (36, 36, 3)), image, 100)

    def detail(batch):
        return np.abs(np.diff(batch, axis=1)).mean(axis=(1, 2, 3))

    assert np.median(detail(first)) < np.median(detail(second))
    dark = (second.mean(axis=(1, 2, 3)) < 0.4).mean()
    assert abs(dark - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 100)
    assert (first.mean(axis=(1, 2, 3)) > 0.38).all()


def test_simvae_binarises_mnist_only(rng):
    image = jnp.asarray(rng.random((28, 28, 1)), jnp.float32)
    mnist, _ = views(get_augmentation("simvae-mnist", (28, 28, 1)), image)
    fashion, _ = views(get_augmentation("simvae-fashion-mnist", (28, 28, 1)), image)
    assert set(np.unique(mnist)) == {0.0, 1.0} and len(np.unique(fashion)) > 10


def test_digits_views_stay_close_to_their_image():
    image = jnp.asarray(load_images("digits", limit=1).images[0])
    (first, _), clean = views(get_augmentation("digits", (8, 8, 1)), image, 200), np.asarray(image)
    shifts = [np.roll(clean, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    distances = np.min([np.abs(first - shift).mean(axis=(1, 2, 3)) for shift in shifts], axis=0)
    assert 0.03 < distances.mean() < 0.2  # noise of 0.1 deviates by 0.08 on average, brightness adds to it
