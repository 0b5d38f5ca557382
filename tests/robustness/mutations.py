"""Files changed byte by byte, with fixed seeds, and read again by what reads them in the package."""

import gzip
import hashlib
import io
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import attempts
import materials
import numpy as np

from dynamics.modes import ContrastiveModes
from dynamics.runs.resume import measured
from dynamics.runs.settings import read_settings
from dynamics.runs.store import read_run
from dynamics.support import files
from dynamics.sweeps import read_sweep
from dynamics.training.checkpoints import Checkpoints
from dynamics.trajectories.comparison import Comparison
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import Pairs, formats

CHECKSUM = 32


@dataclass(frozen=True)
class Target:
    """A file and its reader.

    Parameters
    ----------
    path : Path
        The file that is changed.
    read : callable
        Reads it.
    inside : str
        What is changed within it: `bytes` as they are, `members` of an archive, which is packed again with the right
        checksums, or `checked`, the bytes behind a checksum, which is made to fit.
    """

    path: Path
    read: Callable[[], object]
    inside: str = "bytes"


def targets(folder: Path, make_run: Callable[[Path], Path] = materials.make_run) -> dict[str, Target]:
    """All kinds of files, freshly made."""
    run = make_run(folder / "run")
    pairs = materials.make_pairs(folder / "pairs.npz")
    recorded = materials.make_recorder_file(folder / "recorded.npz")
    checkpoint = materials.make_checkpoint(folder / "checkpoints")
    block = materials.make_block(folder / "block")
    sweep = materials.make_sweep(folder / "sweep", run)
    plain = materials.make_mnist(folder / "mnist")
    packed = materials.make_mnist(folder / "mnist-gz", gzip.compress, ".gz")
    cifar = materials.make_cifar(folder / "data_batch_1.bin")
    network, modes, comparison = run / "trajectories" / "network.npz", run / "modes.npz", run / "comparison.json"

    def resumed() -> object:
        state, records = Checkpoints(checkpoint.parent).latest(materials.start())
        return state, materials.recorder().restore(records)

    return {
        "pairs": Target(pairs, lambda: Pairs.load(pairs)),
        "pairs, inside": Target(pairs, lambda: Pairs.load(pairs, choose=lambda n: np.arange(min(n, 2))), "members"),
        "MNIST": Target(plain[0], lambda: formats.read_mnist(*plain)),
        "MNIST labels": Target(plain[1], lambda: formats.read_mnist(*plain)),
        "MNIST, packed": Target(packed[0], lambda: formats.read_mnist(*packed)),
        "CIFAR-10": Target(cifar, lambda: formats.read_cifar10(cifar)),
        "recorder file": Target(recorded, lambda: Trajectory.load(recorded)),
        "recorder file, inside": Target(recorded, lambda: Trajectory.load(recorded), "members"),
        "trajectory in a run": Target(network, lambda: read_run(run)),
        "trajectory in a run, inside": Target(network, lambda: (measured(run), read_run(run)), "members"),
        "modes": Target(modes, lambda: ContrastiveModes.load(modes)),
        "modes, inside": Target(modes, lambda: (ContrastiveModes.load(modes), read_run(run)), "members"),
        "config.json": Target(run / "config.json", lambda: (read_settings(run), read_run(run))),
        "comparison.json": Target(comparison, lambda: (Comparison.load(comparison), read_run(run))),
        "sweep.json": Target(sweep / "sweep.json", lambda: read_sweep(sweep)),
        "failed.json": Target(sweep / "failed.json", lambda: read_sweep(sweep)),
        "checkpoint": Target(checkpoint, resumed),
        "checkpoint, inside": Target(checkpoint, resumed, "checked"),
        "Gram block": Target(block, lambda: files.load_array(block)),
        "Gram block, inside": Target(block, lambda: files.load_array(block), "checked"),
    }


def attack(target: Target, count: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """Change a file `count` times and read it; yields name, outcome and detail, and leaves the file whole."""
    whole = target.path.read_bytes()
    rng = np.random.default_rng(seed)
    try:
        for number in range(count):
            target.path.write_bytes(_changed(whole, target.inside, rng))
            yield f"{target.path.name}, {target.inside}, change {number} of seed {seed}", *attempts.read(target.read)
    finally:
        target.path.write_bytes(whole)


def keep(target: Target, number: int, seed: int, place: Path) -> None:
    """Write the file of one change, to look at it."""
    rng = np.random.default_rng(seed)
    whole = target.path.read_bytes()
    for _ in range(number + 1):
        changed = _changed(whole, target.inside, rng)
    place.write_bytes(changed)


def _changed(whole: bytes, inside: str, rng: np.random.Generator) -> bytes:
    if inside == "checked":
        content = mutated(whole[CHECKSUM:], rng)
        return hashlib.blake2b(content, digest_size=CHECKSUM).digest() + content
    if inside == "members":
        return _repacked(whole, rng)
    return mutated(whole, rng)


def _repacked(whole: bytes, rng: np.random.Generator) -> bytes:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = str(rng.choice(list(members)))
    members[chosen] = mutated(members[chosen], rng)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes, most of them where the structure is: at the beginning and where there are digits."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        MUTATORS[rng.integers(len(MUTATORS))](changed, rng)
    return bytes(changed)


def _place(content: bytearray, rng: np.random.Generator) -> int:
    if not content:
        return 0
    end = len(content) if rng.random() < 0.5 else min(len(content), 160)
    return int(rng.integers(end))


def _flip(content, rng):
    if content:
        content[_place(content, rng)] ^= 1 << int(rng.integers(8))


def _set(content, rng):
    if content:
        content[_place(content, rng)] = int(rng.choice([0, 1, 10, 34, 39, 40, 44, 57, 91, 123, 127, 128, 255]))


def _digit(content, rng):
    digits = [i for i, byte in enumerate(content[:4000]) if 48 <= byte <= 57]
    if digits:
        content[int(rng.choice(digits))] = int(rng.integers(45, 60))


def _delete(content, rng):
    start = _place(content, rng)
    del content[start : start + int(rng.integers(1, 40))]


def _insert(content, rng):
    start = _place(content, rng)
    content[start:start] = rng.bytes(int(rng.integers(1, 20)))


def _repeat(content, rng):
    start = _place(content, rng)
    part = content[start : start + int(rng.integers(1, 60))]
    content[start:start] = part * int(rng.integers(1, 4))


def _truncate(content, rng):
    del content[_place(content, rng) :]


def _zero(content, rng):
    start = _place(content, rng)
    part = content[start : start + int(rng.integers(1, 16))]
    content[start : start + len(part)] = bytes([int(rng.choice([0, 255]))]) * len(part)


def _word(content, rng):
    start = _place(content, rng)
    words = (
        b"null",
        b"NaN",
        b"-1",
        b"1e999",
        b"9" * 25,
        b"true",
        b'"x"',
        b"[]",
        b"{}",
        b"\xed\xa0\x80",
        b"<c16",
        b"|O",
    )
    content[start : start + 4] = words[int(rng.integers(len(words)))]


WORDS = (
    *(b"null", b"NaN", b"-1", b"1e999", b"9" * 25, b"true", b'"x"', b"[]", b"{}"),
    *(b"\xed\xa0\x80", b"<c16", b"|O"),
)
MUTATORS = (_flip, _set, _digit, _delete, _insert, _repeat, _truncate, _zero, _word)


def copied(folder: Path, place: Path) -> Path:
    """A copy of a run folder that may be damaged."""
    shutil.rmtree(place, ignore_errors=True)
    return Path(shutil.copytree(folder, place))
