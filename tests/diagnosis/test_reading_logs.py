"""One run written in every way that people write it reads as one log."""

import csv
import json

import numpy as np
import pytest

from dynamics.diagnosis import diagnose, read_log
from dynamics.errors import ConfigError, DataError
from dynamics.trajectories.trajectory import Trajectory

STEPS = np.arange(0, 500, 25)
COVARIANCE = np.stack([np.ones(20), 1e-4 * np.exp(0.01 * STEPS), np.full(20, 1e-6)], axis=1)
LOSS = np.linspace(3, 2, 20)


def rows(eigenvalues):
    for step, spectrum, loss in zip(STEPS.tolist(), COVARIANCE.tolist(), LOSS.tolist(), strict=True):
        yield {"step": step, "train/loss": loss} | eigenvalues(spectrum)


def numbered(spectrum):
    return {f"probe/eigenvalue_{k}": value for k, value in enumerate(spectrum, start=1)}


def write_csv(path):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "train/loss", *numbered(COVARIANCE[0])])
        writer.writeheader()
        for row in rows(numbered):
            writer.writerow(row)
            writer.writerow({"step": row["step"] + 5, "train/loss": row["train/loss"]})  # losses come more often


def write_lines(path):
    path.write_text("\n".join(json.dumps(row) for row in rows(lambda spectrum: {"covariance": spectrum[::-1]})))


def write_list(path):
    path.write_text(json.dumps(list(rows(numbered))))


def write_parquet(path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(list(rows(numbered))), path)


def write_trajectory(path):
    Trajectory(STEPS / 10, COVARIANCE / 2, LOSS, COVARIANCE, steps=STEPS, objective="vicreg").save(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("log.csv", write_csv),
        ("log.jsonl", write_lines),
        ("log.json", write_list),
        ("log.parquet", write_parquet),
        ("log.npz", write_trajectory),
    ],
)
def test_every_kind_of_file(tmp_path, name, write):
    write(tmp_path / name)
    log = read_log(tmp_path / name)
    np.testing.assert_array_equal(log.steps, STEPS)
    np.testing.assert_allclose(log.covariance, COVARIANCE)
    np.testing.assert_allclose(log.loss, LOSS)
    assert diagnose(log).growing == 2


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard reads its own files, and is not installed")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path))
    for row in rows(numbered):
        step = row.pop("step")
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in row.items()]
        writer.add_event(Event(step=step, wall_time=0.0, summary=Summary(value=values)))
    writer.close()
    log = read_log(tmp_path)
    np.testing.assert_array_equal(log.steps, STEPS)
    np.testing.assert_allclose(log.covariance, COVARIANCE, rtol=1e-6)


@pytest.mark.parametrize("rung", ["network", "recipe"])
def test_folders_of_runs(tmp_path, rung):
    (tmp_path / "trajectories").mkdir()
    write_trajectory(tmp_path / "trajectories" / f"{rung}.npz")
    np.testing.assert_array_equal(read_log(tmp_path).steps, STEPS)


def test_dumps_of_embeddings(tmp_path):
    """Orthogonal columns of known length have a known covariance."""
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 3)) - 0.0)[0]
    Q = np.linalg.qr(Q - Q.mean(axis=0))[0]
    for step, spectrum in zip(STEPS, COVARIANCE, strict=True):
        np.save(tmp_path / f"embeddings_{step:05d}.npy", Q * np.sqrt(40 * spectrum) + 7.0)
    log = read_log(tmp_path)
    np.testing.assert_array_equal(log.steps, STEPS)
    np.testing.assert_allclose(log.covariance, -np.sort(-COVARIANCE), rtol=1e-7, atol=1e-12)


def test_what_eigenvalues_are_is_asked_or_read(tmp_path):
    write_csv(tmp_path / "log.csv")
    assert read_log(tmp_path / "log.csv", eigenvalues="correlation").covariance is None
    write_lines(tmp_path / "log.jsonl")
    assert read_log(tmp_path / "log.jsonl", eigenvalues="correlation").correlation is None  # the column says it


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "epoch,loss\n1,2\n", "must be called step"),
        ("b.csv", "step,accuracy\n1,2\n", "neither losses nor eigenvalues"),
        ("c.csv", "step,loss\n1,two\n", "no number"),
        ("d.jsonl", '{"step": 1, "loss": 2}\n{"step"', "JSON object a line"),
        ("e.jsonl", '{"step": 0, "covariance": [1, 2]}\n{"step": 1, "covariance": [1]}', "different numbers"),
        ("f.csv", "step,loss\n,\n", "no row"),
        ("g.txt", "step", "no kind of log"),
        ("h.csv", "step,eigenvalues\n1,[1 2\n", "no list"),
        ("k.csv", f"step,loss\n{'9' * 31},1\n", "no number of updates"),
        ("l.csv", "step,loss\nnan,1\n", "no number of updates"),
        ("i.jsonl", '{"step": 1, "covariance": 3}', "no list"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_log(tmp_path / name)


def test_missing_files_and_empty_folders(tmp_path):
    for name in ("nothing.csv", "x" * 300, "nul\0.csv"):
        with pytest.raises(DataError, match="no such file"):
            read_log(tmp_path / name)
    with pytest.raises(DataError, match="neither a run"):
        read_log(tmp_path)
    np.save(tmp_path / "embeddings.npy", np.zeros((4, 2)))
    with pytest.raises(DataError, match="no number"):
        read_log(tmp_path)


def test_a_reader_that_is_not_installed_is_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "log.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="pyarrow"):
        read_log(tmp_path / "log.parquet")
