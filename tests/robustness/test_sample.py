"""A sample of `tests/robustness/run.py`: no bad input of it ends in a traceback or gets no answer."""

from itertools import islice

import attempts
import edits
import inputs
import materials
import mutations
import pytest

CHANGES = 25  # of each kind of file
EDITS = 61  # every so-many-th edit of a run folder
LINES = 11  # every so-many-th command line
CHEAP = ("sweep", "study", "report", "plot", "train --preset", "compare --recipe", "pairs", "recorder", "diagnose")


def test_files_changed_byte_by_byte_are_read_or_refused(tmp_path):
    tally = attempts.Tally()
    for kind, target in mutations.targets(tmp_path, materials.make_up_run).items():
        assert attempts.read(target.read)[0] == attempts.ANSWERED, kind  # as long as it is whole
        for name, outcome, detail in mutations.attack(target, CHANGES, seed=1):
            tally.add(f"{kind}: {name}", outcome, detail)
    assert not tally.failures, "\n".join(tally.failures)
    assert tally.counts[attempts.REFUSED] > tally.total / 2  # the changes are no harmless ones


def test_run_folders_that_were_edited_are_drawn_or_refused(tmp_path):
    run, tally = materials.make_up_run(tmp_path / "run"), attempts.Tally()
    whole = mutations.copied(run, tmp_path / "whole")
    for number, (name, edit) in enumerate(islice(edits.edits(run), None, None, EDITS)):
        edit()
        command = ("report", "diagnose")[number % 2]
        out = ["--out", str(tmp_path / ("page.html" if command == "report" else "drawn"))]
        tally.add(f"{command}: {name}", *attempts.command([command, str(run), *out]))
        mutations.copied(whole, run)
    assert not tally.failures, "\n".join(tally.failures)
    assert tally.counts[attempts.REFUSED]


def test_command_lines_that_cannot_be_right_are_answered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    materials.make_up_run(tmp_path / "run")
    materials.make_bomb(tmp_path / "bomb", unpacked=2**24)
    tally = attempts.Tally()
    lines = (case for case in inputs.cases(tmp_path) if case[0].startswith(CHEAP) and case[1][0] != "simulate")
    for name, line in islice(lines, None, None, LINES):
        tally.add(name, *attempts.command(line))
    assert not tally.failures, "\n".join(tally.failures)
    assert tally.counts[attempts.REFUSED] > 0.8 * tally.total


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        (lambda: 1, attempts.ANSWERED),
        (lambda: 1 / 0, attempts.CRASHED),
        (lambda: exec("while True: pass"), attempts.HUNG),
    ],
    ids=["answers", "crashes", "hangs"],
)
def test_a_crash_and_a_hang_are_seen(call, outcome):
    assert attempts.read(call, seconds=0.2)[0] == outcome
