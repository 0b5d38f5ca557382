"""Fetching official archives into the cache, with their published checksums.

The cache is the operating system's (`pooch.os_cache("dynamics")`); the environment variable `DYNAMICS_DATA` names
another folder. What lies there already is used as it is, and nothing in it is ever overwritten or deleted.
"""

import os
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dynamics.errors import DataError


@dataclass(frozen=True)
class Download:
    """One official file.

    Parameters
    ----------
    file : str
        Name under which it is stored.
    md5 : str
        Published checksum, 32 hexadecimal digits.
    urls : tuple of str
        Addresses, tried in this order.
    provides : tuple of str
        Data files it brings: itself, or what the archive holds.
    folder : str
        Inner folder of a tar archive; empty for a plain file.
    """

    file: str
    md5: str
    urls: tuple[str, ...]
    provides: tuple[str, ...]
    folder: str = ""


def cache_folder() -> Path:
    """Folder that downloads go to."""
    import pooch

    return Path(os.environ.get("DYNAMICS_DATA") or pooch.os_cache("dynamics"))


def fetch(download: Download, folder: Path, wanted: Sequence[str]) -> None:
    """Bring one official file into a folder and unpack it there if it is an archive.

    `wanted` are the data files that are needed in the end, for the message if this fails.

    Raises
    ------
    DataError
        If no address answers, or the checksum is not the published one.
    """
    path = folder / download.file
    try:
        if path.exists():
            _check_md5(path, download, path)
        else:
            _retrieve(download, folder)
        if download.folder:
            _unpack(path, download.folder)
    except (OSError, tarfile.TarError) as error:  # OSError is also the base of what requests raises
        raise DataError(
            f"{download.file}: could not be fetched from {download.urls[0]} into {folder} "
            f"({getattr(error, 'strerror', None) or type(error).__name__}); put {', '.join(wanted)} into a "
            "folder by hand and give that folder as `data_dir`."
        ) from error


def _retrieve(download: Download, folder: Path) -> None:
    """Download from the first address that answers; the file gets its name only once its checksum is right."""
    import pooch

    def checked(url: str, output: str, _: object) -> None:
        pooch.HTTPDownloader(progressbar=True)(url, output, None)
        _check_md5(Path(output), download, url)

    for url in download.urls:
        try:
            pooch.retrieve(url, f"md5:{download.md5}", fname=download.file, path=folder, downloader=checked)
            return
        except OSError:
            if url == download.urls[-1]:
                raise


def _check_md5(path: Path, download: Download, origin: object) -> None:
    import pooch

    found = pooch.file_hash(str(path), alg="md5")
    if found != download.md5:
        raise DataError(
            f"{download.file} from {origin}: expected checksum md5 {download.md5}, found {found}; the file is "
            "incomplete or not the official one, so it is not used."
        )


def _unpack(archive: Path, inner: str) -> None:
    """Unpack beside the archive, in one step: an interrupted run leaves no half data set under the final name."""
    target = archive.parent / inner
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch, tarfile.open(archive) as tar:
        tar.extractall(scratch, filter="data")
        unpacked = Path(scratch) / inner
        try:
            os.replace(unpacked, target)
        except OSError:  # another process was first: what it has put there is taken if it is the same
            if _files(target) != _files(unpacked):
                raise


def _files(folder: Path) -> dict[str, int]:
    """Relative path -> size of every file below a folder; nothing for what is no folder."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
