"""Write what came out of studies into their page: `uv run python docs/render_studies.py runs/stepwise …`.

Each folder is named after its study and has the `claims.json` that the study saved. The tables between the marks of a
study are replaced; those of others stay as they are.
"""

import json
import re
import sys
from pathlib import Path

PAGE = Path(__file__).parent / "how-to" / "studies.md"
ORDER = ("fails", "unknown", "holds")


def table(claims: list[dict]) -> str:
    """All claims as a table, those that fail first."""
    rows = ["| verdict | claim | expected | measured | source |", "|---|---|---:|---:|---|"]
    for claim in sorted(claims, key=lambda claim: ORDER.index(claim["verdict"])):
        relation = "" if claim["relation"] == "=" else f"{claim['relation']} "
        expected = f"{relation}{claim['expected']:.4g}" + (f" ± {claim['tolerance']:.2g}" if claim["tolerance"] else "")
        measured = "–" if claim["measured"] is None else f"{claim['measured']:.4g}"
        cells = (claim["verdict"], claim["claim"], expected, measured, claim["source"])
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def render(page: str, name: str, claims: list[dict]) -> str:
    """The page with the outcomes of one study replaced."""
    counts = ", ".join(f"{sum(c['verdict'] == v for c in claims)} {v}" for v in ORDER)
    text = f"<!-- {name} -->\n\n### {name}: {counts}\n\n{table(claims)}\n\n<!-- end of {name} -->"
    found = re.compile(f"<!-- {name} -->.*?<!-- end of {name} -->", re.DOTALL)
    if not found.search(page):
        raise SystemExit(f"{PAGE}: has no place for {name}; add the marks of a study.")
    return found.sub(lambda _: text, page)


if __name__ == "__main__":
    for folder in map(Path, sys.argv[1:]):
        claims = json.loads((folder / "claims.json").read_text(encoding="utf-8"))
        PAGE.write_text(render(PAGE.read_text(encoding="utf-8"), folder.name, claims), encoding="utf-8")
