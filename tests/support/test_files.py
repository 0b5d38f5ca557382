"""Files are whole or absent, and a file that is not ours is refused by name."""

import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError, DataError
from dynamics.support import files


def only_file(folder):
    return [path.name for path in folder.iterdir()]


def test_arrays_and_header_come_back(tmp_path, rng):
    arrays = {"a": rng.normal(size=(3, 2)), "b": np.arange(4), "empty": np.zeros((0, 5))}
    header = {"rung": "ode", "γ": [1.5, 2.0], "nested": {"flag": True, "none": None}}
    files.save_npz(tmp_path / "x.npz", arrays, header)
    loaded, read_header = files.load_npz(tmp_path / "x.npz", required=("a", "b"))
    assert read_header == header and loaded.keys() == arrays.keys()
    for name, values in arrays.items():
        np.testing.assert_array_equal(loaded[name], values)
        assert loaded[name].dtype == values.dtype
    assert only_file(tmp_path) == ["x.npz"]


def test_a_file_without_header_has_an_empty_one(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(2))
    assert files.load_npz(tmp_path / "x.npz", required=("a",))[1] == {}


def test_missing_file_and_missing_array(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        files.load_npz(tmp_path / "x.npz", required=())
    with pytest.raises(DataError, match="no such file"):
        files.load_npz(tmp_path, required=())
    np.savez(tmp_path / "x.npz", a=np.ones(2))
    with pytest.raises(DataError, match=r"lacks \['b'\]"):
        files.load_npz(tmp_path / "x.npz", required=("a", "b"))


DAMAGE = {
    "empty": lambda whole: b"",
    "truncated": lambda whole: whole[: len(whole) // 2],
    "no archive": lambda whole: b"times, loss\n0, 1\n",
    "flipped bits": lambda whole: whole[:60] + bytes(255 - byte for byte in whole[60:160]) + whole[160:],
    "single array": lambda whole: b"\x93NUMPY garbage",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_files_are_refused_and_left_alone(tmp_path, rng, kind):
    path = tmp_path / "x.npz"
    files.save_npz(path, {"a": rng.normal(size=50)})
    damaged = DAMAGE[kind](path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"x\.npz"):
        files.load_npz(path, required=("a",))
    assert path.read_bytes() == damaged


def test_a_npy_file_is_refused(tmp_path):
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(DataError, match="cannot be read"):
        files.load_npz(tmp_path / "x.npz", required=("a",))


def test_pickles_are_never_loaded(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{"code": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        files.load_npz(tmp_path / "x.npz", required=("a",))


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    files.save_npz(path, {"a": np.ones(2)})
    before = path.read_bytes()

    def half_written(file, array, **settings):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np.lib.format, "write_array", half_written)
    with pytest.raises(OSError, match="disk full"):
        files.save_npz(path, {"a": np.zeros(2)})
    assert path.read_bytes() == before
    assert only_file(tmp_path) == ["x.npz"]


def test_an_interrupted_replacement_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    files.save_json(path, [1])

    def interrupted(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.save_json(path, [2])
    assert json.loads(path.read_text()) == [1]
    assert only_file(tmp_path) == ["x.json"]


def test_json_says_what_json_can_say(tmp_path):
    content = {
        "array": np.array([1.0, np.nan, np.inf]),
        "scalar": np.float32(0.5),
        "count": np.int64(3),
        "tuple": (1, None, True),
        "path": tmp_path,
        3: "γ",
    }
    files.save_json(tmp_path / "x.json", content)
    expected = {
        "array": [1.0, None, None],
        "scalar": 0.5,
        "count": 3,
        "tuple": [1, None, True],
        "path": str(tmp_path),
        "3": "γ",
    }
    assert json.loads((tmp_path / "x.json").read_text()) == expected


def test_json_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        files.save_json(tmp_path / "x.json", {"f": object()})
    assert only_file(tmp_path) == []


def test_files_are_as_readable_as_any_other(tmp_path):
    """The temporary file of an atomic write is private; the result should not be."""
    (tmp_path / "plain").write_text("")
    files.save_json(tmp_path / "x.json", 1)
    assert (tmp_path / "x.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_output_folder_is_made_or_refused(tmp_path):
    assert files.output_folder(tmp_path / "a" / "b").is_dir()
    assert files.output_folder(str(tmp_path / "a")) == tmp_path / "a"
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="choose another"):
            files.output_folder(path)
    assert only_file(tmp_path / "a") == ["b"]


def test_an_array_keeps_its_bits_and_damage_is_found(tmp_path, rng):
    array = rng.normal(size=(5, 3)).astype(np.float32)
    files.save_array(tmp_path / "a", array[:, ::2])
    loaded = files.load_array(tmp_path / "a")
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, array[:, ::2])
    whole = (tmp_path / "a").read_bytes()
    for damaged in (whole[:-1], whole + b"x", whole[:-1] + bytes([whole[-1] ^ 4]), b""):
        (tmp_path / "a").write_bytes(damaged)
        with pytest.raises(DataError, match="does not match its checksum"):
            files.load_array(tmp_path / "a")
    with pytest.raises(DataError, match="No such file"):
        files.load_array(tmp_path / "none")


def test_whatever_is_in_meta_can_be_saved_after_training(tmp_path):
    meta = {
        "seed": np.int64(3),
        "rate": np.float32(0.5),
        "nan": np.float64("nan"),
        "device": jnp.float32(2.0),
        "array": np.arange(3),
        "jax": jnp.ones(2),
        "folder": Path("/data"),
        "type": np.dtype("float32"),
        "key": jax.random.key(0),
        ("a", "tuple"): {1, 2},
    }
    files.save_npz(tmp_path / "a.npz", {"x": np.ones(2)}, header={"meta": meta})
    _, header = files.load_npz(tmp_path / "a.npz", ["x"])
    kept = header["meta"]
    assert (kept["seed"], kept["rate"], kept["device"]) == (3, 0.5, 2.0) and np.isnan(kept["nan"])
    assert (kept["array"], kept["jax"], kept["folder"], kept["type"]) == ([0, 1, 2], [1.0, 1.0], "/data", "float32")
    numbers = {name: meta[name] for name in ("seed", "rate", "nan", "device", "array", "jax", "folder")}
    files.save_json(tmp_path / "a.json", numbers)
    assert json.loads((tmp_path / "a.json").read_text()) == {name: kept[name] for name in numbers} | {"nan": None}
