"""The frame of a page and its tables, as HTML that needs no network connection."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

_HERE = Path(__file__).parent

Cell = str | int | float | None


def document(title: str, body: Iterable[str], script: str = "") -> Iterator[str]:
    """A whole page, piece by piece.

    Parameters
    ----------
    title : str
        Title of the page, as plain text.
    body : iterable of str
        HTML of its content.
    script : str
        Name of a file beside this one with the JavaScript of the page.
    """
    yield f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<style>\n{(_HERE / 'report.css').read_text()}</style>\n</head>\n<body>\n<main>\n"
    yield from body
    yield "</main>\n"
    if script:
        yield f"<script>\n{(_HERE / script).read_text()}</script>\n"
    yield "</body>\n</html>\n"


def table(head: Iterable[str], rows: Iterable[Sequence[Cell]], raw: bool = False) -> str:
    """A table of plain text, or of cells that are HTML already if `raw`."""

    def cell(value: Cell) -> str:
        return str(value) if raw else escape(str("" if value is None else value))

    header = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell(value)}</td>" for value in row) + "</tr>\n" for row in rows)
    return f'<div class="table"><table>\n<thead><tr>{header}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'
