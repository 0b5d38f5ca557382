"""Claims: verdicts, the JSON file, the table."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from dynamics.errors import ConfigError
from dynamics.studies import STUDIES, Claim, claims_table, load_study, save_claims


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
    }
    assert second["measured"] is None and second["verdict"] == "unknown" and second["relation"] == "≥"
    assert Claim(**first) == claims[0]


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


def test_studies_are_found_by_name():
    for name in STUDIES:
        assert callable(load_study(name).run)
    with pytest.raises(ConfigError, match="known are stepwise"):
        load_study("nothing")
