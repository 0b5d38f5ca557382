"""Every Python block of the README runs as printed."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS[:-1], ids=range(len(BLOCKS) - 1))
def test_block_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})


def test_the_last_block_forecasts_its_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(BLOCKS[-1], "README.md", "exec"), names)
    ratios = names["dynamics"].step_times(names["forecast"]) / names["dynamics"].step_times(names["measured"])
    # descent at a fifth of the stability limit is up to 10 % slower than the flow
    assert abs(ratios - 1).max() < 0.15


def test_commands_of_the_readme_exist():
    from dynamics.cli import COMMANDS

    for command in re.findall(r"`(?:uv run )?dynamics (\w+)", README):
        assert command in COMMANDS
