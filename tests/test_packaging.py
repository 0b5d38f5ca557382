"""What a plain install brings: the command, and not the 1.8 GB that one optional package asks for."""

from importlib.metadata import distribution

import dynamics

HEAVY = ("tensorflow", "tf2jax", "neural-tangents", "torch")


def test_the_distribution_installs_the_command_under_its_own_name():
    installed = distribution("ssl-dynamics")
    assert installed.version == dynamics.__version__
    commands = {entry.name for entry in installed.entry_points if entry.group == "console_scripts"}
    assert commands == {"dynamics"}


def test_what_is_heavy_comes_with_an_extra_alone():
    plain = [line for line in distribution("ssl-dynamics").requires or () if "extra ==" not in line]
    assert plain and not [line for line in plain if line.lower().startswith(HEAVY)]
