"""Archives of arrays: what was saved comes back, and nothing in a foreign file is trusted."""

import io
import json
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import CapacityError, DataError
from dynamics.support import archives, files
from dynamics.support import npy as npy_reader


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


HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }"
HEADERS = {
    "code": "{'descr': '<f8', 'fortran_order': False, 'shape': (__import__('os').getpid(),), }",
    "objects": HEADER.replace("<f8", "|O"),
    "records": "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,), }",
    "no type": HEADER.replace("<f8", "<f3"),
    "a negative size": HEADER.replace("(3,)", "(-3,)"),
    "more than there is": HEADER.replace("(3,)", "(999999999999,)"),
    "more than there can be": HEADER.replace("(3,)", "(9999999999, 9999999999, 0)"),
    "many axes": HEADER.replace("(3,)", f"({'1,' * 70})"),
    "a key twice": HEADER.replace("'shape'", "'descr': '<f4', 'shape'"),
    "a key missing": "{'descr': '<f8', 'shape': (3,), }",
    "another key": HEADER.replace("'shape'", "'more': 1, 'shape'"),
    "unbalanced": HEADER.replace("}", ""),
    "nested": "(" * 5000,
    "no text": "\xff\xfe\x00",
}


def npy(header, content=bytes(24)):
    text = header.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_that_is_not_trusted_is_matched_and_never_evaluated(kind):
    content = npy(HEADERS[kind])
    with pytest.raises(DataError, match="header"):
        npy_reader.read_npy(io.BytesIO(content), len(content))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(3.5),
        np.zeros((0, 4), np.float32),
        np.array(["γ", "ab"]),
        np.array([True, False]),
        np.arange(3, dtype=">i2"),
        np.array([1 + 2j]),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_arrays_are_read_as_numpy_reads_them(array):
    stream = io.BytesIO()
    np.save(stream, array)
    size = stream.tell()
    read = npy_reader.read_npy(io.BytesIO(stream.getvalue()), size)
    assert read.dtype == array.dtype and read.shape == array.shape
    np.testing.assert_array_equal(read, np.load(io.BytesIO(stream.getvalue())))


def test_headers_of_other_writers_are_read():
    """Keys in another order, other quotes, no comma at the end."""
    content = npy('{"shape":(3, 1),"fortran_order":True,"descr":"<f8"}')
    assert npy_reader.read_npy(io.BytesIO(content), len(content)).shape == (3, 1)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_chosen_rows_are_those_of_the_array(save, order, tmp_path, rng):
    array = np.array(rng.normal(size=(50, 3, 2)), order=order)
    save(tmp_path / "x.npz", a=array)
    rows = rng.permutation(50)[:7]
    with archives.open_npz(tmp_path / "x.npz") as archive:
        assert archive.shape("a") == (50, 3, 2)
        np.testing.assert_array_equal(archive.read("a", rows), array[rows])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_few_rows_of_a_large_file_take_little_memory(save, tmp_path):
    save(tmp_path / "x.npz", a=np.zeros((2**14, 2**8)))  # 32 MiB
    tracemalloc.start()
    with archives.open_npz(tmp_path / "x.npz") as archive:
        archive.read("a", np.array([5, 16_000]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 2**20


def test_what_is_announced_and_not_there_takes_no_memory(tmp_path):
    """An archive whose directory and header agree on 8 GiB that it does not hold."""
    header = npy(HEADER.replace("(3,)", f"({2**30},)"), b"")
    packed = zlib.compressobj(wbits=-15)
    content = packed.compress(header + bytes(100)) + packed.flush()
    size = len(header) + 2**33
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header + bytes(100))
    raw = (tmp_path / "x.npz").read_bytes()
    assert content in raw
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = raw.index(signature) + offset
        raw = raw[:at] + struct.pack("<I", size & 0xFFFFFFFF) + raw[at + 4 :]
    (tmp_path / "x.npz").write_bytes(raw)
    tracemalloc.start()
    with pytest.raises((DataError, CapacityError), match=r"x\.npz"):
        archives.load_npz(tmp_path / "x.npz", required=("a",))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_an_array_beyond_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(npy_reader, "available_memory", lambda: 2**20)
    np.savez(tmp_path / "x.npz", a=np.zeros(2**18))
    with pytest.raises(CapacityError, match=r"x\.npz: `a`: .*GB of memory are left|x\.npz: it announces"):
        archives.load_npz(tmp_path / "x.npz", required=("a",))


def test_a_block_behind_a_fitting_checksum_that_is_no_array_is_refused(tmp_path):
    for content in (b"", b"\x93NUMPY", npy(HEADERS["code"]), npy(HEADER)[:-1], npy(HEADER) + b"x"):
        files.save_bytes(tmp_path / "block", content)
        with pytest.raises(DataError, match="block: cannot be read"):
            files.load_array(tmp_path / "block")
