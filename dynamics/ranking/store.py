"""The folder of a ranking: `ranking.json`, which holds the settings and every forecast that is made."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dynamics.errors import ConfigError, DataError
from dynamics.experiment.config import Config
from dynamics.ranking.ranking import AugmentationForecast, Ranking
from dynamics.support import files
from dynamics.support.schema import load_record, not_ours

RANKING = "ranking.json"


class _Stored(msgspec.Struct):
    """The form of `ranking.json`."""

    dataset: str
    settings: dict[str, Any]
    forecasts: list[AugmentationForecast]


@dataclass(frozen=True, eq=False)
class Ledger:
    """Forecasts by augmentation and seed, in memory and, where there is a folder, in its file.

    Parameters
    ----------
    path : Path, optional
        The file.
    dataset : str
        Name of the data set.
    settings : mapping
        What all forecasts share.
    done : dict
        (augmentation, seed) -> forecast.
    """

    path: Path | None
    dataset: str
    settings: dict[str, Any]
    done: dict[tuple[str, int], AugmentationForecast]

    @staticmethod
    def open(folder: str | Path | None, config: Config, held_out: int) -> "Ledger":
        """Read what a folder holds of the ranking; it is created if it is not there.

        Raises
        ------
        ConfigError
            If the folder cannot be written, or holds a ranking with other settings.
        DataError
            If its file is damaged.
        """
        settings = {name: value for name, value in config.to_dict().items() if name not in _FREE} | {
            "held_out": held_out
        }
        if folder is None:
            return Ledger(None, config.dataset, settings, {})
        path = files.output_folder(folder) / RANKING
        if not path.is_file():
            return Ledger(path, config.dataset, settings, {})
        stored = _read(path)
        if stored.settings != json.loads(json.dumps(settings)):
            raise ConfigError(
                f"{folder} holds a ranking with other settings; give the same settings to go on with it, or another "
                "folder."
            )
        return Ledger(path, config.dataset, settings, {(f.augmentation, f.seed): f for f in stored.forecasts})

    def add(self, forecast: AugmentationForecast) -> None:
        """Keep a forecast; `ConfigError` if the file cannot be written."""
        self.done[forecast.augmentation, forecast.seed] = forecast
        if self.path is not None:
            stored = _Stored(self.dataset, self.settings, list(self.done.values()))
            files.save_json(self.path, msgspec.to_builtins(stored))


_FREE = (*Config.WITHOUT_EFFECT, "augmentation", "seed", "labels")  # settings that vary, or change no number


def read_ranking(folder: str | Path) -> Ranking:
    """Read the ranking of all augmentations and seeds that a folder holds.

    Raises
    ------
    DataError
        If the folder holds no ranking, or its file is damaged.
    """
    path = files.expanded(folder) / RANKING
    if not path.is_file():
        raise DataError(f"{folder}: holds no ranking (no {RANKING}); give the folder that `dynamics rank` wrote.")
    stored = _read(path)
    if not stored.forecasts:
        raise not_ours(path, "it has no `forecasts`")
    return Ranking(stored.dataset, stored.forecasts)


def _read(path: Path) -> _Stored:
    stored: _Stored = load_record(path, _Stored)
    for found in stored.forecasts:
        if not len(found.eigenvalues) == len(found.steps) >= max(len(found.linear), len(found.knn), 1):
            raise not_ours(path, f"the forecast of {found.augmentation} has numbers of another dimension")
    if len({len(found.eigenvalues) for found in stored.forecasts}) > 1:
        raise not_ours(path, "its forecasts differ in their dimensions")
    return stored
