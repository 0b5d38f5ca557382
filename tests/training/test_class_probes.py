"""Probes of a class against features of which it is known what they say."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from dynamics.cli.tables import probes_line
from dynamics.errors import ConfigError
from dynamics.recipe.config import Recipe
from dynamics.recipe.training import probe_steps
from dynamics.training import recording_steps
from dynamics.training.class_probes import BATCH, LabelledImages, class_accuracy, labelled_images
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import load_images


def test_digits_are_divided_without_overlap():
    images, every = labelled_images("digits"), load_images("digits")
    assert len(images.train) + len(images.test) == len(every) == 1797
    np.testing.assert_array_equal(images.test, every.images[3::4])
    np.testing.assert_array_equal(images.train_labels[:6], every.labels[[0, 1, 2, 4, 5, 6]])
    assert not {image.tobytes() for image in images.test[:50]} & {image.tobytes() for image in images.train}


def test_pixels_are_read_as_scikit_learn_reads_them():
    images = labelled_images("digits")
    sizes = []

    def pixels(x):
        sizes.append(len(x))
        return x.reshape(len(x), -1)

    found = class_accuracy(pixels, images)
    assert max(sizes) == BATCH and sum(sizes) == 1797
    x, y = (part.reshape(len(part), -1).astype(float) for part in (images.train, images.test))
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(x.T, bias=True))[-1])
    model = RidgeClassifier(alpha=1e-3 * len(x)).fit((x - x.mean(0)) / spread, images.train_labels)
    assert found["linear_accuracy"] == pytest.approx(
        model.score((y - x.mean(0)) / spread, images.test_labels), abs=0.003
    )
    unit, probed = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (x, y))
    cosines = probed @ unit.T
    nearest = np.argsort(-cosines, axis=1)[:, :20]
    votes = np.exp(np.take_along_axis(cosines, nearest, axis=1) / 0.07)
    by_class = [np.where(images.train_labels[nearest] == digit, votes, 0).sum(axis=1) for digit in range(10)]
    # neighbours at the same distance may be chosen differently
    assert found["knn_accuracy"] == pytest.approx((np.argmax(by_class, axis=0) == images.test_labels).mean(), abs=0.003)


def test_features_that_tell_nothing_are_at_chance_and_collapsed_ones_nan():
    images = LabelledImages(
        np.zeros((600, 2, 2, 1)), np.arange(600) % 10, np.zeros((300, 2, 2, 1)), np.arange(300) % 10
    )
    rng = np.random.default_rng(0)
    noise = class_accuracy(lambda x: rng.normal(size=(len(x), 4)), images)
    # a tenth of 300, with a standard error of 0.017
    assert all(abs(value - 0.1) < 6 * 0.017 for value in noise.values())
    assert np.isnan(list(class_accuracy(lambda x: np.ones((len(x), 4)), images).values())).all()


@pytest.mark.parametrize(("probes", "expected"), [(1, {100}), (2, {0, 100}), (3, {0, 50, 100})])
def test_steps(probes, expected):
    assert probe_steps(Recipe(steps=100, probes=probes), recording_steps(100, 10)) == expected


def test_probes_that_found_nothing_say_nothing():
    accuracy = {f"{kind}_accuracy": np.full(3, np.nan) for kind in ("linear", "knn")}
    assert probes_line(Trajectory(np.arange(3.0), np.zeros((3, 2)), np.zeros(3), metrics=accuracy)) == ""


def test_a_negative_number_is_refused():
    with pytest.raises(ConfigError, match="`probes` is -1"):
        Recipe(probes=-1)
