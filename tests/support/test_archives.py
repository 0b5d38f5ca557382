"""Archives of arrays: what was saved comes back, and nothing in a foreign file is trusted."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import DataError
from dynamics.support import archives, files


def test_arrays_and_header_come_back(tmp_path, rng):
    arrays = {"a": rng.normal(size=(3, 2)), "b": np.arange(4), "empty": np.zeros((0, 5))}
    header = {"rung": "ode", "γ": [1.5, 2.0], "nested": {"flag": True, "none": None}}
    archives.save_npz(tmp_path / "x.npz", arrays, header)
    loaded, read_header = archives.load_npz(tmp_path / "x.npz", required=("a", "b"))
    assert read_header == header and loaded.keys() == arrays.keys()
    for name, values in arrays.items():
        np.testing.assert_array_equal(loaded[name], values)
        assert loaded[name].dtype == values.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_a_file_without_header_has_an_empty_one(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(2))
    assert archives.load_npz(tmp_path / "x.npz", required=("a",))[1] == {}


def test_missing_file_and_missing_array(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        archives.load_npz(tmp_path / "x.npz", required=())
    with pytest.raises(DataError, match="no such file"):
        archives.load_npz(tmp_path, required=())
    np.savez(tmp_path / "x.npz", a=np.ones(2))
    with pytest.raises(DataError, match=r"lacks \['b'\]"):
        archives.load_npz(tmp_path / "x.npz", required=("a", "b"))


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
    archives.save_npz(path, {"a": rng.normal(size=50)})
    damaged = DAMAGE[kind](path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"x\.npz"):
        archives.load_npz(path, required=("a",))
    assert path.read_bytes() == damaged


def test_a_npy_file_is_refused(tmp_path):
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(DataError, match="cannot be read"):
        archives.load_npz(tmp_path / "x.npz", required=("a",))


def test_pickles_are_never_loaded(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{"code": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        archives.load_npz(tmp_path / "x.npz", required=("a",))


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
    archives.save_npz(tmp_path / "a.npz", {"x": np.ones(2)}, header={"meta": meta})
    _, header = archives.load_npz(tmp_path / "a.npz", ["x"])
    kept = header["meta"]
    assert (kept["seed"], kept["rate"], kept["device"]) == (3, 0.5, 2.0) and np.isnan(kept["nan"])
    assert (kept["array"], kept["jax"], kept["folder"], kept["type"]) == ([0, 1, 2], [1.0, 1.0], "/data", "float32")
    numbers = {name: meta[name] for name in ("seed", "rate", "nan", "device", "array", "jax", "folder")}
    files.save_json(tmp_path / "a.json", numbers)
    assert json.loads((tmp_path / "a.json").read_text()) == {name: kept[name] for name in numbers} | {"nan": None}
