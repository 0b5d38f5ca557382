"""Downloads come from a server on the loopback interface; the published addresses are never called."""

import functools
import gzip
import hashlib
import http.server
import io
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from official_files import cifar_batch, idx, snapshot

from dynamics.errors import DataError
from dynamics.views import load_images, official
from dynamics.views.download import Download, cache_folder, fetch


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """(folder that is served, its address); the cache is another empty folder."""
    served = tmp_path / "served"
    served.mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("DYNAMICS_DATA", str(tmp_path / "cache"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=served)) as httpd:
        thread = threading.Thread(target=functools.partial(httpd.serve_forever, poll_interval=0.02), daemon=True)
        thread.start()
        yield served, f"http://127.0.0.1:{httpd.server_port}/"
        httpd.shutdown()
        thread.join(timeout=10)


def offer(monkeypatch, server, name, contents):
    """Serve these files as the official ones of a data set."""
    served, address = server
    downloads = []
    for download in official.DATASETS[name].downloads:
        content = contents[download.file]
        (served / download.file).write_bytes(content)
        md5 = hashlib.md5(content).hexdigest()
        downloads.append(replace(download, md5=md5, urls=(f"{address}{download.file}",)))
    changed = replace(official.DATASETS[name], downloads=tuple(downloads))
    monkeypatch.setitem(official.DATASETS, name, changed)


@pytest.fixture
def mnist(rng):
    parts = {
        "train-images-idx3-ubyte": rng.integers(0, 256, size=(6, 3, 3)),
        "train-labels-idx1-ubyte": np.arange(6),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, size=(2, 3, 3)),
        "t10k-labels-idx1-ubyte": np.array([8, 9]),
    }
    return {f"{name}.gz": gzip.compress(idx(array)) for name, array in parts.items()}


@pytest.fixture
def cifar10():
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name in ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = 3073
            tar.addfile(member, io.BytesIO(cifar_batch([4])))
    return {"cifar-10-binary.tar.gz": content.getvalue()}


def test_files_are_downloaded_once(server, monkeypatch, mnist, capfd):
    offer(monkeypatch, server, "mnist", mnist)
    first = load_images("mnist")
    assert first.labels.tolist() == list(range(6))
    assert "100%" in capfd.readouterr().err  # the progress bar
    cached = snapshot(cache_folder())
    assert {path.name for path in cached} == {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"}
    for file in mnist:
        (server[0] / file).unlink()
    np.testing.assert_array_equal(load_images("mnist").images, first.images)
    assert snapshot(cache_folder()) == cached


def test_archives_are_unpacked(server, monkeypatch, cifar10):
    offer(monkeypatch, server, "cifar10", cifar10)
    images = load_images("cifar10")
    assert images.labels.tolist() == [4, 4] and images.note.endswith("(2 of 5 official files)")
    (server[0] / "cifar-10-binary.tar.gz").unlink()
    assert load_images("cifar10", split="test").labels.tolist() == [4]
    inside = {path.name for path in (cache_folder() / "cifar10").iterdir()}
    assert inside == {"cifar-10-binary.tar.gz", "cifar-10-batches-bin"}  # no scratch is left


def test_files_in_the_cache_folder_are_used_and_only_the_missing_ones_downloaded(server, monkeypatch, mnist):
    offer(monkeypatch, server, "mnist", mnist)
    own = cache_folder() / "mnist" / "train-images-idx3-ubyte.gz"
    own.parent.mkdir(parents=True)
    own.write_bytes(gzip.compress(idx(np.zeros((6, 3, 3)))))  # not the official bytes
    before = own.read_bytes()
    images = load_images("mnist")
    assert images.labels.tolist() == list(range(6)) and images.images.max() == 0
    assert own.read_bytes() == before


def test_a_wrong_checksum_is_an_error_and_the_file_is_not_kept(server, monkeypatch, mnist):
    offer(monkeypatch, server, "mnist", mnist)
    tampered = mnist["train-labels-idx1-ubyte.gz"] + b"!"
    (server[0] / "train-labels-idx1-ubyte.gz").write_bytes(tampered)
    expected, found = (hashlib.md5(c).hexdigest() for c in (mnist["train-labels-idx1-ubyte.gz"], tampered))
    with pytest.raises(
        DataError, match=rf"train-labels-idx1-ubyte.gz .*expected checksum md5 {expected}, found {found}"
    ):
        load_images("mnist")
    assert not (cache_folder() / "mnist" / "train-labels-idx1-ubyte.gz").exists()


def test_a_file_that_is_there_but_not_official_is_not_overwritten(server, monkeypatch, cifar10):
    offer(monkeypatch, server, "cifar10", cifar10)
    own = cache_folder() / "cifar10" / "cifar-10-binary.tar.gz"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"half an archive")
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz from .*cache.*expected checksum"):
        load_images("cifar10")
    assert own.read_bytes() == b"half an archive"


