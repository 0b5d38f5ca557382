"""Write what came out of studies into their page: `uv run python docs/render_studies.py runs/study-all/stepwise …`.

Each folder is named after its study and has the `claims.json` that the study saved; `study all` makes all five. The
tables between the marks of a study are replaced; those of others stay as they are.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from dynamics.studies.claims import Claim, failing_first, load_claims

PAGE = Path(__file__).parent / "how-to" / "studies.md"


def table(claims: Sequence[Claim]) -> str:
    """All claims as a table, those that fail first."""
    rows = ["| verdict | claim | expected | measured | source |", "|---|---|---:|---:|---|"]
    for claim in failing_first(claims):
        cells = (claim.verdict, claim.claim, claim.expectation, claim.measurement, claim.source)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def render(page: str, name: str, claims: Sequence[Claim]) -> str:
    """The page with the outcomes of one study replaced."""
    counts = ", ".join(f"{sum(claim.verdict == v for claim in claims)} {v}" for v in ("fails", "unknown", "holds"))
    text = f"<!-- {name} -->\n\n### {name}: {counts}\n\n{table(claims)}\n\n<!-- end of {name} -->"
    found = re.compile(f"<!-- {name} -->.*?<!-- end of {name} -->", re.DOTALL)
    if not found.search(page):
        raise SystemExit(f"{PAGE}: has no place for {name}; add the marks of a study.")
    return found.sub(lambda _: text, page)


if __name__ == "__main__":
    for folder in map(Path, sys.argv[1:]):
        claims = load_claims(folder / "claims.json")
        PAGE.write_text(render(PAGE.read_text(encoding="utf-8"), folder.name, claims), encoding="utf-8")
