"""Folders see each other in one direction only, and importing the package does nothing but import it."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import dynamics

PACKAGE = Path(dynamics.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
LOOSE = {"__init__.py", "__main__.py", "errors.py", "typing.py"}
MAX_LINES = 450

ANYWHERE = {"errors", "typing", "support"}
EVERYTHING = None

# A folder of the package -> what its files may import of the package besides each other, wherever in a file the import
# stands. The rules behind the table:
# - support, errors and typing know nothing of self-supervised learning;
# - networks see of the objectives what projectors look like in their papers, which is data;
# - modes see neither kernels nor networks: a Gram matrix or features are all that they ask for;
# - flow (theory) and training (networks) never see each other, and trajectories, which both return, see neither;
# - drawing sees trajectories only, so that whatever returns one can be drawn;
# - training knows no recipe; experiment (rungs 0-3) and recipe (rung 4) do not know each other;
# - only the command line, the studies and the names of the package may see everything.
MAY_SEE = {
    "errors": set(),
    "typing": set(),
    "support": {"errors"},
    "views": ANYWHERE,
    "networks": ANYWHERE | {"objectives"},
    "kernels": ANYWHERE | {"networks"},
    "objectives": ANYWHERE,
    "modes": ANYWHERE,
    "trajectories": ANYWHERE | {"modes"},
    "flow": ANYWHERE | {"modes", "objectives", "trajectories"},
    "optima": ANYWHERE | {"modes", "objectives"},
    "solvable": ANYWHERE | {"modes", "flow", "trajectories"},
    "function_classes": ANYWHERE | {"modes", "objectives", "views"},
    "training": ANYWHERE | {"modes", "objectives", "trajectories", "views", "networks", "kernels", "function_classes"},
    "generative": ANYWHERE | {"objectives", "views", "networks", "flow", "trajectories", "training"},
    "callbacks": ANYWHERE | {"training", "trajectories"},
    "drawing": ANYWHERE | {"trajectories"},
    "experiment": ANYWHERE
    | {"views", "networks", "kernels", "modes", "objectives", "flow", "solvable", "trajectories", "training"},
    "recipe": ANYWHERE | {"views", "networks", "kernels", "modes", "objectives", "flow", "trajectories", "training"},
    "runs": ANYWHERE | {"modes", "trajectories", "training", "experiment", "recipe"},
    "report": ANYWHERE | {"trajectories", "drawing", "runs", "sweeps"},
    "sweeps": ANYWHERE | {"views", "trajectories", "drawing", "experiment", "recipe", "runs"},
    "ranking": ANYWHERE | {"views", "flow", "trajectories", "drawing", "experiment"},
    "diagnosis": ANYWHERE | {"trajectories"},
    "studies": EVERYTHING,
    "cli": EVERYTHING,
    "__main__": {"cli"},
    "__init__": EVERYTHING,
}

HELP = {Path("experiment/config.py"), Path("recipe/config.py")}  # the documentation of their fields is what --help says
PRINTING = {Path("support/progress.py")}


def folder_of(path):
    """First part of the path below the package: `flow` of flow/ode.py, `errors` of errors.py."""
    return path.parts[0].removesuffix(".py")


def parsed(path):
    return ast.parse((PACKAGE / path).read_text())


def module_name(path):
    return ".".join(("dynamics", *path.with_suffix("").parts)).removesuffix(".__init__")


NAMES = {module_name(path): path for path in MODULES}


def imported(path):
    """Files of the package that a file imports, at its top or inside a function."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in NAMES else node.module for name in inner]
        else:
            continue
        yield from (NAMES[name] for name in names if name in NAMES)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_go_one_way(path):
    folder = folder_of(path)
    assert folder in MAY_SEE, f"dynamics/{folder} is new: give it a row in MAY_SEE"
    if MAY_SEE[folder] is EVERYTHING:
        return
    for other in map(folder_of, imported(path)):
        assert other == folder or other in MAY_SEE[folder], f"{path} must not import dynamics.{other}"


