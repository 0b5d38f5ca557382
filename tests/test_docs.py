"""The documentation builds without a warning and without a network, shows every public name, and its snippets run."""

import ast
import importlib
import inspect
import json
import re
import statistics
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

import dynamics
from dynamics.cli.main import COMMANDS
from dynamics.cli.recipe import recipe_commands
from dynamics.experiment.config import Config
from dynamics.recipe.config import Recipe

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS) for path in DOCS.rglob("*.md"))
TEXTS = {page.as_posix(): (DOCS / page).read_text() for page in PAGES} | {"README": (ROOT / "README.md").read_text()}
SNIPPET = re.compile(r"```python[^\n]*\n(.*?)```", flags=re.DOTALL)
OPTIONAL = ("torch", "lightning")
PACKAGES = sorted(path.parent.name for path in Path(dynamics.__file__).parent.glob("*/__init__.py"))


@pytest.mark.parametrize("page", [page for page, text in TEXTS.items() if page != "README" and SNIPPET.search(text)])
def test_snippets_of_a_page_run_in_their_order(page, tmp_path, monkeypatch):
    for library in OPTIONAL:
        if re.search(rf"^(?:import|from) {library}\b", TEXTS[page], flags=re.MULTILINE):
            pytest.importorskip(library, reason=f"{library} is not installed, and the package does not need it")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for block in SNIPPET.findall(TEXTS[page]):
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("page", TEXTS)
def test_commands_and_their_flags_exist(page):
    for line in re.findall(r"uv run (?:--no-sync )?dynamics ([^\n`#]*)", TEXTS[page]):
        command, *words = line.split()
        if not re.fullmatch(r"[a-z]+", command):  # COMMAND, --help
            continue
        available = (COMMANDS | recipe_commands(line.split()))[command]
        known = {*inspect.signature(available).parameters, "help", "help_all", "quiet", "verbose"}
        for settings in (Config, Recipe):
            if any(settings.__name__ in str(hint) for hint in get_type_hints(available).values()):
                known |= {field.name for field in fields(settings)} | {"config"}
        flags = [word[2:].replace("-", "_") for word in words if word.startswith("--")]
        assert set(flags) <= known, line


@pytest.mark.parametrize("page", TEXTS)
def test_scripts_exist(page):
    for script in re.findall(r"uv run python ([\w./]+\.py)", TEXTS[page]):
        assert (ROOT / script).is_file(), script


# ---------------------------------------------------------------- the site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocstrings", reason="mkdocs is not installed (uv sync --group docs)")
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


def test_the_site_fetches_nothing(site):
    for page in site.rglob("*.html"):
        fetched = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"?https?://[^\s\">]*", page.read_text())
        assert not fetched, f"{page.name}: {fetched[0]}"


def public_names(package):
    """Names that a package hands on; `cli` and `support` are used by their files' names."""
    return set(getattr(importlib.import_module(package), "__all__", ()))


def test_every_public_name_is_in_the_reference(site):
    anchors = {
        anchor.rsplit(".", 1)[-1]
        for page in (site / "reference").glob("*.html")
        for anchor in re.findall(r'id="(dynamics[\w.]*)"', page.read_text())
    }
    for package in ("dynamics", *(f"dynamics.{name}" for name in PACKAGES)):
        missing = public_names(package) - anchors
        assert not missing, f"{package}: {sorted(missing)}"


def test_every_documented_parameter_is_a_row_of_a_table_in_the_reference(site):
    """A docstring that is read in another style than its own becomes one paragraph, and the build does not mind."""
    sections = {}
    for page in (site / "reference").glob("*.html"):
        _, *parts = re.split(r'id="(dynamics[\w.]*)"', page.read_text())
        for anchor, html in zip(parts[::2], parts[1::2], strict=True):
            sections.setdefault(anchor.rsplit(".", 1)[-1], []).append(html)
    for package in (f"dynamics.{name}" for name in PACKAGES):
        for name in public_names(package):
            thing = getattr(importlib.import_module(package), name)
            rows = [
                set(re.findall(r'<tr class="doc-section-item">\s*<td>\s*<code>\**([^<]*)</code>', html))
                for html in sections.get(name, [])
            ]
            documented = documented_parameters(thing.__doc__ or "")
            assert not documented or any(documented <= names for names in rows), f"{package}.{name}: {documented}"


