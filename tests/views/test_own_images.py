"""Images of a user: an .npz, a folder of files, a Hugging Face data set; and what is no image of these."""

import numpy as np
import pytest
from PIL import Image

from dynamics.errors import ConfigError, DataError
from dynamics.support import npy
from dynamics.training.class_probes import labelled_images
from dynamics.views import default_augmentation, load_images, load_pairs
from dynamics.views.datasets import check_images, kind_of, splits_of


def pixels(rng, *shape):
    return rng.integers(0, 256, size=shape, dtype=np.uint8)


def save(folder, **pictures):
    """Files by their names, with two underscores for a slash."""
    for name, picture in pictures.items():
        path = folder / f"{name.replace('__', '/')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path)
    return str(folder)


def test_a_folder_of_images_is_read_in_the_order_of_names(tmp_path, rng):
    a, b = pixels(rng, 6, 8, 3), pixels(rng, 6, 8, 3)
    (tmp_path / "notes.txt").write_text("no image")
    images = load_images(save(tmp_path, b=b, a=a))
    np.testing.assert_array_equal(images.images, (np.stack([a, b]) / 255).astype(np.float32))
    assert images.labels is None and "2 images" in images.note and "1 other files are no images" in images.note
    assert len(load_images(str(tmp_path), limit=1)) == 1


def test_folders_are_classes_that_come_by_turns(tmp_path, rng):
    a, b, c = (pixels(rng, 4, 4) for _ in range(3))
    images = load_images(save(tmp_path, cat__1=a, cat__2=b, dog__1=c))
    np.testing.assert_array_equal(images.images[..., 0], (np.stack([a, c, b]) / 255).astype(np.float32))
    assert images.labels.tolist() == [0, 1, 0] and images.shape == (4, 4, 1)


def test_folders_called_train_and_test_are_splits(tmp_path, rng):
    folder = save(
        tmp_path, train__cat__1=pixels(rng, 4, 4), test__cat__1=pixels(rng, 4, 4), test__dog__2=pixels(rng, 4, 4)
    )
    assert splits_of(folder) == ("train", "test")
    assert load_images(folder).labels.tolist() == [0]
    assert load_images(folder, split="test").labels.tolist() == [0, 1]
    with pytest.raises(DataError, match="no split `validation`; it has train, test"):
        load_images(folder, split="validation")


def test_every_kind_of_grey_and_colour_has_the_pixels_that_are_shown(tmp_path, rng):
    grey, colour = pixels(rng, 5, 5), pixels(rng, 5, 5, 3)
    palette = Image.fromarray(grey).convert("P")
    opaque = Image.fromarray(np.dstack([colour, np.full((5, 5), 255, np.uint8)]))
    found = load_images(save(tmp_path, a=colour, b=grey, c=palette, d=opaque)).images
    as_colour = np.repeat(grey[..., None], 3, axis=2)  # grey among colours
    expected = np.stack([colour, as_colour, np.asarray(palette.convert("RGB")), colour])
    np.testing.assert_array_equal(found, (expected / 255).astype(np.float32))


def test_a_photo_is_turned_as_its_camera_says(tmp_path, rng):
    picture = Image.fromarray(pixels(rng, 4, 6))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    picture.save(tmp_path / "a.png", exif=exif)
    found = load_images(str(tmp_path)).images[0, ..., 0]
    np.testing.assert_array_equal(found, np.rot90(np.asarray(picture), -1).astype(np.float32) / 255)


def test_a_size_takes_the_square_in_the_middle(tmp_path):
    left_to_right = np.tile(np.arange(12, dtype=np.uint8) * 20, (6, 1))
    folder = save(tmp_path, a=left_to_right, b=np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match=r"different sizes \(.*a.png is 12×6 pixels, .*b.png 8×8\); give `image_size`"):
        load_images(folder)
    found = load_images(folder, image_size=6).images
    np.testing.assert_allclose(found[0, ..., 0], left_to_right[:, 3:9] / 255, atol=1e-6)
    with pytest.raises(ConfigError, match="`image_size` is 0; give a whole number from 4"):
        load_images(folder, image_size=0)
    for named in ("digits", "cifar10"):
        with pytest.raises(ConfigError, match=f"images of {named} have one size"):
            load_images(named, image_size=8)


