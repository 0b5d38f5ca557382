"""Claims: verdicts, the JSON file, the table; and how studies are found."""

import io
import json
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from dynamics import studies
from dynamics.cli.tables import claims_table
from dynamics.errors import ConfigError, DataError
from dynamics.studies import STUDIES, Claim, load_study, save_claims
from dynamics.studies.claims import load_claims


def test_verdicts():
    def equal(measured):
        return Claim.equals("", "", expected=1.0, measured=measured, tolerance=0.1).verdict

    assert [equal(m) for m in (0.95, 1.05, 0.85, 1.2, np.inf, np.nan)] == [*["holds"] * 2, *["fails"] * 3, "unknown"]
    assert [Claim.at_most("", "", bound=1.0, measured=m).verdict for m in (0.5, 1.5, np.nan)] == [
        "holds",
        "fails",
        "unknown",
    ]
    assert [Claim.at_least("", "", bound=1.0, measured=m).verdict for m in (0.5, 1.5, np.nan)] == [
        "fails",
        "holds",
        "unknown",
    ]


def test_file_is_a_list_of_objects(tmp_path):
    claims = [
        Claim.equals("a", "Prop. 1", expected=1, measured=np.float32(2.0), tolerance=0.5),
        Claim.at_least("b", "Fig. 2", bound=0.9, measured=float("nan")),
    ]
    save_claims(claims, tmp_path / "claims.json")
    first, second = json.loads((tmp_path / "claims.json").read_text())
    assert first == {
        "claim": "a",
        "source": "Prop. 1",
        "expected": 1.0,
        "measured": 2.0,
        "tolerance": 0.5,
        "verdict": "fails",
        "relation": "=",
        "interval": None,
    }
    assert second["measured"] is None and second["verdict"] == "unknown" and second["relation"] == "≥"
    read = load_claims(tmp_path / "claims.json")
    assert read[0] == claims[0] and np.isnan(read[1].measured) and read[1].measurement == "–"


@pytest.mark.parametrize("content", ["[{}]", "{}", '[{"claim": 1}]', "["])
def test_what_is_no_list_of_claims_is_refused(content, tmp_path):
    (tmp_path / "claims.json").write_text(content)
    with pytest.raises(DataError, match=r"claims\.json"):
        load_claims(tmp_path / "claims.json")


def test_an_interval_is_shown_beside_the_number():
    assert Claim.at_least("", "", bound=0.5, measured=0.71234, interval=0.0312).measurement == "0.7123 ± 0.031"


def test_table_fits_80_columns_and_says_everything():
    claims = [
        Claim.equals("A long claim about many things " * 4, "Prop. 1", expected=1, measured=2, tolerance=0.5),
        Claim.at_most("short", "Fig. 2", bound=0.9, measured=float("nan")),
        Claim.at_least("[brackets] stay", "Fig. 3", bound=0.9, measured=0.95),
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(claims_table(claims))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    for word in ("fails", "unknown", "holds", "1 ± 0.5", "≤ 0.9", "≥ 0.9", "0.95", "Fig. 2", "[brackets]"):
        assert word in text


FOLDER = Path(studies.__file__).parent


def test_every_folder_is_a_study_that_states_its_paper():
    folders = {path.parent.name for path in FOLDER.glob("*/study.py")}
    assert (
        {name.replace("-", "_") for name in STUDIES}
        == folders
        == {"homomorphic", "inductive_bias", "kernel_drift", "simve", "spectral_embedding", "stepwise"}
    )
    for name in STUDIES:
        assert callable(load_study(name).run)
        paper = import_module(f"dynamics.studies.{name.replace('-', '_')}").PAPER
        assert re.fullmatch(r"[A-Z].* (19|20)\d\d", paper)
    with pytest.raises(ConfigError, match=r"known are .*stepwise"):
        load_study("nothing")


def test_a_folder_that_is_added_is_found(tmp_path, monkeypatch):
    (tmp_path / "new_paper").mkdir()
    (tmp_path / "new_paper" / "__init__.py").write_text("")
    (tmp_path / "loose.py").write_text("")
    assert studies.find_studies([str(tmp_path)]) == {"new-paper": "dynamics.studies.new_paper.study"}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/*.py")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_study_needs_another(path):
    """Otherwise it could not be removed as one folder."""
    for other in {name.replace("-", "_") for name in STUDIES} - {path.parent.name}:
        assert f"dynamics.studies.{other}" not in path.read_text()
