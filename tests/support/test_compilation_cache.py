"""Compiled programs that are kept, where that is wanted."""

from pathlib import Path

import jax
import pytest

from dynamics.support.compilation_cache import keep_compiled


@pytest.fixture
def setting(monkeypatch):
    """What would be set, without setting it."""
    made = {}
    monkeypatch.setattr(jax.config, "update", made.__setitem__)
    return made


def test_a_cpu_keeps_nothing(setting):
    if jax.default_backend() != "cpu":
        pytest.skip("there is an accelerator")
    assert keep_compiled() is None and setting == {}


def test_an_accelerator_keeps_programs_in_the_users_cache(setting, monkeypatch, tmp_path):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    assert keep_compiled() == tmp_path / "dynamics" / "compiled"
    assert setting == {"jax_compilation_cache_dir": str(tmp_path / "dynamics" / "compiled")}


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [("jax_enable_compilation_cache", False, None), ("jax_compilation_cache_dir", "elsewhere", Path("elsewhere"))],
)
def test_the_users_own_settings_go_first(variable, value, expected, monkeypatch):
    before = getattr(jax.config, variable)
    jax.config.update(variable, value)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(jax, "default_backend", lambda: "gpu")
            assert keep_compiled() == expected
        assert getattr(jax.config, variable) == value
    finally:
        jax.config.update(variable, before)


def test_a_folder_that_cannot_be_written_is_left_alone(setting, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "file")
    assert keep_compiled() is None and setting == {}
