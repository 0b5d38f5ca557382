"""Everything that is to be run on an accelerator, in parts of ten minutes at most.

    uv run python tests/benchmarks/card.py                              # all parts, one after another
    uv run python tests/benchmarks/card.py --part precision throughput  # some of them
    uv run python tests/benchmarks/card.py --list                       # the parts and their commands

Each command is printed with its exit code, its seconds and the end of its output; all of this goes to OUT/card.md, too.
A training that is cut off by --seconds goes on from its checkpoint when its part is run again. Pass --data-dir with the
files of CIFAR-10 and STL-10; without it the presets are trained on digits.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PYTHON = sys.executable
SHOWN = 60  # lines of the output of a command


def parts(settings: argparse.Namespace) -> dict[str, list[list[str]]]:
    """The commands of every part."""
    run, accelerator = str(HERE / "run.py"), [PYTHON, str(HERE / "bench_accelerator.py")]
    torch = ["--torch-python", settings.torch_python] if settings.torch_python else []
    pytest = [PYTHON, "-m", "pytest", "-n", "0", "-q"]
    return {
        "info": [[PYTHON, "-m", "dynamics", "info"]],
        "precision": [[*pytest, "tests/test_full_precision.py", "tests/kernels", "tests/support"]],
        "tests": [pytest],
        "throughput": [[*accelerator, *torch]],
        "kernels": [[PYTHON, run, "--only", "fully-connected", "--only", "convolutional"]],
        "large": [
            [PYTHON, run, "--large", "10000"],
            [PYTHON, run, "--large", "10000"],  # again: what is left when the programs are at hand
            [PYTHON, run, "--large", "50000"],
        ],
        **{
            f"gpu-{objective}": [_train(settings, "gpu", objective)]
            for objective in ("barlow-twins", "vicreg", "simclr")
        },
        "stl10": [_train(settings, "stl10", "barlow-twins")],
    }


def _train(settings: argparse.Namespace, preset: str, objective: str) -> list[str]:
    out = settings.out / f"{preset}-{objective}"
    command = [PYTHON, "-m", "dynamics", "train", "--preset", preset, "--objective", objective]
    command += ["--steps", str(settings.steps), "--out", str(out), "--checkpoint-seconds", "30"]
    if settings.data_dir is None:
        return [*command, "--dataset", "digits"]
    return [*command, "--data-dir", str(settings.data_dir)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", metavar="PART", help="names of parts; all by default")
    parser.add_argument("--list", action="store_true", help="show the parts and run nothing")
    parser.add_argument("--out", type=Path, default=Path("runs/card"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--steps", type=int, default=5000, help="updates of each preset")
    parser.add_argument("--seconds", type=float, default=570.0, help="most seconds of one command")
    parser.add_argument("--torch-python", help="a Python whose PyTorch sees the card, for the peer of the update")
    settings = parser.parse_args()
    known = parts(settings)
    unknown = set(settings.part or ()) - set(known)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; choose from {', '.join(known)}")
    if settings.list:
        for name, commands in known.items():
            print(name, *(f"\n    {' '.join(command)}" for command in commands), sep="")
        return
    settings.out.mkdir(parents=True, exist_ok=True)
    codes = [run(name, command, settings) for name in settings.part or known for command in known[name]]
    sys.exit(max(codes))


def run(name: str, command: list[str], settings: argparse.Namespace) -> int:
    """Run a command, show and keep what came of it, and return 0 if it went well, otherwise 1."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = process.communicate(timeout=settings.seconds)
    except subprocess.TimeoutExpired:
        process.terminate()  # a training writes its checkpoint
        output, _ = process.communicate()
    seconds = time.perf_counter() - start
    end = "\n".join(output.splitlines()[-SHOWN:])
    text = (
        f"## {name}\n\n`{' '.join(command)}`: exit code {process.returncode}, {seconds:.0f} s\n\n```text\n{end}\n```\n"
    )
    print(text, flush=True)
    with (settings.out / "card.md").open("a") as report:
        report.write(text + "\n")
    return int(process.returncode != 0)


if __name__ == "__main__":
    main()
