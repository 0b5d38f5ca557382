import numpy as np
import pytest

from dynamics.errors import DataError
from dynamics.views import Pairs, load_pairs
from dynamics.views.sampling import check_dataset


@pytest.fixture
def pairs(rng):
    x = rng.normal(2.0, 3.0, size=(6, 4, 4, 3))
    return Pairs(x, x + rng.normal(size=x.shape), "toy")


def test_stacked_lists_the_first_views_then_their_partners(pairs):
    assert len(pairs) == 6 and pairs.input_shape == (4, 4, 3)
    np.testing.assert_array_equal(pairs.stacked[2], pairs.x[2])
    np.testing.assert_array_equal(pairs.stacked[6 + 2], pairs.x_prime[2])


def test_standardised_images_have_mean_0_and_variance_1_in_every_channel(pairs):
    stacked = pairs.standardised().stacked
    np.testing.assert_allclose(stacked.mean(axis=(0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(stacked.var(axis=(0, 1, 2)), 1, rtol=1e-12)


def test_standardised_vectors_keep_their_relative_variances(rng):
    x = rng.normal(size=(500, 2)) * [1.0, 5.0] + 7
    stacked = Pairs(x, x).standardised().stacked
    np.testing.assert_allclose(stacked.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(stacked.std(axis=0)[1] / stacked.std(axis=0)[0], x.std(axis=0)[1] / x.std(axis=0)[0])


def test_integers_stay_tokens_and_precision_is_kept():
    tokens = np.array([[2**24 + 1, 0], [2**24, 1]])  # one number in float32
    kept = Pairs(tokens, tokens[:, ::-1])
    assert kept.x.dtype == tokens.dtype and (kept.x == tokens).all()
    assert kept.standardised().x.dtype == np.float32
    assert Pairs(np.eye(3), np.eye(3)).standardised().x.dtype == np.float64


def test_saving_and_loading_gives_the_same_pairs(pairs, tmp_path):
    pairs.save(tmp_path / "p.npz")
    loaded = Pairs.load(tmp_path / "p.npz")
    np.testing.assert_array_equal(loaded.stacked, pairs.stacked)
    assert loaded.source.endswith("p.npz")


@pytest.mark.parametrize(
    ("x", "x_prime", "says"),
    [
        (np.eye(3), np.eye(4), "shape"),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), np.eye(2), "first: row 0"),
        (np.eye(2), np.array([[1.0, 0.0], [0.0, np.inf]]), "first: row 1"),
        (np.ones((3, 2)), np.ones((3, 2)), "identical"),
        (np.ones(3), np.ones(3), "n ≥ 1"),
        (np.ones((0, 2)), np.ones((0, 2)), "n ≥ 1"),
        (np.array([["a"]]), np.array([["b"]]), "real numbers"),
    ],
)
def test_unusable_views_are_an_error_that_says_why(x, x_prime, says):
    with pytest.raises(DataError, match=says):
        Pairs(x, x_prime)


def test_constant_channels_alone_cannot_be_standardised():
    x = np.broadcast_to(np.array([1.0, 2.0, 3.0]), (4, 5, 5, 3))
    with pytest.raises(DataError, match=r"constant|identical"):
        Pairs(x, x).standardised()


def test_unreadable_files_are_an_error_that_names_them(tmp_path, pairs):
    with pytest.raises(DataError, match="no such file"):
        Pairs.load(tmp_path / "absent.npz")
    np.savez(tmp_path / "half.npz", x=pairs.x)
    with pytest.raises(DataError, match=r"half.npz.*lacks.*x_prime"):
        Pairs.load(tmp_path / "half.npz")
    pairs.save(tmp_path / "cut.npz")
    content = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut.npz: cannot be read"):
        Pairs.load(tmp_path / "cut.npz")


@pytest.mark.parametrize("name", ["pp", "pp.npz", "pp.data"])
def test_pairs_are_found_where_they_were_saved(pairs, tmp_path, name):
    pairs.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    np.testing.assert_array_equal(Pairs.load(tmp_path / name).stacked, pairs.stacked)


def test_a_row_that_is_not_finite_is_named_as_in_the_file(pairs, tmp_path):
    x = pairs.x.copy()
    x[4, 0, 0, 0] = np.nan
    np.savez(tmp_path / "p.npz", x=x, x_prime=pairs.x_prime)
    with pytest.raises(DataError, match="first: row 4"):
        Pairs.load(tmp_path / "p.npz", choose=lambda available: np.array([5, 4, 0]))


@pytest.mark.parametrize("name", ["p.NPZ", "p.npz"])
def test_home_folder_and_capital_letters_in_a_name(name, pairs, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    pairs.save(tmp_path / name)
    loaded = load_pairs(f"~/{name}", num_pairs=3, standardise=False)
    assert len(loaded) == 3 and all(row in pairs.x for row in loaded.x)


@pytest.mark.parametrize("dataset", ["nope.npz", "nope", "x" * 300, "x" * 300 + ".npz", "text.npz", "folder.npz"])
def test_a_data_set_that_is_not_there_is_found_missing_before_anything_is_loaded(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(DataError):
        check_dataset(dataset)


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "labels", [np.arange(4), np.array(["a", "b", "a", "c"]), np.linspace(0, 1, 4), np.zeros((4, 2))], ids=str
)
def test_labels_travel_with_their_pairs(tmp_path, labels):
    x = np.arange(12.0).reshape(4, 3)
    pairs = Pairs(x, x + 1, labels=labels)
    pairs.save(tmp_path / "pairs.npz")
    for same in (Pairs.load(tmp_path / "pairs.npz"), pairs.standardised(), pairs.rows(slice(None))):
        np.testing.assert_array_equal(same.labels, labels)
    np.testing.assert_array_equal(pairs.rows(np.array([2, 0])).labels, labels[[2, 0]])
    np.testing.assert_array_equal(pairs.stacked_labels[4:], labels)
    assert Pairs(x, x + 1).stacked_labels is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(3), "shape"),
        (np.zeros((4, 2), int), "shape"),
        (np.zeros((4, 0)), "shape"),
        (np.array([1, "a", None, 2], object), "dtype"),
        (np.zeros(4, complex), "dtype"),
        (np.array([0.0, 1.0, np.nan, 2.0]), "NaN"),
    ],
)
def test_labels_are_one_class_or_finite_targets_for_each_pair(labels, message):
    x = np.arange(12.0).reshape(4, 3)
    with pytest.raises(DataError, match=message):
        Pairs(x, x + 1, labels=labels)


def test_held_out_pairs_are_standardised_like_the_training_pairs():
    rng = np.random.default_rng(0)
    train, rest = (Pairs(3 + 2 * rng.normal(size=(50, 3)), 3 + 2 * rng.normal(size=(50, 3))) for _ in range(2))
    mean, scale = train.stacked.mean(0), (train.stacked - train.stacked.mean(0)).std()
    np.testing.assert_allclose(rest.standardised(like=train).x, (rest.x - mean) / scale, rtol=1e-10)
