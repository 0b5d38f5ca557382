"""Write what came out of studies into their page: `uv run python docs/render_studies.py runs/study-all/stepwise …`.

Each folder is named after its study and has the `claims.json` and the figures that the study saved; `study all` makes
all of them. The tables between the marks of a study are replaced; those of others stay as they are. Its figures are
copied to `figures/`, under the names that `figures/make.py` gives them, and shown below the table.
"""

import re
import runpy
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dynamics.studies.claims import Claim, failing_first, load_claims

PAGE = Path(__file__).parent / "how-to" / "studies.md"
FIGURES = Path(__file__).parents[1] / "figures"


def figures_of(name: str) -> Mapping[str, str]:
    """File that a study writes -> its name in `figures/`."""
    recipe = runpy.run_path(str(FIGURES / "make.py"))["RECIPES"][name]
    return {**recipe.files, **recipe.data_files}


def table(claims: Sequence[Claim]) -> str:
    """All claims as a table, those that fail first."""
    rows = ["| verdict | claim | expected | measured | source |", "|---|---|---:|---:|---|"]
    for claim in failing_first(claims):
        cells = (claim.verdict, claim.claim, claim.expectation, claim.measurement, claim.source)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def render(page: str, name: str, claims: Sequence[Claim], figures: Sequence[str] = ()) -> str:
    """The page with the outcomes of one study replaced: all claims, and its figures by their names in `figures/`."""
    counts = ", ".join(f"{sum(claim.verdict == v for claim in claims)} {v}" for v in ("fails", "unknown", "holds"))
    shown = "".join(f"![{name}: {Path(file).stem}](../../figures/{file})\n\n" for file in figures)
    text = f"<!-- {name} -->\n\n### {name}: {counts}\n\n{table(claims)}\n\n{shown}<!-- end of {name} -->"
    found = re.compile(f"<!-- {name} -->.*?<!-- end of {name} -->", re.DOTALL)
    if not found.search(page):
        raise SystemExit(f"{PAGE}: has no place for {name}; add the marks of a study.")
    return found.sub(lambda _: text, page)


if __name__ == "__main__":
    for folder in map(Path, sys.argv[1:]):
        claims, figures = load_claims(folder / "claims.json"), figures_of(folder.name)
        for made, kept in figures.items():
            if (folder / made).is_file():  # some need real data
                shutil.copyfile(folder / made, FIGURES / kept)
        page = render(PAGE.read_text(encoding="utf-8"), folder.name, claims, list(figures.values()))
        PAGE.write_text(page, encoding="utf-8")