def test_the_next_mirror_is_tried(server, tmp_path):
    served, address = server
    (served / "f.bin").write_bytes(b"content")
    md5 = hashlib.md5(b"content").hexdigest()
    fetch(Download("f.bin", md5, (f"{address}gone/f.bin", f"{address}f.bin"), ("f.bin",)), tmp_path / "here", ["f.bin"])
    assert (tmp_path / "here" / "f.bin").read_bytes() == b"content"


def test_no_network_says_which_files_to_put_where(server, monkeypatch, mnist):
    offer(monkeypatch, server, "mnist", mnist)
    for file in mnist:
        (server[0] / file).unlink()
    with pytest.raises(
        DataError,
        match=r"\(HTTPError\); put train-images-idx3-ubyte, train-labels-idx1-ubyte into a folder .*`data_dir`",
    ):
        load_images("mnist")
    closed = Download("x.bin", "0" * 32, ("http://127.0.0.1:9/x.bin",), ("x.bin",))
    with pytest.raises(DataError, match=r"x.bin: could not be fetched .*\(ConnectionError\)"):
        fetch(closed, cache_folder(), ["x.bin"])


def test_a_cache_that_cannot_be_written_is_an_error(server, tmp_path):
    served, address = server
    (served / "f.bin").write_bytes(b"content")
    (tmp_path / "file").write_bytes(b"")
    download = Download("f.bin", hashlib.md5(b"content").hexdigest(), (f"{address}f.bin",), ("f.bin",))
    with pytest.raises(DataError, match=r"Not a directory|File exists"):
        fetch(download, tmp_path / "file", ["f.bin"])


def test_an_official_archive_without_the_folder_is_an_error(server, tmp_path):
    served, address = server
    (served / "a.tar.gz").write_bytes(b"no archive")
    download = Download(
        "a.tar.gz", hashlib.md5(b"no archive").hexdigest(), (f"{address}a.tar.gz",), ("d.bin",), "inner"
    )
    with pytest.raises(DataError, match=r"a.tar.gz: could not be fetched .*\(ReadError\)"):
        fetch(download, tmp_path / "here", ["d.bin"])


def test_the_cache_is_the_operating_systems_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.setenv("DYNAMICS_DATA", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("DYNAMICS_DATA")
    assert cache_folder().name == "dynamics" and cache_folder() != tmp_path


def test_every_published_checksum_is_an_md5_and_every_split_is_provided():
    for dataset in official.DATASETS.values():
        provided = [file for download in dataset.downloads for file in download.provides]
        wanted = [file for batches in dataset.splits.values() for batch in batches for file in batch if file]
        assert sorted(provided) == sorted(wanted)
        assert all(len(bytes.fromhex(download.md5)) == 16 for download in dataset.downloads)


def _archive(tmp_path, content=b"data"):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("inner/d.bin")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    (tmp_path / "a.tar.gz").write_bytes(packed.getvalue())
    md5 = hashlib.md5(packed.getvalue()).hexdigest()
    return Download("a.tar.gz", md5, ("http://localhost:9/a.tar.gz",), ("d.bin",), "inner")


def test_processes_that_unpack_one_archive_at_once_all_find_it(tmp_path):
    download = _archive(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(fetch, download, tmp_path, ["d.bin"]) for _ in range(8)]:
            done.result()
    assert (tmp_path / "inner" / "d.bin").read_bytes() == b"data"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "inner"]


@pytest.mark.parametrize("other", [{"d.bin": b"longer data"}, {"mine.txt": b"mine"}])
def test_a_folder_with_something_else_is_neither_taken_nor_overwritten(tmp_path, other):
    download = _archive(tmp_path)
    (tmp_path / "inner").mkdir()
    for name, content in other.items():
        (tmp_path / "inner" / name).write_bytes(content)
    with pytest.raises(DataError, match=r"put d\.bin into a folder by hand"):
        fetch(download, tmp_path, ["d.bin"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "inner").iterdir()} == other
