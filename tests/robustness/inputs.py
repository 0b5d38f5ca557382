"""Command lines that cannot be right, or only just: numbers, texts, paths and data for every command."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import materials
import numpy as np

from dynamics.experiment.config import Config
from dynamics.recipe.config import Recipe
from dynamics.studies import STUDIES

Case = tuple[str, list[str]]

NUMBERS = (
    *("", "abc", "nan", "inf", "-inf", "-1", "0", "0.5", "1e300", "1e-300", "9" * 20, "-" + "9" * 20, "9" * 5000),
    *("１６", "0x10", "1 2", "None"),
)
WORDS = ("", " ", "nope", "$\\frac{$", "[/x]", "a\0b", "\udcff", "\ud800", "x" * 300, "x" * 5000, "-", "é" * 130)
PATHS = (
    *("", "nope.npz", "~nobody/x.npz", "/", "/dev/null", "/dev/full", "x" * 300, f"{'x' * 300}.npz", "a\0.npz"),
    *("\udcff.npz", "\ud800.npz", "$\\frac{$.npz", "[/x].npz", "folder.npz", "text.npz", "x/" * 2000 + "x.npz", "text"),
)
CHEAP = ["--dataset", "nope"]
"""What ends a command as soon as its settings were accepted."""


def numbers_of(record: type) -> list[str]:
    """Flags of a record of settings that take a number."""
    return [field.name.replace("_", "-") for field in fields(record) if _numeric(get_type_hints(record)[field.name])]


def texts_of(record: type) -> list[str]:
    names = {field.name.replace("_", "-") for field in fields(record)}
    return sorted(names - set(numbers_of(record)))


def _numeric(hint: object) -> bool:
    return hint in (int, float) or any(map(_numeric, get_args(hint)))


def cases(folder: Path) -> Iterator[Case]:
    """All command lines; files that they name lie in `folder`, which is to be the working folder."""
    _lay_out(folder)
    yield from _experiments()
    yield from _recipes()
    yield from _sweeps()
    yield from _ranks()
    yield from _saved(folder)
    yield from _studies(folder)
    yield from _outputs(folder)
    yield from _data(folder)
    yield from _logs(folder)
    yield from _unusual()


def _experiments() -> Iterator[Case]:
    for flag in numbers_of(Config):
        for number in NUMBERS:
            yield f"simulate --{flag} {number[:24]}", ["simulate", *materials.SMALL, f"--{flag}", number, "--out", "o"]
        for command in ("compare", "train"):
            for number in ("9" * 20, "1e300", "-1"):
                yield f"{command} --{flag} {number}", [command, f"--{flag}", number, *CHEAP, "--out", "o"]
    for flag in texts_of(Config):
        for word in WORDS:
            yield f"simulate --{flag} {word[:24]!r}", ["simulate", *materials.SMALL, f"--{flag}", word, "--out", "o"]
    for number in NUMBERS:
        yield f"simulate --by-step {number[:24]}", ["simulate", *materials.SMALL, "--by-step", number, "--out", "o"]


def _recipes() -> Iterator[Case]:
    for flag in numbers_of(Recipe):
        for number in ("abc", "-1", "1e300", "1e-300", "nan", "9" * 20):
            line = ["train", "--preset", "cpu", f"--{flag}", number, *CHEAP, "--out", "o"]
            yield f"train --preset cpu --{flag} {number}", line
    for flag in ("objective", "network", "optimiser", "precision", "augmentation", "preset", "projector"):
        for word in ("", "nope", "\udcff", "x" * 300):
            yield (
                f"train --preset cpu --{flag} {word[:20]!r}",
                [*("train", "--preset", "cpu"), f"--{flag}", word, *CHEAP],
            )
    for flag in ("pairs", "tangent-pairs"):
        for number in ("0", "-1", "1", "9" * 20, "abc"):
            line = ["compare", "--recipe", "practical", f"--{flag}", number, *CHEAP, "--out", "o"]
            yield f"compare --recipe practical --{flag} {number}", line
    for objective in ("vicreg", "simclr", "barlow-twins-practical", "byol"):
        line = ["train", "--preset", "cpu", "--objective", objective, "--batch", "1", "--out", "o"]
        yield f"train --preset cpu --objective {objective} --batch 1", line


def _sweeps() -> Iterator[Case]:
    axes = (  # some of them in digits of other scripts, which Python reads as numbers
        *("dataset=nope.npz", "dataset=nope", f"dataset={'x' * 300}", f"dataset={'x' * 300}.npz", "dataset=\udcff"),
        *(
            "dataset=text.npz",
            "dataset=folder.npz",
            "augmentation=nope",
            "width=１６",
            "width=٣",
            "width=",
            "width=abc",
        ),
        *(
            "width=-1",
            f"width={'9' * 20}",
            f"seed={'9' * 5000}",
            "seed=1,1",
            "seed=nan",
            "lr-fraction=nan",
            "=1",
            "=",
            "",
        ),
        *("steps=0", "steps=-1", "steps=1e9", "nope=1", "init=nope", "center=maybe", "multiplier=1e300", "clip=1"),
        *("width", "width==1", "dim=1,,,", "width=1;2", "data-dir=nowhere", "pairs=group", "network=group-convnet,mlp"),
    )
    for axis in axes:
        yield (
            f"sweep {axis[:30]!r}",
            ["sweep", axis, *CHEAP[: 0 if "=" in axis and "dataset" in axis else 2], "--out", "o"],
        )
    for jobs in NUMBERS:
        yield f"sweep --jobs {jobs[:24]}", ["sweep", "seed=0,1", "--jobs", jobs, *CHEAP, "--out", "o"]
    yield "sweep of nothing", ["sweep", "--out", "o"]
    yield "sweep twice", ["sweep", "width=1,2", "width=3", *CHEAP, "--out", "o"]
    for axis in ("batch=1,2", "batch=0", "objective=nope", "learning-rate=0", "dataset=nope", "dataset=a.npz"):
        yield f"sweep --preset cpu {axis}", ["sweep", axis, "--preset", "cpu", *CHEAP[: 2 * ("dataset" not in axis)]]


def _ranks() -> Iterator[Case]:
    """Augmentations by name and strength, and the numbers of `rank`."""
    words = (
        *(
            "",
            ",",
            "nope",
            "crop",
            "crop:",
            "crop:abc",
            "crop:-1",
            "crop:0",
            "crop:9",
            "crop:nan",
            "noise:1e300",
            ":.5",
        ),
        *(
            "crop:.5+",
            "+",
            "crop:.5++flip",
            "flip:.5:.5",
            "crop:.5+crop:.5",
            "\udcff",
            "x" * 300,
            "none,none",
            "noise:inf",
        ),
        *("crop:１", "[/x]", "$\\frac{$", "hue:.1", "grayscale:2", "a\0b"),
    )
    for word in words:
        yield f"rank {word[:24]!r}", ["rank", f"augmentations={word}", *materials.SMALL, "--out", "o"]
        yield (
            f"simulate --augmentation {word[:24]!r}",
            ["simulate", *materials.SMALL, "--augmentation", word, "--out", "o"],
        )
    for number in NUMBERS:
        line = ["rank", "augmentations=none,noise:.1", "--held-out", number, *CHEAP, "--out", "o"]
        yield f"rank --held-out {number[:24]}", line
    for axis in ("seed=1,1", "seed=-1", "width=1,2", "augmentations", "=", "seed=0"):
        yield f"rank and {axis}", ["rank", "augmentations=none,noise:.1", axis, *CHEAP, "--out", "o"]
    yield "rank of nothing", ["rank", "--out", "o"]


def _saved(folder: Path) -> Iterator[Case]:
    """Saved runs that a command is to run again."""
    for command in ("simulate", "compare", "train", "sweep", "rank"):
        what = {"sweep": ["seed=0,1"], "rank": ["augmentations=none"]}.get(command, [])
        for path in (*PATHS, str(folder), "text", "folder.npz"):
            yield f"{command} --config {path[:24]!r}", [command, *what, "--config", path, *CHEAP, "--out", "o"]


def _studies(folder: Path) -> Iterator[Case]:
    for name in (*STUDIES, "all", "", "nope", "\udcff", "../stepwise", "x" * 300):
        for flags in (
            *(["--steps", "0"], ["--steps", "-1"], ["--num-seeds", "0"], ["--num-seeds", "-1"], ["--dim", "9" * 20]),
            *(["--num-pairs", "0"], ["--num-pairs", "1"], ["--init-scale", "1e300"], ["--init-scale", "0"]),
            *(["--seed", "9" * 20], ["--seed", "-1"], ["--steps", "9" * 20], ["--data-dir", "nowhere"]),
            *(["--data-dir", "text"], ["--data-dir", "folder.npz", "--dataset", "mnist"], ["--seed", "abc"]),
        ):
            yield f"study {name[:20]!r} {' '.join(flags)[:40]}", ["study", name, *flags, "--out", "o"]
    for dataset in ("nope", "", "x" * 300, "digits.npz"):
        for name in ("homomorphic", "simve"):
            yield f"study {name} --dataset {dataset[:20]!r}", ["study", name, "--dataset", dataset, "--out", "o"]


def _outputs(folder: Path) -> Iterator[Case]:
    run = str(folder / "run")
    for out in (
        ".",
        "",
        "/",
        "run",
        "..",
        "/dev/full",
        "/dev/null",
        "x" * 300,
        "text/below.html",
        "a\0b",
        "\udcff",
        "/proc/x",
    ):
        yield f"report --out {out[:24]!r}", ["report", run, "--out", out]
    for out in (
        "text",
        "text/below",
        "/dev/full",
        "/dev/null/x",
        "x" * 300,
        "a\0b",
        "\udcff",
        "\ud800",
        "/proc/x",
        "y/" * 2100,
    ):
        yield f"plot --out {out[:24]!r}", ["plot", run, "--out", out]
        yield f"simulate --out {out[:24]!r}", ["simulate", *materials.SMALL, "--out", out]
        yield f"train --preset cpu --out {out[:24]!r}", ["train", "--preset", "cpu", *CHEAP, "--out", out]
        yield f"sweep --out {out[:24]!r}", ["sweep", "seed=0,1", *CHEAP, "--out", out]
    for command in ("plot", "report"):
        for what in ("", "nope", "text", "/", ".", "/dev/null", "x" * 300, "a\0b", "\udcff", "folder.npz", "y/" * 2100):
            yield f"{command} {what[:24]!r}", [command, what, "--out", "p"]
        yield f"{command} of nothing", [command]


def _logs(folder: Path) -> Iterator[Case]:
    """Logs of other programs, which `diagnose` reads."""
    tables = {
        "empty.csv": "",
        "head.csv": "step,loss\n",
        "text.csv": "step,loss\na,b\n",
        "short.csv": "step,loss\n1\n2,3,4\n",
        "steps.csv": "step,loss\n2,1\n1,1\n",
        "nan.csv": "step,loss\n1,nan\n2,inf\n",
        "large.csv": f"step,loss\n{'9' * 30},1\n{'9' * 31},{'9' * 400}\n",
        "negative.csv": "step,eigenvalue_1,eigenvalue_2\n-5,-1,2\n1,2,-3\n",
        "twice.csv": "step,loss,loss\n1,2,3\n",
        "no-step.csv": "loss\n1\n",
        "huge.csv": "step,eigenvalue_1\n1,1e308\n2,1e-320\n3,1e308\n",
        "empty.jsonl": "",
        "broken.jsonl": '{"step": 1, "loss": ',
        "list.jsonl": "[1, 2]\n",
        "null.jsonl": '{"step": null, "loss": 1}\n{"step": 2, "loss": null}\n',
        "deep.jsonl": "[" * 100_000,
        "lists.jsonl": '{"step": 1, "eigenvalues": [1, 2]}\n{"step": 2, "eigenvalues": [1]}\n',
        "words.jsonl": '{"step": 1, "eigenvalues": ["a", {}]}\n{"step": "x", "loss": true}\n',
        "no.parquet": "PAR1",
        "x.tfevents.y": "no events",
        "x.npz": "no archive",
    }
    for name, content in tables.items():
        (folder / name).write_text(content)
        yield f"diagnose {name}", ["diagnose", name]
    (folder / "latin.csv").write_bytes(b"step,loss\n1,\xff\n")
    dumps = {
        "object": np.array([{}], object),
        "row": np.ones(3),
        "nan": np.full((4, 2), np.nan),
        "none": np.ones((0, 3)),
        "complex": np.ones((4, 2)) + 1j,
        "constant": np.ones((4, 2)),
    }
    for name, array in dumps.items():
        (folder / "dumps" / name).mkdir(parents=True)
        np.save(folder / "dumps" / name / "step-1.npy", array, allow_pickle=True)
        yield f"diagnose embeddings {name}", ["diagnose", f"dumps/{name}"]
    (folder / "dumps" / "damaged").mkdir()
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999, 999), }"
    start = b"\x93NUMPY\x01\x00" + bytes([len(header), 0])
    (folder / "dumps" / "damaged" / "1.npy").write_bytes(start + header + bytes(16))
    (folder / "dumps" / "unnumbered").mkdir()
    np.save(folder / "dumps" / "unnumbered" / "x.npy", np.ones((4, 2)))
    for path in ("latin.csv", "dumps/damaged", "dumps/unnumbered", "run", "", "nope", "/dev/null", "x" * 300, "text"):
        yield f"diagnose {path[:20]!r}", ["diagnose", path]
    for number in NUMBERS:
        yield f"diagnose --dim {number[:24]}", ["diagnose", "nan.csv", "--dim", number]
    yield "diagnose --objective nope", ["diagnose", "nan.csv", "--objective", "nope"]
    yield "diagnose of nothing", ["diagnose"]


def _data(folder: Path) -> Iterator[Case]:
    for path in PATHS:
        name = path[:24]
        yield f"simulate --dataset {name!r}", ["simulate", *materials.SMALL, "--dataset", path, "--out", "o"]
        yield f"simulate --data-dir {name!r}", ["simulate", "--dataset", "mnist", "--data-dir", path, "--out", "o"]
        yield f"simulate --resume-from {name!r}", ["simulate", *materials.SMALL, "--resume-from", path, "--out", "o"]
    for path in sorted((folder / "bad").glob("*.npz")):
        for count in ([], ["--num-pairs", "3"]):
            line = ["simulate", "--network", "mlp", "--width", "8", "--dim", "1", "--dataset", str(path), *count]
            yield f"pairs {path.stem} {' '.join(count)}", [*line, "--out", "o"]
        yield f"recorder {path.stem}", ["simulate", *materials.SMALL, "--resume-from", str(path), "--out", "o"]
    for kind in ("bomb", "short"):
        line = ["simulate", "--dataset", "mnist", "--data-dir", str(folder / kind), "--network", "mlp", "--out", "o"]
        yield f"MNIST {kind}", line


def _unusual() -> Iterator[Case]:
    for name in ("directpred", "jepa", "mae", "isoloss", "preconditioned", "deep-linear", "word-embedding"):
        narrow = ["simulate", "--dynamics", name, "--network", "mlp", "--num-pairs", "16", "--dim", "15", "--out", "o"]
        yield f"simulate --dynamics {name} in the narrowest mode", narrow
        yield f"simulate --dynamics {name} in collapse", [*narrow[:-3], "20", "--allow-collapse", "--out", "o"]
    for name in ("", "nope", "\udcff", "x" * 300):
        yield f"simulate --dynamics {name[:20]!r}", ["simulate", *materials.SMALL, "--dynamics", name, "--out", "o"]
    wide = ["simulate", "--network", "mlp", "--num-pairs", "8", "--dim", "2", "--out", "o"]
    yield "a network beyond the memory", [*wide, "--width", "1000000", "--depth", "2"]
    yield "a huge start", [*wide, "--init-scale", "1e12", "--steps", "5"]
    yield "a tiny start", [*wide, "--init-scale", "1e-12", "--steps", "5"]
    yield "a tiny learning rate", [*wide, "--learning-rate", "1e-12"]
    yield "one pair", ["simulate", "--network", "mlp", "--num-pairs", "1", "--dim", "1", "--out", "o"]
    yield "no command", []
    yield "an unknown command", ["nope"]
    yield "an unknown flag", ["info", "--nope"]


def _lay_out(folder: Path) -> None:
    """Files that the command lines name."""
    (folder / "folder.npz").mkdir()
    (folder / "text").write_text("text")
    (folder / "text.npz").write_text("text")
    materials.make_mnist(folder / "short")
    (folder / "short" / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + b"\xff" * 12)
    bad, rng = folder / "bad", np.random.default_rng(0)
    bad.mkdir()
    x = rng.normal(size=(6, 4))
    views: dict[str, Sequence[object]] = {
        "nan": (x * np.nan, x),
        "infinite": (x, np.full((6, 4), np.inf)),
        "complex": (x + 1j, x),
        "text": (x.astype(str), x),
        "objects": (x.astype(object), x),
        "scalar": (np.float64(1), np.float64(2)),
        "row": (x[0], x[0]),
        "empty": (x[:0], x[:0]),
        "no-features": (x[:, :0], x[:, :0]),
        "shapes": (x, x[:4]),
        "constant": (np.ones((6, 4)), np.ones((6, 4))),
        "booleans": (x > 0, x > 0),
        "huge": (x * 1e300, x * 1e300),
        "half": (x.astype(np.float16), x.astype(np.float16)),
        "dates": (x.astype("datetime64[s]"), x.astype("datetime64[s]")),
        "records": (np.zeros(6, "i4,f8"), np.zeros(6, "i4,f8")),
    }
    for name, (first, second) in views.items():
        np.savez(bad / f"{name}.npz", x=first, x_prime=second)
    np.savez(bad / "one-array.npz", x=x)
    shutil.copy(materials.make_pairs(folder / "fine.npz"), bad / "cut.npz")
    (bad / "cut.npz").write_bytes((bad / "cut.npz").read_bytes()[:200])
