"""What commands say about flags that have no effect."""

from collections.abc import Mapping
from typing import Any

from dynamics.cli.flags import with_flags
from dynamics.experiment.config import Config
from dynamics.experiment.idle import without_effect
from dynamics.objectives.registry import OBJECTIVES
from dynamics.support.progress import note


def note_idle(config: Config, dynamics: str | None = None, others: Mapping[str, Any] | None = None) -> None:
    """Note each setting that was given and has no effect.

    Parameters
    ----------
    config : Config
        Settings of the experiment.
    dynamics : str, optional
        Name of the solvable model, or of another objective, that is forecast in place of the experiment.
    others : mapping
        Flags besides the settings which it does not look at, and what they are; None where they were not given.
    """
    reasons = dict(without_effect(config, solvable=dynamics is not None and dynamics not in OBJECTIVES))
    reasons |= {name: f"{dynamics} has no use for it" for name, value in (others or {}).items() if value is not None}
    for name, reason in reasons.items():
        note(with_flags(f"Note: `{name}` has no effect here, because {reason}.", {*reasons, "learning_rate"}))