def test_no_file_imports_itself_through_others():
    TopologicalSorter({path: set(imported(path)) for path in MODULES}).prepare()  # CycleError names the files


def test_folders_can_be_put_in_an_order():
    rules = {folder: others for folder, others in MAY_SEE.items() if others is not EVERYTHING}
    TopologicalSorter(rules).prepare()


def test_folders_that_never_see_each_other():
    for one, other in (("flow", "training"), ("experiment", "recipe")):
        assert other not in MAY_SEE[one] and one not in MAY_SEE[other]
    assert not MAY_SEE["modes"] & {"kernels", "networks"}
    assert not MAY_SEE["trajectories"] & {"flow", "training"}


def test_nothing_but_errors_and_types_lies_loose():
    assert {path.name for path in MODULES if len(path.parts) == 1} == LOOSE


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_modules_stay_short(path):
    assert len((PACKAGE / path).read_text().splitlines()) <= MAX_LINES


# ---------------------------------------------------------------- what only the command line does


def documentation(tree):
    """Ids of the string constants that are statements: docstrings, and those below a field or a constant."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


@pytest.mark.parametrize("path", [path for path in MODULES if folder_of(path) != "cli"], ids=str)
def test_only_the_command_line_names_flags(path):
    """Others name their own arguments, in messages and in documentation, since a caller in Python knows no flags."""
    tree = parsed(path)
    documents = documentation(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if path in HELP and id(node) in documents:
            continue
        flag = re.search(r"(?<![\w-])--[a-z][\w-]*", node.value)
        assert flag is None, f"{path}:{node.lineno} names the flag {flag[0]}"


@pytest.mark.parametrize("path", [path for path in MODULES if folder_of(path) != "cli"], ids=str)
def test_only_the_command_line_and_the_progress_bar_print(path):
    if path in PRINTING:
        return
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            assert getattr(node.func, "id", None) != "print", f"{path}:{node.lineno} prints"
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        assert all(name.split(".")[0] != "rich" for name in names), f"{path}:{node.lineno} imports rich"


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


def loads_nothing_of(code, heavy):
    run_fresh(f"import sys\n{code}\nloaded = set({heavy!r}) & set(sys.modules)\nassert not loaded, loaded")


def test_import_loads_nothing_heavy():
    loads_nothing_of("import dynamics", ("numpy", "jax", "flax", "matplotlib", "importlib.metadata"))


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["compare", "--help"]], ids=" ".join)
def test_help_needs_no_jax(arguments):
    loads_nothing_of(
        f"from dynamics.cli.main import main\ntry:\n    main({arguments!r})\nexcept SystemExit:\n    pass",
        ("jax", "flax", "matplotlib", "scipy"),
    )


def test_using_a_public_name_loads_no_more_than_it_needs():
    loads_nothing_of(
        "from dynamics import contrastive_modes, closed_form, Trajectory" + NO_SIDE_EFFECTS,
        ("tensorflow", "neural_tangents", "matplotlib", "sklearn", "diffrax"),
    )


def test_no_module_starts_a_device_or_changes_a_setting():
    names = [name for name in NAMES if not name.endswith("__main__")]
    run_fresh(
        f"import importlib, os, sys\nfor name in {names!r}:\n    importlib.import_module(name)\n"
        "assert 'tensorflow' not in sys.modules and 'tf2jax' not in sys.modules\n" + NO_SIDE_EFFECTS
    )


def test_every_public_name_exists():
    run_fresh("import dynamics\nfor name in dynamics.__all__: getattr(dynamics, name)")


def test_editors_see_what_is_there():
    """The stub, which editors and type checkers read, lists the names that the package has."""
    (listed,) = (
        ast.literal_eval(node.value)
        for node in ast.parse((PACKAGE / "__init__.pyi").read_text()).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    )
    assert sorted(listed) == sorted(dynamics.__all__) and (PACKAGE / "py.typed").is_file()


def test_version_is_that_of_the_project():
    project = (PACKAGE.parent / "pyproject.toml").read_text()
    assert f'\nversion = "{dynamics.__version__}"\n' in project
