"""The page of the studies is written from saved outcomes: all of them, the failing ones first."""

import importlib.util
from pathlib import Path

import pytest

from dynamics.studies import STUDIES, Claim

DOCS = Path(__file__).parents[1] / "docs"
spec = importlib.util.spec_from_file_location("render_studies", DOCS / "render_studies.py")
render_studies = importlib.util.module_from_spec(spec)
spec.loader.exec_module(render_studies)


def claim(name, verdict, measured=1.0):
    return Claim(name, "Prop. 1", 1.0, measured, 0.5, verdict)


def test_all_outcomes_of_one_study_are_replaced_and_those_that_fail_come_first():
    page = "before\n<!-- a -->\nold\n<!-- end of a -->\n<!-- b -->\nkept\n<!-- end of b -->\n"
    found = [claim("good", "holds"), claim("none", "unknown", float("nan")), claim("|bad|", "fails", 3.0)]
    text = render_studies.render(page, "a", found)
    assert "\nold\n" not in text and "kept" in text and text.startswith("before\n")
    rows = [line for line in text.splitlines() if "Prop. 1" in line]
    assert [row.split(" | ")[0] for row in rows] == ["| fails", "| unknown", "| holds"]
    assert r"\|bad\|" in rows[0] and "1 ± 0.5" in rows[0] and "1 fails, 1 unknown, 1 holds" in text
    with pytest.raises(SystemExit, match="no place for c"):
        render_studies.render(page, "c", found)


def test_the_page_has_a_place_for_every_study():
    page = (DOCS / "how-to" / "studies.md").read_text(encoding="utf-8")
    for name in STUDIES:
        assert f"<!-- {name} -->" in page and f"<!-- end of {name} -->" in page
