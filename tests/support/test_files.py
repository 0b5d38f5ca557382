"""Files are whole or absent, and a file that is not ours is refused by name."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from dynamics.errors import ConfigError, DataError
from dynamics.support import archives, files


def only_file(folder):
    return [path.name for path in folder.iterdir()]


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    archives.save_npz(path, {"a": np.ones(2)})
    before = path.read_bytes()

    def half_written(file, array, **settings):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np.lib.format, "write_array", half_written)
    with pytest.raises(ConfigError, match=r"x\.npz cannot be written .*disk full"):
        archives.save_npz(path, {"a": np.zeros(2)})
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


@pytest.mark.parametrize("place", [".", "", "folder", "/", "/dev/full", "x" * 300, "x/" * 2100 + "x", "a\0b", "\ud800"])
def test_a_file_is_not_put_where_none_can_be(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for put in (files.output_file, lambda path: files.save_text(path, "text")):
        with pytest.raises(ConfigError):
            put(place)
    assert only_file(tmp_path) == ["folder"]


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.output_folder("~/results") == tmp_path / "results" and (tmp_path / "results").is_dir()
    assert files.expanded("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
