"""What a probe will read of the labels: on the forecast of an experiment, and on its network while it trains.

The representation with r learned modes is their span with known scales, up to a rotation that no probe sees. So the
score of a probe after each step is forecast from the modes alone, on the training views and, by the mode functions, on
views of images that were held out.

>>> from dynamics.experiment import Config, prepare
>>> from dynamics.experiment.labels import LabelReader
>>> config = Config(num_pairs=16, dim=2, network="mlp", width=32, depth=1, labels=True)
>>> sorted(LabelReader(prepare(config)).frozen().metrics)
['knn_accuracy', 'linear_accuracy', 'linear_accuracy_on_pairs']
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from dynamics.errors import ConfigError
from dynamics.experiment.preparation import Experiment
from dynamics.flow.bilinear import bilinear_descent
from dynamics.flow.ode import kernel_flow
from dynamics.flow.reduction import Reduction
from dynamics.support.precision import full_precision
from dynamics.trajectories.label_scores import LabelProbe, with_scores
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Views
from dynamics.views import Pairs

PROBED = 100
"""Records at which labels are read, where a run has more."""


@dataclass(frozen=True, eq=False)
class LabelReader:
    """Reads the labels of an experiment with held-out pairs.

    Parameters
    ----------
    experiment : Experiment
        The experiment.

    Raises
    ------
    ConfigError
        If the experiment has no held-out pairs.
    """

    experiment: Experiment

    def __post_init__(self) -> None:
        if self.experiment.held_out is None:
            raise ConfigError("Labels can be read only where there are held-out pairs; prepare with `labels`.")

    @property
    def held_out(self) -> Pairs:
        """The pairs that are not trained on."""
        assert self.experiment.held_out is not None  # a reader without them is refused
        return self.experiment.held_out

    @cached_property
    def probe(self) -> LabelProbe:
        """Labels of the training views and of the held-out views."""
        return LabelProbe(self.experiment.pairs.stacked_labels, self.held_out.stacked_labels)

    @property
    def test_views(self) -> Views:
        """Both views of the held-out pairs, (2m, …)."""
        return self.held_out.stacked

    @property
    def records(self) -> Int[np.ndarray, " probed"]:
        """Indices of the records of the run at which labels are read."""
        return probed(len(self.experiment.schedule.record_at))

    def frozen(self) -> Trajectory:
        """Rung 1, the flow of the frozen kernel, with the scores of the probes among its metrics."""
        experiment = self.experiment
        modes, times = experiment.kernel.modes, experiment.frozen_schedule.times
        run = kernel_flow(modes, experiment.initial_embeddings, times, embedding_times=times[probed(len(times))])
        F = run.embeddings
        assert F is not None
        test = carried(experiment, F, self.test_views, self._embed)
        return with_scores(replace(run, embeddings=np.concatenate([F, test], axis=1)), self.probe)

    def bilinear(self, reduction: Reduction) -> Trajectory:
        """Rung 2½, with the scores of the probes among its metrics.

        Parameters
        ----------
        reduction : Reduction
            The reduced model of the network on the training views and, as test points, on `test_views`.
        """
        schedule = self.experiment.schedule
        run = bilinear_descent(reduction.model, schedule.learning_rate, schedule.record_at, keep_embeddings=True)
        assert run.embeddings is not None and run.embedding_times is not None
        chosen = {"embeddings": run.embeddings[self.records], "embedding_times": run.embedding_times[self.records]}
        return with_scores(replace(run, **chosen), self.probe)

    def measure(self) -> Callable[[int, Any], dict[str, float]]:
        """Return what `gradient_descent` calls with step and parameters to read the labels from the network."""
        steps = set(self.experiment.schedule.record_at[self.records].tolist())
        views = len(self.probe.train)

        def read(step: int, params: Any) -> dict[str, float]:
            if step not in steps:
                return {}
            F = self._embed(params)
            return self.probe.scores(F[:views], F[views:])

        return read

    @cached_property
    def _embed(self) -> Callable[[Any], Float[np.ndarray, "points dim"]]:
        return embedder(self.experiment, self.test_views)


def probed(count: int) -> Int[np.ndarray, " probed"]:
    """Indices of the records at which labels are read, `PROBED` of so many, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(PROBED, count)).round().astype(int))


def carried(
    experiment: Experiment,
    embeddings: Float[np.ndarray, "times trained dim"],
    views: Views,
    embed: Callable[[Any], Float[np.ndarray, "points dim"]],
) -> Float[np.ndarray, "times others dim"]:
    """Embeddings of other views than those of the training, as the frozen kernel has them.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    embeddings : array (T, 2n, d)
        Embeddings of the training views in the course of the flow (`kernel_flow`).
    views : array (b, …)
        The other views.
    embed : callable
        What `embedder` returns for these views.

    Returns
    -------
    array (T, b, d)
        A function moves within the span of the kernel: by φ(x) times what its mode coordinates change.
    """
    modes, start = experiment.kernel.modes, embed(experiment.network.params)
    resting, functions = start[embeddings.shape[1] :], experiment.kernel.functions(views)
    moved = [functions @ modes.coordinates(late - experiment.initial_embeddings) for late in embeddings]
    return resting + np.reshape(moved, (len(embeddings), *resting.shape))  # there may be no times


def embedder(experiment: Experiment, views: Views) -> Callable[[Any], Float[np.ndarray, "points dim"]]:
    """Function parameters -> embeddings (2n + b, d) of the training views and of b others, as `center` asks for.

    If the config centres, the mean embedding of the training views is subtracted from all of them.
    """
    embed = jax.jit(experiment.network.on(jnp.asarray(np.concatenate([experiment.pairs.stacked, views]))))
    count = 2 * len(experiment.pairs)

    def embedded(params: Any) -> Float[np.ndarray, "points dim"]:
        with full_precision():
            F = np.asarray(embed(params), np.float64)
        return F - F[:count].mean(axis=0) if experiment.config.center else F

    return embedded
