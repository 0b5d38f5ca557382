"""Rankings: forecasts against eigenvectors and probes computed by hand, the order, and what a folder keeps."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from pictures import assert_shows_something
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

from dynamics.errors import ConfigError, DataError
from dynamics.experiment import Config, prepare
from dynamics.ranking import AugmentationForecast, Contender, Ranking, rank_augmentations, ranking_figure, read_ranking
from dynamics.ranking import rank as ranking_module
from dynamics.ranking.contender import contenders, require_same_shape
from dynamics.support.files import save_figure
from dynamics.views import Images, get_augmentation, load_images

# From so small a start nothing but the two strongest modes is learned (γ₃/γ₂ < 0.8), and both to their ends.
SMALL = Config(num_pairs=30, dim=2, network="mlp", width=32, depth=1, lr_fraction=0.3, init_scale=1e-12)
HELD_OUT = 200


@pytest.fixture(scope="module")
def contender():
    """Noisy digits, and the digits themselves."""
    digits = load_images("digits")
    (found,) = contenders(digits, {"noise:.3": get_augmentation("noise:.3", (8, 8, 1))}, SMALL, held_out=HELD_OUT)
    return found


def by_hand(contender):
    """γ, and the learned functions on all images, from an eigenproblem of the features (NumPy)."""
    random, pairs = contender.experiment.random, contender.experiment.pairs
    h, on_images = (random.features(x) / 32**0.5 for x in (pairs.stacked, contender.images))
    h, on_images = h - h.mean(axis=0), on_images - h.mean(axis=0)
    partners = np.roll(h, len(pairs), axis=0)
    gamma, W = np.linalg.eigh(h.T @ partners / len(h))
    return gamma[::-1][:2], on_images @ (W[:, ::-1][:, :2] / gamma[::-1][:2] ** 0.5)


def test_the_forecast_is_what_probes_read_from_the_leading_eigenvectors(contender):
    """One of 200 images may lie on the other side of a boundary."""
    forecast, (gamma, F) = contender.forecast(), by_hand(contender)
    np.testing.assert_allclose(forecast.eigenvalues, gamma, rtol=1e-5)
    (train, test), (labels, classes) = np.split(F, [30]), np.split(contender.labels, [30])
    scale = np.linalg.svd(train - train.mean(axis=0), compute_uv=False)[0] / 30**0.5
    linear = RidgeClassifier(alpha=1e-3 * 30).fit((train - train.mean(axis=0)) / scale, labels)
    expected = linear.score((test - train.mean(axis=0)) / scale, classes)
    assert len(forecast.linear) == 2
    np.testing.assert_allclose(forecast.linear[-1], expected, atol=1.5 / HELD_OUT)
    votes = {"metric": "cosine", "weights": lambda distance: np.exp(-distance / 0.07)}
    nearest = KNeighborsClassifier(20, **votes).fit(train, labels)
    np.testing.assert_allclose(forecast.knn[-1], nearest.score(test, classes), atol=1.5 / HELD_OUT)
    assert forecast.chance == np.bincount(classes).max() / HELD_OUT


def test_where_no_step_is_reached_nothing_can_be_read(contender):
    (early,) = contenders(
        load_images("digits"),
        {"noise:.3": get_augmentation("noise:.3", (8, 8, 1))},
        replace(SMALL, steps=2),
        held_out=HELD_OUT,
    )
    forecast = early.forecast()
    assert forecast.linear == forecast.knn == [] and len(forecast.eigenvalues) == 2


def test_it_is_the_experiment_that_the_other_commands_make(contender):
    alone = prepare(Config(**vars(SMALL) | {"augmentation": "noise:.3"}))
    np.testing.assert_array_equal(contender.experiment.pairs.x, alone.pairs.x)
    forecast = contender.forecast()
    np.testing.assert_allclose(forecast.steps, alone.mode_step_times / alone.schedule.learning_rate)
    assert "noise:.3" in contender.experiment.pairs.source


def test_probes_read_the_images_themselves(contender):
    """Pixels of the images, of which no two are training view and image, are those of the data set up to one scale."""
    digits = load_images("digits").images.reshape(1797, 64)
    images = contender.images.reshape(len(contender.images), 64)
    distance = np.linalg.norm(digits - digits.mean(), axis=1)
    unit = (images - images.mean(axis=1, keepdims=True)) / np.linalg.norm(images, axis=1, keepdims=True)
    assert len(images) == 230 and distance.min() > 0 and len(np.unique(unit.round(6), axis=0)) == 230
    known = np.ptp(images[0]) / np.ptp(digits, axis=1)
    shifted = images[0] - images[0].min() - known[:, None] * (digits - digits.min(axis=1, keepdims=True))
    assert np.abs(shifted).max(axis=1).min() < 1e-5


def test_a_network_is_read_by_the_same_probes(contender):
    start = contender.experiment.network.params
    scores = contender.scores(start)
    F = contender.experiment.network.initial_embeddings(contender.images)
    views = contender.experiment.network.initial_embeddings(contender.experiment.pairs.stacked)
    expected = contender.probe.scores(*np.split(F - views.mean(axis=0), [30]))
    assert scores.keys() == expected.keys()
    np.testing.assert_allclose(list(scores.values()), list(expected.values()), atol=1.5 / HELD_OUT)


def forecast_of(name, seed=0, linear=(0.2, 0.5), knn=(0.3, 0.4), steps=(10.0, 30.0)):
    return AugmentationForecast(name, seed, [2.0, 1.0], list(steps), list(linear), list(knn), 0.1)


def test_the_order_is_that_of_the_linear_probe_and_means_are_over_seeds():
    worse = [forecast_of("flip", seed, linear=(0.6, last)) for seed, last in enumerate((0.3, 0.4))]
    better = [forecast_of("crop", seed, linear=(0.1, last)) for seed, last in enumerate((0.3, 0.5))]
    dead = forecast_of("dead", linear=(), knn=(), steps=(None, None))
    ranking = Ranking("digits", [*worse, dead, *better])
    assert [row["augmentation"] for row in ranking.rows] == ["crop", "flip", "dead"]
    crop, _, last = ranking.rows
    assert crop["linear_accuracy"] == pytest.approx(0.4) and crop["linear_range"] == pytest.approx(0.2)
    assert last["learned"] == 0 and last["steps"] == [np.inf, np.inf]
    assert repr(ranking) == "<Ranking: 3 augmentations of digits; best is crop, linear 40.0%, last dead, nan%>"
    table = ranking.to_pandas()
    assert table.columns[-4:].tolist() == ["gamma_1", "gamma_2", "step_1", "step_2"]
    assert table["augmentation"].tolist() == ["crop", "flip", "dead"] and table["seeds"].tolist() == [2, 2, 1]


def test_the_figure_has_every_number(tmp_path):
    ranking = Ranking("digits", [forecast_of("crop"), forecast_of("a" * 60, steps=(5.0, None), linear=(0.1,))])
    figure = ranking_figure(ranking)
    assert [text.get_text()[:4] for text in figure.axes[0].get_yticklabels()] == ["crop", "aaaa"]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xdata(), [0.5, 0.1])
    np.testing.assert_allclose(figure.axes[2].lines[1].get_xdata(), [30, np.nan])
    save_figure(figure, tmp_path / "ranking")
    assert_shows_something(tmp_path / "ranking.png")


@pytest.fixture
def counted(monkeypatch):
    """Contenders that cost nothing, and what was forecast of them."""
    made = []

    class Cheap(Contender):
        def __init__(self, name, seed):
            object.__setattr__(self, "point", (name, seed))

        def forecast(self):
            if self.point[0] == "blur" and "blur" not in [name for name, _ in made]:
                made.append(self.point)
                raise KeyboardInterrupt
            made.append(self.point)
            return forecast_of(*self.point)

    def cheap(images, augmentations, config, *, held_out):
        yield from (Cheap(name, config.seed) for name in augmentations)

    monkeypatch.setattr(ranking_module, "contenders", cheap)
    return made


def test_a_ranking_that_was_stopped_goes_on_and_grows(counted, tmp_path):
    left = []
    with pytest.raises(KeyboardInterrupt):
        rank_augmentations(["none", "blur"], SMALL, seeds=[0, 1], out=tmp_path)
    assert counted == [("none", 0), ("blur", 0)]
    assert [f.augmentation for f in read_ranking(tmp_path).forecasts] == ["none"]
    report = {"report": lambda forecast, count, seconds: left.append((forecast.augmentation, count, seconds >= 0))}
    ranking = rank_augmentations(["none", "blur"], SMALL, seeds=[0, 1], out=tmp_path, **report)
    assert counted[2:] == [("blur", 0), ("none", 1), ("blur", 1)]
    assert left == [("blur", 2, True), ("none", 1, True), ("blur", 0, True)]
    assert len(ranking.forecasts) == 4
    del counted[:]
    more = rank_augmentations(["none", "flip"], SMALL, out=tmp_path)
    assert counted == [("flip", 0)] and [row["augmentation"] for row in more.rows] == ["none", "flip"]
    assert len(read_ranking(tmp_path).forecasts) == 5  # nothing that was there is lost


def test_a_folder_keeps_one_kind_of_ranking(counted, tmp_path):
    rank_augmentations(["none"], SMALL, out=tmp_path)
    with pytest.raises(ConfigError, match="other settings"):
        rank_augmentations(["none"], Config(**vars(SMALL) | {"dim": 3}), out=tmp_path)
    with pytest.raises(ConfigError, match="other settings"):
        rank_augmentations(["none"], SMALL, held_out=7, out=tmp_path)
    path = tmp_path / "ranking.json"
    content = json.loads(path.read_text())
    for field, value in (("linear", "high"), ("steps", [1.0]), ("eigenvalues", [])):
        damaged = {**content, "forecasts": [{**content["forecasts"][0], field: value}]}
        path.write_text(json.dumps(damaged))
        with pytest.raises(DataError, match=r"ranking\.json: is not what dynamics wrote"):
            read_ranking(tmp_path)
    path.write_text(json.dumps({**content, "forecasts": []}))
    with pytest.raises(DataError, match="forecasts"):
        read_ranking(tmp_path)
    with pytest.raises(DataError, match="holds no ranking"):
        read_ranking(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("augmentations", "how", "complaint"),
    [
        ([], {}, "nothing to rank"),
        ("flip", {}, "nothing to rank"),
        (["flip", "flip"], {}, "each of them once"),
        (["flip", "nose"], {}, "no augmentation `nose`"),
        (["flip"], {"seeds": []}, "seeds"),
        (["flip"], {"held_out": 0}, "`held_out` is 0"),
        (["flip"], {"config": {"augmentation": "none"}}, "leave `augmentation`"),
        (["flip"], {"config": {"init": "all"}}, "No kernel predicts"),
        (["flip"], {"images": Images(np.zeros((2, 4, 4, 1), "float32")), "out": "runs"}, "not images in memory"),
        ({"mine": lambda key, image: image}, {"out": "runs"}, "not functions"),
    ],
)
def test_what_cannot_be_ranked_is_said_before_anything_is_loaded(augmentations, how, complaint, monkeypatch):
    monkeypatch.setattr(ranking_module, "load_images", lambda *_: pytest.fail("something was loaded"))
    config = Config(**vars(SMALL) | how.pop("config", {}))
    with pytest.raises(ConfigError, match=complaint):
        rank_augmentations(augmentations, config, **how)


def test_a_data_set_without_images_is_refused():
    with pytest.raises(DataError, match="images are needed here"):
        rank_augmentations(["flip"], Config(**vars(SMALL) | {"dataset": "synthetic"}))


def test_images_need_labels_and_enough_of_them_and_keep_their_shape(rng):
    images = rng.random((40, 8, 8, 1)).astype("float32")
    with pytest.raises(DataError, match="no labels"):
        rank_augmentations(["flip"], SMALL, images=Images(images))
    with pytest.raises(DataError, match="none is left"):
        rank_augmentations(["flip"], SMALL, images=Images(images[:30], np.arange(30) % 3))
    with pytest.raises(DataError, match=r"`halves` makes views of shape \(4, 8, 1\)"):
        require_same_shape("halves", lambda key, image: image[:4], (8, 8, 1))


@pytest.mark.slow
def test_pairs_that_share_nothing_come_last():
    """Views that are noise alone leave nothing to read, and the identity leaves everything."""
    noise = {"noise": lambda key, image: jax.random.normal(key, image.shape), "same": lambda key, image: image}
    ranking = rank_augmentations(noise, SMALL, held_out=HELD_OUT)
    assert [row["augmentation"] for row in ranking.rows] == ["same", "noise"]
