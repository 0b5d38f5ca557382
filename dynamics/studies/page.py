"""One HTML page about the outcomes of studies: every claim with its source, what fails first, and the figures."""

import base64
from collections.abc import Iterator, Sequence
from html import escape
from importlib import import_module
from pathlib import Path

from dynamics.report.html import document, table
from dynamics.studies.claims import Claim, counted, failing_first
from dynamics.studies.outcome import Outcome
from dynamics.support import files


def studies_page(outcomes: Sequence[Outcome], path: str | Path) -> Path:
    """Write one self-contained HTML file about studies.

    Parameters
    ----------
    outcomes : sequence of Outcome
        What came out of each study.
    path : Path
        The file to write.

    Returns
    -------
    Path
        The file.
    """
    files.save_text(path, "".join(document("dynamics: claims of papers", _body(outcomes))))
    return Path(path)


def _body(outcomes: Sequence[Outcome]) -> Iterator[str]:
    claims = [claim for outcome in outcomes for claim in outcome.claims]
    yield f'<h1>What the papers claim, and what came out</h1>\n<p class="summary">{counted(claims)}</p>\n'
    yield _overview(outcomes)
    for outcome in outcomes:
        yield from _section(outcome)


def _overview(outcomes: Sequence[Outcome]) -> str:
    rows = []
    for outcome in outcomes:
        verdicts = [claim.verdict for claim in outcome.claims]
        counts = [verdicts.count(verdict) for verdict in ("fails", "unknown", "holds")]
        link = f'<a href="#{outcome.name}">{outcome.name}</a>'
        rows.append([link, escape(_paper(outcome.name)), *counts, f"{outcome.seconds / 60:.1f}"])
    return table(["study", "paper", "fail", "unknown", "hold", "minutes"], rows, raw=True)


def _section(outcome: Outcome) -> Iterator[str]:
    yield f'<section id="{outcome.name}">\n<h1>{outcome.name}</h1>\n'
    yield f'<p class="what">{escape(_paper(outcome.name))}</p>\n'
    yield f'<p class="summary">{counted(outcome.claims)}</p>\n<h2>Claims</h2>\n'
    rows = [_row(claim) for claim in failing_first(outcome.claims)]
    yield table(["verdict", "claim", "expected", "measured", "source"], rows)
    yield "<h2>Figures</h2>\n" if outcome.figures else ""
    for figure in outcome.figures:
        image = base64.b64encode(figure.read_bytes()).decode()
        name = escape(figure.stem)
        yield f'<figure class="figure"><img alt="{name}" src="data:image/png;base64,{image}">'
        yield f"<figcaption>{name}</figcaption></figure>\n"
    chosen = [[name, str(value)] for name, value in outcome.settings.items() if value is not None]
    yield "<h2>Settings</h2>\n" + table(["setting", "value"], chosen)
    yield "<h2>Environment</h2>\n" + table(["package", "version"], [list(item) for item in outcome.versions.items()])
    yield "</section>\n"


def _row(claim: Claim) -> list[str]:
    return [claim.verdict, claim.claim, claim.expectation, claim.measurement, claim.source]


def _paper(name: str) -> str:
    return import_module(f"dynamics.studies.{name.replace('-', '_')}").PAPER
