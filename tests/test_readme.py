"""Every Python block of the README runs as printed."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
OWN_NETWORK = "matrix_kernel_flow"
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", [block for block in BLOCKS if OWN_NETWORK not in block])
def test_block_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})


def test_your_own_network_is_forecast(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    (block,) = (block for block in BLOCKS if OWN_NETWORK in block)
    exec(compile(block, "README.md", "exec"), names)
    ratios = names["dynamics"].step_times(names["forecast"]) / names["dynamics"].step_times(names["measured"])
    # descent at a fifth of the stability limit is up to 10 % slower than the flow
    assert abs(ratios - 1).max() < 0.15


def test_commands_of_the_readme_exist():
    from dynamics.cli.main import COMMANDS

    for command in re.findall(r"`(?:uv run )?dynamics (\w+)", README):
        assert command in COMMANDS
