"""The ladder in the code is the one in the README and the documentation, and models are named after it."""

import ast
import re
from pathlib import Path

import pytest

import dynamics
from dynamics.trajectories.ladder import LADDER, VARIANTS, Rung, in_order, main_forecast, rung

PACKAGE = Path(dynamics.__file__).parent
ROOT = PACKAGE.parent
NAMES = {known.name for known in (*LADDER, *VARIANTS)}


def test_names_are_unique_and_the_rungs_ascend():
    assert len(NAMES) == len(LADDER) + len(VARIANTS)
    orders = [known.order for known in LADDER]
    assert orders == sorted(set(orders)) and all(known.order is None for known in VARIANTS)


@pytest.mark.parametrize("page", ["README.md", "docs/explanation/ladder.md"])
def test_the_ladder_of_a_page_is_that_of_the_code(page):
    lines = (ROOT / page).read_text().splitlines()
    start = lines.index("| rung | model | drops the assumption that … | name |")
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    assert rows == [[known.number, known.model, known.drops, f"`{known.name}`"] for known in LADDER]


def named_rungs():
    """(file and line, name) of every model that the package names: `rung="…"`, and the parameter's default."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "rung":
                values = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
            elif isinstance(node, ast.FunctionDef):
                arguments = node.args
                positional = arguments.posonlyargs + arguments.args
                defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
                named = zip(positional + arguments.kwonlyargs, defaults + arguments.kw_defaults, strict=True)
                values = [value for argument, value in named if argument.arg == "rung"]
            else:
                continue
            for value in values:
                if isinstance(value, ast.Constant):
                    yield f"{path.relative_to(PACKAGE)}:{value.lineno}", value.value


def test_models_of_the_package_are_known_to_the_ladder():
    found = dict(named_rungs())
    assert {"ode", "matrix_ode", "closed_form", "linearised", "network", "directpred"} <= set(found.values())
    assert {where: name for where, name in found.items() if name not in NAMES} == {}


def test_every_trajectory_of_the_package_says_who_made_it():
    unnamed = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Trajectory"
            if made and not {"rung", None} & {keyword.arg for keyword in node.keywords}:
                unnamed.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert unnamed == []


def test_measured_rungs_are_solid_and_theory_is_dashed():
    for known in (*LADDER, *VARIANTS):
        assert (known.line[1] == "-") == known.is_measured, known.name
    assert [known.name for known in LADDER if known.is_measured] == ["network", "recipe"]


def test_rungs_that_are_drawn_together_look_different():
    theory = [known for known in LADDER if not known.is_measured]
    for look in ("line", "marker"):
        assert len({getattr(known, look) for known in theory}) == len(theory), look


def test_a_half_is_printed_as_one():
    assert [Rung("x", "x", order).number for order in (0.0, 1.5, 4.0, None)] == ["0", "1½", "4", ""]


def test_an_unknown_model_comes_last_and_has_a_name():
    assert rung("my_own").label == "my own" and rung("my_own").order is None and not rung("my_own").is_measured
    assert in_order(["my_own", "b_own", "network", "updated", "ode"]) == [
        "ode",
        "network",
        "updated",
        "my_own",
        "b_own",
    ]


def test_a_figure_with_room_for_one_forecast_shows_the_highest_flow():
    assert main_forecast([]) is None
    assert main_forecast(["closed_form", "linearised", "ode"]) == "ode"
    assert main_forecast(["ode", "matrix_ode"]) == "matrix_ode"
    assert main_forecast(["updated", "linearised", "closed_form"]) == "closed_form"


def test_the_colours_of_the_pages_are_hexadecimal_or_grey():
    """The report writes them into style sheets as they are."""
    for known in (*LADDER, *VARIANTS):
        assert re.fullmatch(r"#[0-9a-f]{6}|0?\.\d+|0\.\d+", known.line[0]), known.name
