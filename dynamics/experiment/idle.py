"""Settings that were given and have no effect, because others decide.

>>> from dynamics.experiment.config import Config
>>> list(without_effect(Config(learning_rate=0.1, lr_fraction=0.2)))
['lr_fraction']
"""

from collections.abc import Mapping
from dataclasses import fields

from dynamics.experiment.config import Config
from dynamics.views.datasets import kind_of

_STEPLESS = ("learning_rate", "lr_fraction", "steps", "labels")


def without_effect(config: Config, *, solvable: bool = False) -> Mapping[str, str]:
    """Name -> reason, of the settings that differ from their defaults and yet change nothing.

    Parameters
    ----------
    config : Config
        The settings.
    solvable : bool
        Whether a solvable model is forecast, which makes no training steps, in place of the experiment.

    Raises
    ------
    DataError
        If there is no such data set.
    """
    reasons = {}
    if config.learning_rate is not None:
        reasons["lr_fraction"] = "`learning_rate` is given"
    if config.network != "group-convnet":
        reasons["group"] = f"{config.network} has no group"
    if config.dataset == "digits" or kind_of(config.dataset) in ("synthetic", "pairs"):
        reasons["data_dir"] = f"{config.dataset} has no official files"
    if kind_of(config.dataset) == "synthetic":
        reasons["augmentation"] = "synthetic pairs are no images"
    if solvable:
        reasons |= dict.fromkeys(_STEPLESS, "a solvable model makes no training steps")
    given = {field.name for field in fields(Config) if getattr(config, field.name) != field.default}
    return {name: reason for name, reason in reasons.items() if name in given}
