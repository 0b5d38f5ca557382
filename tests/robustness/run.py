"""Bad inputs on every command, and files changed byte by byte: `uv run python tests/robustness/run.py`.

Whatever is put in, a command answers or says in one sentence what is wrong. A traceback or a call without an answer is
named, and the command then ends with status 1. Takes minutes.

--only commands | folders | files    one of the three parts
--match TEXT                         only what has this text in its name
--mutations COUNT                    changes of each kind of file (600; with 20 kinds 12,000 files)
--sample EVERY                       only every so-many-th input
--seconds LIMIT                      time that one command may take (60)
"""

import argparse
import faulthandler
import os
import shutil
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import attempts
import edits
import inputs
import materials
import mutations


def commands(folder: Path, options: argparse.Namespace) -> attempts.Tally:
    """Every bad command line."""
    tally = attempts.Tally()
    materials.make_run(folder / "run")
    materials.make_bomb(folder / "bomb")
    chosen = (case for case in inputs.cases(folder) if options.match in case[0])
    for name, line in islice(chosen, None, None, options.sample):
        _note(name)
        shutil.rmtree("o", ignore_errors=True)  # every command starts in a folder of its own
        tally.add(name, *attempts.command(line, options.seconds))
    return tally


def folders(folder: Path, options: argparse.Namespace) -> attempts.Tally:
    """Every edit of a run folder, read by `plot`, `report` and `diagnose` in turn."""
    tally = attempts.Tally()
    runs = {"compare": materials.make_run(folder / "compare")}
    runs["solved"] = materials.make_run(folder / "solved", "simulate", "--dynamics", "directpred")
    for kind, run in runs.items():
        chosen = (edit for edit in edits.edits(run) if options.match in edit[0])
        for number, (name, edit) in enumerate(islice(chosen, None, None, options.sample)):
            whole = mutations.copied(run, folder / "whole")
            _note(f"{kind}: {name}")
            edit()
            command = ("plot", "report", "diagnose")[number % 3]
            out = ["--out", str(folder / ("page.html" if command == "report" else "drawn"))]
            tally.add(f"{command} {kind}: {name}", *attempts.command([command, str(run), *out], options.seconds))
            mutations.copied(whole, run)
    return tally


def changed_files(folder: Path, options: argparse.Namespace) -> attempts.Tally:
    """Every kind of file, changed byte by byte."""
    tally = attempts.Tally()
    for kind, target in mutations.targets(folder / "files").items():
        if options.match not in kind:
            continue
        part = attempts.Tally()
        for name, outcome, detail in mutations.attack(target, options.mutations, seed=0):
            _note(name)
            part.add(f"{kind}: {name}", outcome, detail)
        print(f"  {kind:28} {part}", flush=True)
        tally.counts += part.counts
        tally.failures += part.failures
    return tally


PARTS = {"commands": commands, "folders": folders, "files": changed_files}
_latest = ""


def _note(name: str) -> None:
    """Remember what is tried; a call that not even an alarm ends is ended with the process, and named."""
    global _latest
    _latest = name
    faulthandler.dump_traceback_later(600, exit=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--match", default="")
    parser.add_argument("--mutations", type=int, default=600)
    parser.add_argument("--sample", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    failures = []
    for part in [options.only] if options.only else PARTS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            (Path(folder) / "files").mkdir()
            tally = PARTS[part](Path(folder), options)
            os.chdir("/")
        print(f"{part}: {tally.total:,} inputs in {time.monotonic() - began:.0f} s: {tally}", flush=True)
        failures += tally.failures
    print("\n\n".join(failures))
    print(f"{len(failures)} tracebacks and hangs")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
