from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from official_files import cifar_batch

from dynamics.errors import ConfigError, DataError
from dynamics.support.precision import double_precision
from dynamics.views import (
    Images,
    Pairs,
    TwoViews,
    augment,
    compose,
    gaussian_noise,
    load_held_out,
    load_images,
    load_pairs,
    make_pairs,
)
from dynamics.views.augment import random_crop

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def images():
    """40 images whose pixels tell which image and which place they are from."""
    values = np.arange(40 * 6 * 6, dtype=np.float32).reshape(40, 6, 6, 1)
    return Images(values / values.max(), name="numbered")


def test_pairs_are_two_crops_of_the_same_image_each_drawn_once(images):
    pairs = make_pairs(images, partial(random_crop, size=4), KEY, num_pairs=30, standardise=False)
    assert pairs.x.shape == pairs.x_prime.shape == (30, 4, 4, 1) and pairs.x.dtype == np.float32
    assert pairs.source == "numbered"
    origin, origin_prime = ((view[:, 0, 0, 0] * (40 * 36 - 1)).round() // 36 for view in (pairs.x, pairs.x_prime))
    np.testing.assert_array_equal(origin, origin_prime)
    assert len(np.unique(origin)) == 30 and (np.diff(origin) < 0).any()  # without replacement, in random order
    same = (pairs.x == pairs.x_prime).all(axis=(1, 2, 3)).mean()
    # two independent places of nine coincide once in nine, with a standard error of 0.057
    assert same < 1 / 9 + 6 * 0.057


@pytest.mark.parametrize(
    "recipe",
    [
        lambda: compose(partial(random_crop, size=4)),
        lambda: partial(random_crop, size=4),
        lambda: TwoViews(compose(compose(partial(random_crop, size=4))), partial(random_crop, size=4)),
    ],
)
def test_the_same_recipe_written_again_is_not_traced_again(images, recipe, monkeypatch):
    traced = []
    corner = augment.crop_corner
    monkeypatch.setattr(augment, "crop_corner", lambda *arguments: traced.append(1) or corner(*arguments))
    first = make_pairs(images, recipe(), KEY, num_pairs=3, standardise=False)
    del traced[:]
    again = make_pairs(images, recipe(), KEY, num_pairs=3, standardise=False)
    assert not traced
    np.testing.assert_array_equal(first.x, again.x)


def test_recipes_with_other_settings_are_other_recipes(images):
    make = partial(make_pairs, images, key=KEY, num_pairs=3, standardise=False)
    assert make(compose(partial(random_crop, size=4))).x.shape == (3, 4, 4, 1)
    assert make(compose(partial(random_crop, size=5))).x.shape == (3, 5, 5, 1)


def test_all_images_are_used_when_no_number_is_given(images):
    pairs = make_pairs(images.images, compose(), KEY, standardise=False)
    np.testing.assert_array_equal(np.sort(pairs.x[:, 0, 0, 0]), images.images[:, 0, 0, 0])


def test_views_are_independent_between_views_and_images():
    noise = make_pairs(
        np.random.default_rng(0).random((300, 4, 4, 1)).astype(np.float32) * 1e-6,
        partial(gaussian_noise, std=1.0),
        KEY,
        standardise=False,
    )
    flat = noise.stacked.reshape(600, 16).astype(np.float64)
    correlation = np.corrcoef(flat)[np.triu_indices(600, k=1)]
    # independent noise of 16 pixels correlates by 0 ± 1/√15, and above 0.95 once in 50 million pairs
    assert abs(correlation.std() - 1 / np.sqrt(15)) < 0.02 and np.abs(correlation).max() < 0.95


def test_asymmetric_views_go_where_they_belong(images):
    views = TwoViews(compose(), lambda key, image: 1 - image)
    pairs = make_pairs(images, views, KEY, standardise=False)
    np.testing.assert_allclose(pairs.x_prime, 1 - pairs.x, atol=1e-6)


def test_chunks_and_the_number_of_pairs_do_not_change_a_pair(images):
    augmentation = compose(partial(random_crop, size=4), partial(gaussian_noise, std=0.1))
    whole = make_pairs(images, augmentation, KEY, standardise=False)
    for options in ({"chunk": 7}, {"num_pairs": 11, "chunk": 7}):
        part = make_pairs(images, augmentation, KEY, standardise=False, **options)
        np.testing.assert_array_equal(part.x, whole.x[: len(part)])
        np.testing.assert_array_equal(part.x_prime, whole.x_prime[: len(part)])
    assert (make_pairs(images, augmentation, jax.random.key(4), standardise=False).x != whole.x).any()


def test_pairs_are_standardised_and_float32_even_under_x64(images):
    with double_precision():
        pairs = make_pairs(images, partial(random_crop, size=4), KEY)
    assert pairs.x.dtype == np.float32
    np.testing.assert_allclose([pairs.stacked.mean(), pairs.stacked.std()], [0, 1], atol=1e-5)


def test_what_cannot_be_drawn_is_an_error(images):
    with pytest.raises(DataError, match=r"numbered: there are 40 images, fewer than the 41 pairs"):
        make_pairs(images, compose(), KEY, num_pairs=41)
    with pytest.raises(ConfigError, match="num_pairs=0"):
        make_pairs(images, compose(), KEY, num_pairs=0)
    with pytest.raises(ConfigError, match="chunk=0"):
        make_pairs(images, compose(), KEY, chunk=0)
    constant = jnp.linspace(0, 1, 5)[:, None, None, None] * np.ones((5, 8, 8, 1), np.float32)
    with pytest.raises(DataError, match="the 5 images drawn are constant"):
        make_pairs(np.asarray(constant), partial(gaussian_noise, std=0.1), KEY)
    with pytest.raises(DataError, match="20×20 crop does not fit into 6×6"):
        make_pairs(images, partial(random_crop, size=20), KEY)


# load_pairs


def test_digits_by_name():
    pairs = load_pairs("digits", num_pairs=60, seed=5)
    assert pairs.x.shape == (60, 8, 8, 1) and pairs.source == "digits train, augmentation digits, seed 5"
    np.testing.assert_allclose(pairs.stacked.var(), 1, rtol=1e-5)
    np.testing.assert_array_equal(load_pairs("digits", num_pairs=60, seed=5).x, pairs.x)
    assert (load_pairs("digits", num_pairs=60, seed=6).x != pairs.x).any()


def test_data_dir_augmentation_and_split_are_passed_on(tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(
        b"".join(bytes([1]) + np.random.default_rng(i).bytes(3072) for i in range(5))
    )
    pairs = load_pairs("cifar10", data_dir=tmp_path, split="test")
    assert pairs.x.shape == (5, 20, 20, 3) and pairs.source == "cifar10 test, augmentation simon2023, seed 0"
    raw = load_pairs("cifar10", data_dir=tmp_path, split="test", augmentation="none", standardise=False)
    np.testing.assert_array_equal(raw.x, raw.x_prime)
    stored = load_images("cifar10", tmp_path, split="test").images
    np.testing.assert_array_equal(np.sort(raw.x.ravel()), np.sort(stored.ravel()))


def test_what_one_channel_leaves_out_is_said_in_the_source():
    pairs = load_pairs("digits", num_pairs=4, augmentation="simclr")
    assert pairs.source == "digits train, augmentation simclr (one channel: no saturation, hue or grayscale), seed 0"


def test_npz_rows_are_drawn_together_without_replacement(tmp_path):
    x = np.arange(50.0)[:, None] * np.ones(3)
    Pairs(x, x + 0.5).save(tmp_path / "own.npz")
    path = str(tmp_path / "own.npz")
    everything = load_pairs(path, standardise=False)
    np.testing.assert_array_equal(everything.x, x)
    some = load_pairs(path, num_pairs=20, seed=1, standardise=False)
    np.testing.assert_array_equal(some.x_prime, some.x + 0.5)
    assert len(np.unique(some.x)) == 20 and some.x.max() > 20  # not the first rows
    np.testing.assert_allclose(load_pairs(path).stacked.mean(axis=0), 0, atol=1e-12)
    with pytest.raises(DataError, match=r"own.npz: there are 50 pairs, fewer than the 51"):
        load_pairs(path, num_pairs=51)


@pytest.mark.parametrize(("num_pairs", "n", "modes"), [(None, 128, 16), (40, 40, 16), (5, 5, 5)])
def test_synthetic_pairs_have_the_geometric_spectrum(num_pairs, n, modes):
    pairs = load_pairs("synthetic", num_pairs=num_pairs, standardise=True)
    gamma = (pairs.x.T @ pairs.x_prime + pairs.x_prime.T @ pairs.x) / (2 * n)
    assert len(pairs) == n
    np.testing.assert_allclose(np.linalg.eigvalsh(gamma)[::-1], 0.7 ** np.arange(modes), atol=1e-12)


@pytest.mark.parametrize(
    ("dataset", "options", "error", "says"),
    [
        ("imagenet", {}, DataError, r"known are digits, .*stl10, synthetic, and paths: of an .npz"),
        ("absent.npz", {}, DataError, "absent.npz: no such file"),
        ("digits", {"augmentation": "byol"}, ConfigError, "no augmentation `byol`; known are none"),
        ("digits", {"augmentation": "simon2023"}, DataError, "20×20 crops, and the images are 8×8"),
        ("digits", {"num_pairs": 1798}, DataError, "there are 1,797 images, fewer than the 1,798 pairs"),
        ("synthetic", {"augmentation": "simclr"}, ConfigError, "holds pairs already"),
        ("synthetic", {"num_pairs": 0}, ConfigError, "num_pairs=0"),
    ],
)
def test_errors_by_name(dataset, options, error, says):
    with pytest.raises(error, match=says):
        load_pairs(dataset, **options)


def test_constant_data_is_an_error(tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(cifar_batch([1, 2, 3]))
    with pytest.raises(DataError, match="the 3 images drawn are constant"):
        load_pairs("cifar10", data_dir=tmp_path, split="test")


def test_real_cifar10_crops(data_dir):
    pairs = load_pairs("cifar10", data_dir=data_dir, num_pairs=50)
    assert pairs.x.shape == (50, 20, 20, 3) and "simon2023" in pairs.source
    np.testing.assert_allclose(pairs.stacked.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    # partners show the same scene: their mean colours go together, and are not identical
    colours, colours_prime = pairs.x.mean(axis=(1, 2)), pairs.x_prime.mean(axis=(1, 2))
    assert 0.5 < np.corrcoef(colours.ravel(), colours_prime.ravel())[0, 1] < 1


def test_held_out_pairs_are_views_of_other_images_with_their_labels():
    digits = load_images("digits")
    train = load_pairs("digits", num_pairs=30, augmentation="none", standardise=False)
    rest = load_held_out("digits", num_pairs=30, held_out=20, augmentation="none", standardise=False)
    by_image = {image.tobytes(): label for image, label in zip(digits.images, digits.labels, strict=True)}
    for pairs in (train, rest):
        assert [by_image[image.tobytes()] for image in pairs.x] == pairs.labels.tolist()
    assert len(rest) == 20 and not {x.tobytes() for x in train.x} & {x.tobytes() for x in rest.x}


def test_held_out_pairs_of_a_file_are_those_that_are_not_drawn(tmp_path):
    x = np.arange(20.0).reshape(10, 2)
    path = str(tmp_path / "pairs.npz")
    Pairs(x, x + 1, labels=np.arange(10)).save(path)
    train, rest = load_pairs(path, num_pairs=6), load_held_out(path, num_pairs=6, held_out=100)
    assert sorted([*train.labels, *rest.labels]) == list(range(10)) and len(rest) == 4
    assert load_pairs(path).labels.tolist() == list(range(10))
    with pytest.raises(DataError, match="none is held out"):
        load_held_out(path, num_pairs=10, held_out=1)
