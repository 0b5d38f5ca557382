"""One command draws every figure again, and every figure has such a command."""

import subprocess
import sys
from pathlib import Path

import pytest

FIGURES = Path(__file__).parents[1] / "figures"
sys.path.insert(0, str(FIGURES))
from make import RECIPES  # noqa: E402

CHEAP = ("compare",)


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(FIGURES / "make.py"), *arguments], capture_output=True, text=True, timeout=900
    )


def kept(name):
    recipe = RECIPES[name]
    return {*recipe.files.values(), *recipe.data_files.values()}


def test_every_figure_has_a_recipe_and_a_row():
    made = {file for name in RECIPES for file in kept(name)}
    there = {path.name for kind in ("png", "pdf", "json") for path in FIGURES.glob(f"*.{kind}")}
    assert there <= made
    text = (FIGURES / "README.md").read_text()
    assert not [path for path in there if path.endswith(".png") and f"`{path}`" not in text]


def test_the_list_names_them():
    listed = run("--list").stdout
    assert all(name in listed for name in RECIPES) and "compare.png" in listed


def test_an_unknown_figure_is_named():
    result = run("no-such")
    assert result.returncode == 2 and "'no-such'" in result.stderr and "compare" in result.stderr


def test_quick_settings_stay_out_of_the_folder():
    result = run("compare", "--quick")
    assert result.returncode == 2 and "--out" in result.stderr


@pytest.mark.parametrize(
    "name", [name if name in CHEAP else pytest.param(name, marks=pytest.mark.slow) for name in RECIPES]
)
def test_quick_mode_draws(name, tmp_path):
    result = run(name, "--quick", "--out", str(tmp_path / "figures"), "--runs", str(tmp_path / "runs"))
    assert result.returncode == 0, result.stdout + result.stderr
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn == set(RECIPES[name].files.values())
    for picture in (tmp_path / "figures").glob("*.png"):
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
