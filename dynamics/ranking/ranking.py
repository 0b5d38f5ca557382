"""What a ranking says: of every augmentation and seed the forecast, and over the seeds the order."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from jaxtyping import Float

from dynamics.support.optional import optional

if TYPE_CHECKING:
    import pandas


class AugmentationForecast(msgspec.Struct, frozen=True):
    """The forecast for one augmentation and one seed of images, views and network.

    Parameters
    ----------
    augmentation : str
        Name of the augmentation.
    seed : int
        Seed of images, views and network.
    eigenvalues : list of float
        γ of the d strongest modes, descending.
    steps : list of float or None
        Training step at which each of the d dimensions is half learned; None for one that never is.
    linear : list of float or None
        Accuracy of the linear probe on held-out images after 1, 2, … learned dimensions; None where there is none.
    knn : list of float or None
        The same of the k-nearest-neighbours probe.
    chance : float
        Accuracy of the best guess that looks at no image.
    """

    augmentation: str
    seed: int
    eigenvalues: list[float]
    steps: list[float | None]
    linear: list[float | None]
    knn: list[float | None]
    chance: float


@dataclass(frozen=True, eq=False)
class Ranking:
    """Augmentations of one data set in the order of the accuracy that is forecast for a linear probe, the best first.

    Parameters
    ----------
    dataset : str
        Name of the data set.
    forecasts : sequence of AugmentationForecast
        One for each augmentation and seed.
    """

    dataset: str
    forecasts: Sequence[AugmentationForecast]

    def __repr__(self) -> str:
        """How many augmentations there are, and the first and the last of them, in one line."""
        first, last, count = self.rows[0], self.rows[-1], len(self.rows)
        named = f"{count} augmentation{'s' * (count > 1)} of {self.dataset}"
        best = f"best is {first['augmentation']}, linear {first['linear_accuracy']:.1%}"
        worst = f", last {last['augmentation']}, {last['linear_accuracy']:.1%}" if count > 1 else ""
        return f"<Ranking: {named}; {best}{worst}>"

    @property
    def chance(self) -> float:
        """Accuracy of the best guess that looks at no image, a mean over the seeds."""
        return float(np.mean([forecast.chance for forecast in self.forecasts]))

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """One row an augmentation, the best first; each number is a mean over the seeds.

        Keys are `augmentation`; `linear_accuracy` and `knn_accuracy` of probes after the last learned dimension, on
        held-out images; `linear_range`, the range of the former over the seeds; `seeds`, their number; `learned`,
        how many dimensions are learned, of the seed with the fewest; and the lists `eigenvalues` (γ) and `steps`
        (infinite where a dimension is never learned).
        """
        names = dict.fromkeys(forecast.augmentation for forecast in self.forecasts)
        rows = [self._row(name, [f for f in self.forecasts if f.augmentation == name]) for name in names]
        return sorted(rows, key=lambda row: (-_rank(row["linear_accuracy"]), -_rank(row["knn_accuracy"])))

    def _row(self, name: str, of_seeds: list[AugmentationForecast]) -> dict[str, Any]:
        linear = np.array([_last(forecast.linear) for forecast in of_seeds])
        knn = np.array([_last(forecast.knn) for forecast in of_seeds])
        steps = np.array([_numbers(forecast.steps, np.inf) for forecast in of_seeds])
        return {
            "augmentation": name,
            "linear_accuracy": float(linear.mean()),
            "knn_accuracy": float(knn.mean()),
            "linear_range": float(np.ptp(linear)),
            "seeds": len(of_seeds),
            "learned": int(np.isfinite(steps).sum(axis=1).min()),
            "eigenvalues": np.mean([forecast.eigenvalues for forecast in of_seeds], axis=0).tolist(),
            "steps": steps.mean(axis=0).tolist(),
        }

    def to_pandas(self) -> "pandas.DataFrame":
        """Return `rows` as a `pandas.DataFrame`, γ and steps in columns `gamma_1`, …, `step_1`, ….

        Raises
        ------
        ConfigError
            If pandas is not installed.
        """
        pandas = optional("pandas", "to_pandas")
        table = []
        for row in self.rows:
            plain = {name: value for name, value in row.items() if not isinstance(value, list)}
            for kind, values in (("gamma", row["eigenvalues"]), ("step", row["steps"])):
                plain |= {f"{kind}_{j}": value for j, value in enumerate(values, start=1)}
            table.append(plain)
        return pandas.DataFrame(table)


def _last(values: list[float | None]) -> float:
    """The accuracy after the last dimension that is learned; NaN if none is."""
    return float(_numbers(values, np.nan)[-1]) if values else np.nan


def _numbers(values: list[float | None], absent: float) -> Float[np.ndarray, " dim"]:
    return np.array([absent if value is None else value for value in values], np.float64)


def _rank(accuracy: float) -> float:
    return -1.0 if np.isnan(accuracy) else accuracy
