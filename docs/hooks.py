"""Hooks of the documentation build: notebooks become pages, figures part of the site, and formulas MathML.

Nothing is executed here: a notebook is shown as it was committed, and the tests run it. Links are written as they hold
in the repository, so that they also work on a code host, and lead into the site here.
"""

import base64
import json
import posixpath
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import griffe
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PICTURES = {"image/png": "png", "image/svg+xml": "svg"}
OUTSIDE = re.compile(r"\]\((?P<up>(?:\.\./)+)(?P<folder>notebooks|figures)/(?P<file>[\w.]+)\)")
FORMULA = re.compile(r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', flags=re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add one page a notebook, its pictures, and the pictures of `figures/`."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for uri, content in pages(path):
            files.append(File.generated(config, uri, content=content))
    for path in sorted((ROOT / "figures").glob("*.png")):
        files.append(File.generated(config, f"figures/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to notebooks and figures, which lie outside of `docs/`, to their pages and pictures in the site."""
    return OUTSIDE.sub(lambda found: f"]({place_in_site(found['folder'], found['file'], page.file.src_uri)})", markdown)


def place_in_site(folder: str, file: str, page: str) -> str:
    """Address of a notebook or a figure, as seen from a page.

    >>> place_in_site("notebooks", "1_the_ladder.ipynb", "how-to/own-data.md")
    '../tutorials/1_the_ladder.md'
    """
    place = f"tutorials/{Path(file).stem}.md" if folder == "notebooks" else f"figures/{file}"
    return posixpath.relpath(place, posixpath.dirname(page))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Typeset the formulas, which browsers do without a script and without fonts from elsewhere."""
    return FORMULA.sub(
        lambda found: convert(unescape(found["tex"]), display="block" if found["tag"] == "div" else "inline"), html
    )


def pages(path: Path) -> Iterator[tuple[str, str | bytes]]:
    """(place in the site, content) of a notebook's page and of its pictures."""
    parts: list[str] = []
    for number, cell in enumerate(json.loads(path.read_text())["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        if cell["cell_type"] != "code" or not source:
            continue
        parts.append(_fenced(source, "python"))
        for index, output in enumerate(cell["outputs"]):
            kind = next((kind for kind in PICTURES if kind in output.get("data", {})), None)
            if kind is None:
                parts.append(_fenced(_text(output), "text"))
                continue
            name = f"{path.stem}_{number}_{index}.{PICTURES[kind]}"
            picture = "".join(output["data"][kind])
            parts.append(f"![Output of the cell above]({name})")
            yield f"tutorials/{name}", base64.b64decode(picture) if PICTURES[kind] == "png" else picture
    where = f"`notebooks/{path.name}`, with its source in `notebooks/{path.stem}.py`"
    yield f"tutorials/{path.stem}.md", "\n\n".join([*parts, f"---\n\n*This page is the notebook {where}.*\n"])


def _text(output: dict[str, Any]) -> str:
    return "".join(output.get("text", output.get("data", {}).get("text/plain", ""))).rstrip()


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text}\n```" if text else ""


class SameNames(griffe.Extension):
    """A function that shares its name with its module, as `dynamics.kernels.gram`, is found under its public name."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Put the function in the place of the module, in every package that exports it."""
        for name, member in list(pkg.members.items()):
            if not isinstance(member, griffe.Module):
                continue
            self.on_package(pkg=member)
            if pkg.imports.get(name) == f"{member.path}.{name}":
                pkg.members[name] = griffe.Alias(name, member.members[name], parent=pkg)


class Examples(griffe.Extension):
    """Doctests and literal blocks outside of an `Examples` section, as in the docstrings of modules, become code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of one object before it is parsed."""
        if obj.docstring and not re.search(r"^Examples\n-+$", obj.docstring.value, flags=re.MULTILINE):
            obj.docstring.value = fenced_examples(obj.docstring.value)


def fenced_examples(text: str) -> str:
    r"""Docstring with its doctests in fences, and without the `::` of a literal block.

    >>> print(fenced_examples("Adds.\n\n>>> 1 + 1\n2"))
    Adds.
    <BLANKLINE>
    ```pycon
    >>> 1 + 1
    2
    ```
    """
    paragraphs = re.split(r"\n\s*\n", text.replace("\n::\n", "\n"))
    return "\n\n".join(f"```pycon\n{part}\n```" if part.startswith(">>> ") else part for part in paragraphs)