@pytest.mark.parametrize(
    ("pictures", "says"),
    [
        ({"a": Image.new("RGBA", (4, 4), (0, 0, 0, 9))}, "transparent pixels"),
        ({"a": Image.new("LA", (4, 4), (0, 9))}, "transparent pixels"),
        ({"a": Image.new("I;16", (4, 4))}, "pixels of the kind I.*8 bits"),
        ({"a": Image.new("L", (4, 4)), "cats__b": Image.new("L", (4, 4))}, r"images beside folders \(cats\)"),
        ({"cats__old__b": Image.new("L", (4, 4))}, "folder inside of the folder of a class"),
        ({}, "holds no image; give a folder"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, pictures, says):
    with pytest.raises(DataError, match=says):
        load_images(save(tmp_path, **pictures))


def test_damaged_files_and_films_are_named(tmp_path, rng):
    save(tmp_path, a=pixels(rng, 40, 40))
    whole = (tmp_path / "a.png").read_bytes()
    for content in (whole[:300], b"", b"no image at all"):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.png: cannot be read as an image"):
            load_images(str(tmp_path))
    (tmp_path / "a.png").unlink()
    frames = [Image.fromarray(pixels(rng, 4, 4)) for _ in range(3)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"film\.gif: has 3 frames"):
        load_images(str(tmp_path))


def test_what_does_not_fit_into_memory_is_refused_before_it_is_read(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(npy, "available_memory", lambda: 10_000)
    folder = save(tmp_path, **{f"p{i}": pixels(rng, 300, 300, 3) for i in range(3)})
    with pytest.raises(Exception, match=r"GB of memory are left; use fewer or smaller images"):
        load_images(folder)


@pytest.mark.parametrize("scale", [255, 1])
def test_an_npz_of_images(tmp_path, rng, scale):
    values = pixels(rng, 7, 4, 4, 3)
    images = values if scale == 255 else values / 255
    np.savez(tmp_path / "mine.npz", images=images, labels=np.array(list("abcabca")))
    path = str(tmp_path / "mine.npz")
    assert (kind_of(path), splits_of(path), default_augmentation(path)) == ("images", ("train",), "barlow-twins")
    found = load_images(path, limit=5)
    np.testing.assert_allclose(found.images, values[:5] / 255, atol=1e-7)
    assert found.labels.tolist() == [0, 1, 2, 0, 1] and found.images.dtype == np.float32
    with pytest.raises(ConfigError, match=r"images of an \.npz have one size"):
        load_images(path, image_size=8)
    with pytest.raises(ConfigError, match="`data_dir` is for data sets with a name"):
        check_images(path, tmp_path)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"images": np.full((2, 4, 4), 7.0)}, "`images`: intensities reach from 0 to 7; give values in"),
        ({"images": np.ones((2, 3, 8, 8), np.uint8)}, "channels in front"),
        ({"images": np.ones((0, 4, 4), np.uint8)}, "there is no image"),
        ({"images": np.float64(1)}, "there is no image"),
        ({"images": np.ones((2, 4, 4)), "labels": np.ones(3, int)}, r"`labels` has the shape \(3,\)"),
        ({"images": np.ones((2, 4, 4)), "labels": np.array([0.5, 1])}, "`labels` have dtype float64"),
        ({"photos": np.ones((2, 4, 4))}, r"holds \['photos'\]; save images with np.savez\(path, images=images\)"),
        ({"x": np.ones((2, 4)), "x_prime": np.ones((2, 4))}, "holds pairs of views, and images are needed"),
    ],
)
def test_an_npz_without_usable_images_says_how_to_make_one(tmp_path, arrays, says):
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(DataError, match=says):
        load_images(str(tmp_path / "mine.npz"))


def test_pairs_are_made_of_them_as_of_any_data_set(tmp_path, rng):
    np.savez(tmp_path / "mine.npz", images=pixels(rng, 6, 5, 5))
    pairs = load_pairs(str(tmp_path / "mine.npz"), augmentation="none", num_pairs=4)
    assert pairs.x.shape == (4, 5, 5, 1) and pairs.source.endswith("mine.npz train, augmentation none, seed 0")


def test_a_quarter_of_each_class_is_held_out_for_probes(tmp_path, rng):
    images, labels = pixels(rng, 16, 4, 4), np.tile([0, 1, 2, 3], 4)  # classes by turns
    np.savez(tmp_path / "mine.npz", images=images, labels=labels)
    found = labelled_images(str(tmp_path / "mine.npz"))
    assert sorted(found.test_labels) == [0, 1, 2, 3] and len(found.train) == 12
    np.savez(tmp_path / "few.npz", images=images[:8], labels=labels[:8])
    with pytest.raises(ConfigError, match="fewer than four images of each class"):
        labelled_images(str(tmp_path / "few.npz"))
    np.savez(tmp_path / "none.npz", images=images)
    with pytest.raises(ConfigError, match="no classes to probe for"):
        labelled_images(str(tmp_path / "none.npz"))


@pytest.mark.parametrize("name", ["", "imagenet", "x" * 300, "no/such/folder"])
def test_what_is_neither_a_name_nor_a_path_is_said(name):
    with pytest.raises(DataError, match=r"There is no data set .*paths: of an \.npz, of a folder of images"):
        load_images(name)


# ---------------------------------------------------------------- Hugging Face


@pytest.fixture
def hugging_face():
    return pytest.importorskip("datasets", reason="datasets is not installed, and the package does not need it")


def test_a_hugging_face_data_set_on_the_disk(tmp_path, rng, hugging_face):
    images, labels = pixels(rng, 5, 4, 4, 3), [0, 1, 0, 1, 1]
    features = hugging_face.Features(
        {"picture": hugging_face.Image(), "kind": hugging_face.ClassLabel(names=["a", "b"])}
    )
    stored = hugging_face.Dataset.from_dict(
        {"picture": [Image.fromarray(image) for image in images], "kind": labels}, features
    )
    stored.save_to_disk(tmp_path / "one")
    found = load_images(str(tmp_path / "one"), limit=4)
    np.testing.assert_array_equal(found.images, (images[:4] / 255).astype(np.float32))
    assert found.labels.tolist() == labels[:4]
    hugging_face.DatasetDict({"train": stored, "test": stored.select([4])}).save_to_disk(tmp_path / "both")
    assert splits_of(str(tmp_path / "both")) == ("test", "train")
    np.testing.assert_array_equal(load_images(str(tmp_path / "both"), split="test").images[0] * 255, images[4])
    stored.remove_columns("picture").save_to_disk(tmp_path / "none")
    with pytest.raises(DataError, match="give a data set with one column of images; it has kind"):
        load_images(str(tmp_path / "none"))
    (tmp_path / "one" / "data-00000-of-00001.arrow").write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read as a Hugging Face data set"):
        load_images(str(tmp_path / "one"))


def test_a_missing_package_is_named_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)  # as if it were not installed
    (tmp_path / "dataset_info.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"needs datasets, which is not installed; add it, .* pip install datasets"):
        check_images(str(tmp_path))
