"""Outcomes in their folders: read instead of made again, never overwritten unasked, all of them on one page."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from dynamics import studies
from dynamics.cli.main import main
from dynamics.errors import ConfigError, DataError
from dynamics.studies import STUDIES, Claim
from dynamics.studies.outcome import SETTINGS, carry_out
from dynamics.support import files


@pytest.fixture
def quick(monkeypatch):
    """In place of all studies: one that notes its `runs`, and is interrupted if its name is in `stops`."""
    seen = SimpleNamespace(runs=[], stops=[])

    def load(name):
        def run(out, *, data_dir=None, full=False, seed=0, num_pairs=9):
            if name in seen.stops:
                raise KeyboardInterrupt
            seen.runs.append(name)
            files.save_bytes(out / "figure.png", b"not looked at")
            return [
                Claim.at_least(f"{name} holds <b>", "Fig. 1", bound=seed, measured=1.0 + seed, interval=0.25),
                Claim.at_most(f"{name} cannot be measured", "Fig. 3", bound=0.0, measured=np.nan),
                Claim.at_most(f"{name} fails", "Fig. 2", bound=0.0, measured=1.0),
            ]

        return SimpleNamespace(run=run)

    monkeypatch.setattr(studies, "load_study", load)
    return seen


def test_a_study_is_read_from_its_folder(quick, tmp_path):
    first = carry_out("simve", tmp_path, seed=3)
    again = carry_out("simve", tmp_path, seed=3)
    assert quick.runs == ["simve"] and again.earlier and not first.earlier
    assert [claim.measurement for claim in again.claims] == ["4 ± 0.25", "–", "1"]
    assert (again.seconds, again.settings, again.figures) == (first.seconds, first.settings, first.figures)
    carry_out("simve", tmp_path, seed=3, force=True)
    assert quick.runs == ["simve"] * 2


@pytest.mark.parametrize(("name", "how"), [("stepwise", {}), ("simve", {"seed": 1}), ("simve", {"num_pairs": 10})])
def test_the_outcome_of_something_else_is_not_overwritten(name, how, quick, tmp_path):
    carry_out("simve", tmp_path)
    with pytest.raises(ConfigError, match=r"holds the study `simve` with seed 0.*`force`"):
        carry_out(name, tmp_path, **how)
    assert quick.runs == ["simve"]


@pytest.mark.parametrize("content", ["{", "[]", '{"study": "simve"}'])
def test_a_damaged_outcome_is_refused(content, quick, tmp_path):
    (tmp_path / SETTINGS).write_text(content)
    with pytest.raises(DataError, match=SETTINGS):
        carry_out("simve", tmp_path)


def test_all_studies_go_on_where_they_were_stopped(quick, tmp_path, capsys):
    third = list(STUDIES)[2]
    quick.stops.append(third)
    assert main(["study", "all", "--out", str(tmp_path)]) == 130
    assert quick.runs == list(STUDIES)[:2] and (tmp_path / "report.html").is_file()
    quick.stops.clear()
    capsys.readouterr()
    assert main(["study", "all", "--out", str(tmp_path)]) == 0
    assert quick.runs == list(STUDIES)
    shown = capsys.readouterr()
    n = len(STUDIES)
    assert "They were tested before." in shown.err
    assert f"{n} of {3 * n} claims hold; {n} could not be measured." in shown.out
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png") == len(STUDIES) and "holds &lt;b&gt;" in page
    for name in STUDIES:  # failing first
        assert re.search(f"{name} fails.*{name} cannot be measured.*{name} holds", page, re.DOTALL)


def test_settings_of_single_studies_are_none_of_all(quick, tmp_path, capsys):
    assert main(["study", "all", "--num-pairs", "9", "--out", str(tmp_path)]) == 2
    assert "belongs to single studies" in capsys.readouterr().err
    assert not quick.runs
