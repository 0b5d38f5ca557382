"""How well labels can be read from embeddings: the scores of probes, for embeddings and along a trajectory.

>>> import numpy as np
>>> from dynamics.trajectories.label_scores import LabelProbe
>>> Z = np.repeat([[-1.0, 0.1], [1.0, 0.1]], 20, axis=0)
>>> probe = LabelProbe(np.repeat([3, 8], 20), np.array([3, 8]))
>>> probe.scores(Z, np.array([[-2.0, 0.1], [2.0, 0.1]]))
{'linear_accuracy': 1.0, 'knn_accuracy': 1.0, 'linear_accuracy_on_pairs': 1.0}
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from dynamics.errors import ConfigError
from dynamics.support.one_line import one_line
from dynamics.trajectories.comparison import learning_times
from dynamics.trajectories.ladder import in_order
from dynamics.trajectories.probes import knn_probe, knn_regression, linear_probe, linear_regression
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Array

ACCURACY = ("linear_accuracy", "knn_accuracy", "linear_accuracy_on_pairs")
R2 = ("linear_r2", "knn_r2", "linear_r2_on_pairs")


@dataclass(frozen=True, eq=False)
class LabelProbe:
    """Labels that probes are fitted to, those of the training views, and labels of the held-out views.

    Parameters
    ----------
    train : array (2n,) or (2n, t)
        Labels of the training views: classes as integers, booleans or text; or t real targets as floating-point
        numbers.
    test : array (2m,) or (2m, t)
        Labels of the held-out views.

    Raises
    ------
    ConfigError
        If the training views have one class only, so that nothing can be told apart.
    """

    train: Shaped[np.ndarray, "train *targets"]
    test: Shaped[np.ndarray, "test *targets"]

    __repr__ = one_line

    def __post_init__(self) -> None:
        if not self.is_regression and len(np.unique(self.train)) < 2:
            raise ConfigError("A probe of labels needs at least two classes among the training views.")

    @property
    def is_regression(self) -> bool:
        """Whether the labels are real targets, which are scored by R² and not by accuracy."""
        return self.train.dtype.kind == "f"

    @property
    def names(self) -> tuple[str, str, str]:
        """Names of the three scores: linear and k-NN on the held-out views, linear on the training views."""
        return R2 if self.is_regression else ACCURACY

    @property
    def chance(self) -> float:
        """Score of the best guess that looks at no embedding: the most frequent class of the held-out views, or 0."""
        if self.is_regression:
            return 0.0
        return float(np.unique(self.test, return_counts=True)[1].max() / len(self.test))

    def scores(self, train: Float[Array, "train dim"], test: Float[Array, "test dim"]) -> dict[str, float]:
        """Scores of a linear and of a 20-nearest-neighbours probe, by `names`; NaN where all embeddings are the same.

        Parameters
        ----------
        train, test : arrays (2n, d), (2m, d)
            Embeddings of the training views, to which the probes are fitted, and of the held-out views.
        """
        given: Any = (train, self.train, test, self.test)
        if not (np.isfinite(train).all() and np.isfinite(test).all() and np.ptp(train, axis=0).any()):
            return dict.fromkeys(self.names, np.nan)
        linear = linear_regression(*given) if self.is_regression else linear_probe(*given)
        nearest = knn_regression(*given) if self.is_regression else knn_probe(*given)
        return dict(zip(self.names, (linear.test, nearest, linear.train), strict=True))


def with_scores(trajectory: Trajectory, probe: LabelProbe, *, keep_embeddings: bool = False) -> Trajectory:
    """The trajectory with the scores of a probe among its `metrics`, at the records that have embeddings.

    Parameters
    ----------
    trajectory : Trajectory
        A trajectory with `embeddings` of the training views and, as its `test_points`, of the held-out views.
    probe : LabelProbe
        Labels of both.
    keep_embeddings : bool
        Whether the embeddings stay in the trajectory.

    Raises
    ------
    ConfigError
        If the trajectory has no embeddings of the views that are labelled.
    """
    embeddings, times, views = trajectory.embeddings, trajectory.embedding_times, len(probe.train)
    if embeddings is None or times is None or embeddings.shape[1] != views + len(probe.test):
        raise ConfigError(
            f"The {trajectory.rung} trajectory lacks embeddings of the {views} training views and of the "
            f"{len(probe.test)} held-out views, so that no labels can be read from them."
        )
    metrics = {name: np.full(len(trajectory.times), np.nan) for name in probe.names}
    for record, F in zip(np.searchsorted(trajectory.times, times), embeddings, strict=True):
        for name, score in probe.scores(F[:views], F[views:]).items():
            metrics[name][record] = score
    scored = replace(trajectory, metrics={**trajectory.metrics, **metrics})
    return scored if keep_embeddings else replace(scored, embeddings=None, embedding_times=None, test_points=0)


def score_names(trajectory: Trajectory) -> tuple[str, str, str] | None:
    """Names of the scores that a trajectory has among its metrics, as `LabelProbe.names`; None without scores."""
    return next((names for names in (ACCURACY, R2) if set(names) <= set(trajectory.metrics)), None)


def scored_forecast(forecasts: Mapping[str, Trajectory]) -> Trajectory | None:
    """The highest rung of a ladder of forecasts that has scores; None if none has."""
    scored = [name for name in in_order(forecasts) if score_names(forecasts[name]) is not None]
    return forecasts[scored[-1]] if scored else None


def plateau_starts(trajectory: Trajectory) -> Float[np.ndarray, " plateaus"]:
    """Effective times at which the dimensions that are learned by the end are half learned, ascending."""
    steps = learning_times(trajectory)
    return np.sort(steps[np.isfinite(steps) & (steps <= trajectory.times[-1])])


def plateau_times(trajectory: Trajectory) -> Float[np.ndarray, " plateaus"]:
    """Effective time in the middle of the plateau after each step; after the last step, between it and the end."""
    starts = plateau_starts(trajectory)
    return (starts + np.append(starts[1:], trajectory.times[-1])[: len(starts)]) / 2


def at_plateaus(trajectory: Trajectory, metric: str) -> Float[np.ndarray, " plateaus"]:
    """A metric in the middle of each plateau (`plateau_times`), at the nearest record at which it was evaluated."""
    values = trajectory.metrics[metric]
    evaluated = np.flatnonzero(np.isfinite(values))
    if not evaluated.size:
        return np.full(len(plateau_times(trajectory)), np.nan)
    nearest = np.abs(trajectory.times[evaluated] - plateau_times(trajectory)[:, None]).argmin(axis=1)
    return values[evaluated[nearest]]