def test_formulas_are_typeset(site):
    assert (site / "explanation" / "mathematics.html").read_text().count('display="block"') > 10
    for page in site.rglob("*.html"):
        assert 'class="arithmatex"' not in page.read_text(), page.name


def test_links_between_pages_hold_in_the_repository_as_well():
    """So that they can be followed on a code host, where nothing has been built."""
    for page in PAGES:
        for target in re.findall(r"\]\((?!http|#)([^)#\s]+)(?:#[^)]*)?\)", TEXTS[page.as_posix()]):
            assert (DOCS / page.parent / target).exists(), f"{page}: {target}"


# ---------------------------------------------------------------- the docstrings behind the reference


def documented_parameters(docstring):
    """Names in the `Parameters` section of a NumPy docstring."""
    section = re.search(r"Parameters\n-+\n(.*?)(?=\n\w[^\n]*\n-+\n|\Z)", inspect.cleandoc(docstring), flags=re.DOTALL)
    lines = section[1].splitlines() if section else []
    heads = [line.split(":")[0] for line in lines if line[:1].strip()]
    return {name.strip(" *") for head in heads for name in head.split(",")}


@pytest.mark.parametrize("package", ["dynamics", *(f"dynamics.{name}" for name in PACKAGES)])
def test_documented_parameters_exist(package):
    module = importlib.import_module(package)
    for name in public_names(package):
        thing = getattr(module, name)
        if not (inspect.isfunction(thing) or inspect.isclass(thing)) or not thing.__doc__:
            continue
        known = set(inspect.signature(thing).parameters)
        assert documented_parameters(thing.__doc__) <= known, f"{package}.{name}"


def test_a_parameter_that_does_not_exist_is_found():
    text = "Do.\n\nParameters\n----------\na, b : int\n    Two: numbers.\n*rest\n\nReturns\n-------\nint\n"
    assert documented_parameters(text) == {"a", "b", "rest"}


def test_no_snippet_is_left_out():
    """A fence that opens as Python but not at the start of a line would escape the test above."""
    for page, text in TEXTS.items():
        assert len(SNIPPET.findall(text)) == text.count("```python"), page
        for block in SNIPPET.findall(text):
            ast.parse(block)


def test_public_names_that_pages_use_exist():
    for page, text in TEXTS.items():
        if page == "changelog.md":  # it also names what is gone
            continue
        for name in re.findall(r"`dynamics\.(\w+)[`(]", text):
            assert hasattr(dynamics, name) or importlib.util.find_spec(f"dynamics.{name}"), f"{page}: dynamics.{name}"


def test_the_citation_names_this_version():
    yaml = pytest.importorskip("yaml", reason="comes with mkdocs")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"] and citation["license"] == project["license"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_the_table_of_errors_is_what_was_measured():
    """Medians over the seeds, from the numbers beside the figure."""
    rows = json.loads((ROOT / "figures" / "width_sweep.json").read_text())["rows"]
    errors = {}
    for row in rows:
        for rung, error in row["errors"].items():
            errors.setdefault((row["network"], row["start"], str(row["width"])), {}).setdefault(rung, []).append(error)
    text = TEXTS["explanation/what-is-predicted.md"]
    table = re.findall(r"^\| (MLP|ResNet), (\w+) \| (\d+) \| (.*) \|$", text, flags=re.MULTILINE)
    assert len(table) == len(errors)
    for network, start, width, cells in table:
        measured = errors[network.lower(), start, width]
        columns = ("ode", "matrix_ode", "linearised", "bilinear", "relinearised", "infinite_width")
        for rung, cell in zip(columns, cells.split(" | "), strict=True):
            if cell == "–":
                assert rung not in measured
            else:
                assert f"{float(cell.removesuffix(' %')):.2g}" == f"{100 * statistics.median(measured[rung]):.2g}"


def test_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXTS["README"]):
        assert (ROOT / target).exists(), target
