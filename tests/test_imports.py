"""Importing the package does nothing but import it, and modules import each other in one direction only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dynamics

PACKAGE = Path(dynamics.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
MAX_LINES = 500

LEAVES = {"arrays", "errors", "precision", "typing", "files", "progress", "environment", "config", "recipe"}
TYPES = {"modes", "trajectory"}
EVERYTHING = None

# A module or folder of the package -> what it may import of the package besides itself. Views, networks and kernels
# come before modes, modes before flow; flow and training never see each other; a new package is a new row.
ALLOWED = {
    "arrays": set(),
    "errors": set(),
    "precision": set(),
    "typing": set(),
    "progress": set(),
    "environment": set(),
    "config": {"errors"},
    "recipe": {"errors"},
    "files": {"errors"},
    "products": LEAVES,
    "modes": LEAVES,
    "modes_iterative": LEAVES | TYPES | {"products"},
    "restricted": LEAVES,
    "modes_approximate": LEAVES | TYPES,
    "trajectory": LEAVES,
    "objectives": LEAVES,
    "views": LEAVES,
    "networks": LEAVES,
    "kernels": LEAVES | {"networks"},
    "function_classes": LEAVES | {"restricted", "objectives", "views"},
    "metrics": LEAVES | TYPES,
    "flow": LEAVES | TYPES | {"objectives"},
    "solvable": LEAVES | TYPES | {"objectives", "flow"},
    "optima": LEAVES | TYPES | {"objectives", "flow"},
    "training": LEAVES | TYPES | {"objectives", "views", "networks", "kernels", "metrics", "function_classes"},
    "generative": LEAVES | TYPES | {"objectives", "views", "networks", "metrics", "flow", "training"},
    "comparison": LEAVES | TYPES | {"metrics"},
    "plotting": LEAVES | TYPES | {"comparison"},
    "experiment": EVERYTHING,
    "practical": EVERYTHING,
    "recipe_comparison": EVERYTHING,
    "recipe_runs": LEAVES | TYPES | {"training"},
    "solving": EVERYTHING,
    "forecasting": LEAVES | TYPES | {"comparison", "experiment", "flow", "kernels", "networks", "views"},
    "runs": LEAVES | TYPES | {"comparison", "experiment"},
    "tables": LEAVES | TYPES | {"comparison", "experiment", "forecasting", "plotting"},
    "report": LEAVES | TYPES | {"comparison", "plotting", "runs"},
    "sweeps": LEAVES | TYPES | {"experiment", "plotting", "runs"},
    "studies": EVERYTHING,
    "console": EVERYTHING,
    "recipe_commands": EVERYTHING,
    "cli": EVERYTHING,
    "__main__": {"cli"},
    "__init__": EVERYTHING,
}

# Imports inside a function, against the direction, each with its reason.
LAZY = {
    ("networks/base.py", "kernels"): "an architecture offers its own infinite-width kernel as a method",
}


def unit_of(path):
    """First part of the path below the package: `flow` of flow/ode.py, `modes` of modes.py."""
    return path.parts[0].removesuffix(".py")


def imported_units(path):
    """(unit, whether the import stands at the top level) for every import of the package in a module."""
    tree = ast.parse((PACKAGE / path).read_text())
    top_level = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            names = [node.module]
            if node.module == "dynamics":
                names = [f"dynamics.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "dynamics":
                yield [*name.split("."), "__init__"][1], id(node) in top_level


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_go_one_way(path):
    unit = unit_of(path)
    assert unit in ALLOWED, f"dynamics/{unit} is new: give it a row in ALLOWED"
    if ALLOWED[unit] is EVERYTHING:
        return
    for other, at_top_level in imported_units(path):
        if not at_top_level and (path.as_posix(), other) in LAZY:
            continue
        assert other == unit or other in ALLOWED[unit], f"{path} must not import dynamics.{other}"


def test_the_table_itself_has_no_cycle():
    """Units that may not see everything can be put in an order."""
    remaining = {unit: set(others) for unit, others in ALLOWED.items() if others is not EVERYTHING}
    remaining = {unit: others & remaining.keys() for unit, others in remaining.items()}
    while remaining:
        ready = {unit for unit, others in remaining.items() if not others - {unit}}
        assert ready, f"these import each other: {sorted(remaining)}"
        remaining = {unit: others - ready for unit, others in remaining.items() if unit not in ready}


def test_flow_and_training_never_see_each_other():
    assert "training" not in ALLOWED["flow"] and "flow" not in ALLOWED["training"]


def test_lazy_exceptions_are_still_needed():
    for path, unit in LAZY:
        assert (unit, False) in set(imported_units(Path(path))), f"{path} no longer imports {unit}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_modules_stay_short(path):
    assert len((PACKAGE / path).read_text().splitlines()) <= MAX_LINES


# ---------------------------------------------------------------- side effects, each in a fresh interpreter


def run_fresh(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


NO_SIDE_EFFECTS = """
import jax
from jax._src import xla_bridge
assert not jax.config.jax_enable_x64, "x64 was switched on"
assert not xla_bridge._backends, "a device was started"
"""


def test_import_has_no_side_effects_and_loads_nothing_heavy():
    heavy = "tensorflow", "tf2jax", "neural_tangents", "matplotlib", "sklearn", "diffrax", "flax"
    run_fresh(
        "import sys, dynamics\n"
        f"loaded = set({heavy!r}) & set(sys.modules)\n"
        "assert not loaded, loaded\n" + NO_SIDE_EFFECTS
    )


def test_using_a_public_name_loads_no_more_than_it_needs():
    heavy = "tensorflow", "neural_tangents", "matplotlib", "sklearn"
    run_fresh(
        "import sys\nfrom dynamics import contrastive_modes, closed_form, Trajectory\n"
        f"loaded = set({heavy!r}) & set(sys.modules)\n"
        "assert not loaded, loaded\n" + NO_SIDE_EFFECTS
    )


def test_no_module_starts_a_device_or_changes_a_setting():
    names = [".".join(("dynamics", *path.with_suffix("").parts)).removesuffix(".__init__") for path in MODULES]
    names = [name for name in names if not name.endswith("__main__")]
    run_fresh(
        f"import importlib, os, sys\nfor name in {names!r}:\n    importlib.import_module(name)\n"
        "assert 'tensorflow' not in sys.modules and 'tf2jax' not in sys.modules\n" + NO_SIDE_EFFECTS
    )


def test_every_public_name_exists():
    run_fresh("import dynamics\nfor name in dynamics.__all__: getattr(dynamics, name)")


def test_import_is_quick_once_jax_is_there():
    seconds = run_fresh(
        "import time, jax, numpy\nstart = time.perf_counter()\nimport dynamics\nprint(time.perf_counter() - start)"
    )
    assert float(seconds) < 1.0
