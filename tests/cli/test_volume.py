"""How much commands say, and what they say of flags without effect."""

import logging
import re

import pytest

from dynamics.cli.idle import note_idle
from dynamics.cli.main import main
from dynamics.cli.volume import volume
from dynamics.experiment.config import Config
from dynamics.support.progress import QUIET, note, progress_bar, stage
from dynamics.views import load_images


def say(arguments):
    """What a command does within its volume."""
    with volume(arguments) as others:
        note("a note")
        with progress_bar("a bar", total=1) as done:
            done(1, "beside it")
        logging.getLogger("dynamics.anywhere").warning("a warning")
        logging.getLogger("dynamics.anywhere").error("an error")
        load_images("digits", limit=3)
        with stage("A stage"):
            pass
    return others


@pytest.mark.parametrize(
    ("flags", "shown", "hidden"),
    [
        ([], ["a note", "a warning", "an error", "a bar", "beside it"], ["3 images", "A stage"]),
        (["--quiet"], ["an error"], ["a note", "a warning", "a bar", "3 images"]),
        (["-q"], ["an error"], ["a note"]),
        (["--verbose"], ["a note", "a warning", "3 images embedded", "A stage took 0.0 s"], []),
        (["-v"], ["3 images"], []),
    ],
)
def test_the_flags_decide_what_is_shown_and_nothing_is_left_behind(flags, shown, hidden, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # what makes rich take stderr for a terminal
    assert say(["compare", *flags, "--dim", "3"]) == ["compare", "--dim", "3"]
    text = re.sub(r"\x1b\[[0-9;?]*\w", "", capsys.readouterr().err)
    assert all(words in text for words in shown) and not any(words in text for words in hidden)
    log = logging.getLogger("dynamics")
    assert not QUIET.get() and not log.handlers and log.propagate and log.level == logging.NOTSET


def test_quiet_commands_print_errors_alone(capsys):
    assert main(["info", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["compare", "--dataset", "nope", "-q"]) == 2
    assert capsys.readouterr().err.startswith("error: There is no data set")
    assert main(["info", "--quiet", "-v"]) == 2
    assert "Give one of --quiet and --verbose" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"learning_rate": 0.1, "lr_fraction": 0.2},
            ["--lr-fraction has no effect here, because --learning-rate is given"],
        ),
        ({"network": "mlp", "group": "d4"}, ["--group has no effect here, because mlp has no group"]),
        ({"network": "group-convnet", "group": "d4", "lr_fraction": 0.2}, []),
        ({"dataset": "synthetic", "augmentation": "none"}, ["--augmentation has no effect"]),
        ({}, []),
    ],
)
def test_a_setting_without_effect_is_noted_with_its_reason(settings, says, capsys):
    note_idle(Config(**settings))
    written = capsys.readouterr().err
    assert written.count("Note: ") == len(says) and all(words in written for words in says)


def test_flags_that_a_solvable_model_does_not_look_at_are_noted(capsys):
    note_idle(Config(steps=9), "jepa", {"by_step": 3, "resume_from": None})
    written = capsys.readouterr().err
    assert "--steps has no effect here, because a solvable model makes no training steps" in written
    assert "--by-step has no effect here, because jepa has no use for it" in written and "--resume-from" not in written
    note_idle(Config(steps=9), "vicreg", {"by_step": 3})  # a flow of another objective has steps
    written = capsys.readouterr().err
    assert "--steps" not in written and "--by-step has no effect" in written
