"""One augmentation, prepared: the pairs that it makes, and the images themselves, which probes read.

Views are there to learn from. What is asked in the end is how well the *images* can be told apart, so probes are fitted
to the training images and tested on others, all without augmentation, whatever made the pairs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import DataError
from dynamics.experiment.config import Config
from dynamics.experiment.labels import carried, embedder, probed
from dynamics.experiment.pairs import DEFAULT_NUM_PAIRS
from dynamics.experiment.preparation import Experiment, prepare
from dynamics.flow.ode import kernel_flow
from dynamics.ranking.ranking import AugmentationForecast
from dynamics.support.one_line import one_line
from dynamics.trajectories.label_scores import LabelProbe, plateau_times
from dynamics.views import Augmentation, Images, TwoViews, get_augmentation, make_pairs


@dataclass(frozen=True, eq=False)
class Contender:
    """One augmentation of a ranking.

    Parameters
    ----------
    augmentation : str
        Its name.
    experiment : Experiment
        The experiment with the pairs that the augmentation makes.
    images : array (n + m, h, w, c)
        The n training images and m others, without augmentation and standardised as the pairs are.
    labels : array (n + m,)
        Their classes.
    """

    augmentation: str
    experiment: Experiment
    images: Float[np.ndarray, "images h w c"]
    labels: np.ndarray

    __repr__ = one_line

    @cached_property
    def probe(self) -> LabelProbe:
        """Labels of the images that probes are fitted to and tested on."""
        return LabelProbe(*self._parts(self.labels))

    def forecast(self) -> AugmentationForecast:
        """What the frozen kernel says, before anything is trained."""
        experiment = self.experiment
        modes, times = experiment.kernel.modes, experiment.frozen_schedule.times
        read = times[probed(len(times))]
        flow = kernel_flow(modes, experiment.initial_embeddings, times, embedding_times=read)
        assert flow.embeddings is not None
        nearest = np.abs(read[:, None] - plateau_times(flow)).argmin(axis=0)
        on_images = carried(experiment, flow.embeddings[nearest], self.images, self._embed)
        scores = [self.probe.scores(*self._parts(F)) for F in on_images]
        linear, knn, _ = self.probe.names
        steps = experiment.mode_step_times / experiment.learning_rate
        return AugmentationForecast(
            augmentation=self.augmentation,
            seed=experiment.config.seed,
            eigenvalues=modes.padded_eigenvalues(experiment.config.dim).tolist(),
            steps=[_finite(step) for step in steps],
            linear=[_finite(score[linear]) for score in scores],
            knn=[_finite(score[knn]) for score in scores],
            chance=self.probe.chance,
        )

    def scores(self, params: Any) -> dict[str, float]:
        """Scores of the same probes on the network itself, with its parameters after training, say."""
        return self.probe.scores(*self._parts(self._embed(params)[2 * len(self.experiment.pairs) :]))

    def _parts(self, rows: np.ndarray) -> list[np.ndarray]:
        return np.split(rows, [len(self.experiment.pairs)])

    @cached_property
    def _embed(self) -> Callable[[Any], Float[np.ndarray, "points dim"]]:
        return embedder(self.experiment, self.images)


def contenders(
    images: Images, augmentations: Mapping[str, Augmentation | TwoViews], config: Config, *, held_out: int
) -> Iterator[Contender]:
    """Prepare one augmentation after the other, of the same images and for the same network.

    Parameters
    ----------
    images : Images
        Images with labels.
    augmentations : mapping
        Name -> augmentation of both views, or one for each.
    config : Config
        Settings of the experiment; the seed draws images, views and network.
    held_out : int
        Number of images on which probes are tested, or as many as are left.

    Raises
    ------
    DataError
        If the images have no labels, none is left to test on, or an augmentation does not keep their shape.
    DynamicsError
        If an experiment cannot be prepared; the sentence names the augmentation.
    """
    n, key = config.num_pairs or DEFAULT_NUM_PAIRS, jax.random.key(config.seed)
    if images.labels is None:
        raise DataError(
            f"{images.name}: the images have no labels, so that no accuracy can be forecast; give `labels`."
        )
    if len(images) <= n:
        raise DataError(f"{images.name}: has {len(images):,} images, and none is left to test on; lower `num_pairs`.")
    for name, augmentation in augmentations.items():
        require_same_shape(name, augmentation, images.shape)
    count = min(len(images), n + held_out)
    plain = make_pairs(images, get_augmentation("none", images.shape), key, num_pairs=count, standardise=False)
    for name, augmentation in augmentations.items():
        drawn = make_pairs(images, augmentation, key, num_pairs=n, standardise=False)
        source = f"{images.name}, augmentation {name}, seed {config.seed}"
        pairs = replace(drawn.standardised(), source=source)
        own = replace(config, augmentation=None, labels=False)
        assert plain.labels is not None
        yield Contender(name, prepare(own, pairs=pairs), plain.standardised(like=drawn).x, plain.labels)


def require_same_shape(name: str, augmentation: Augmentation | TwoViews, shape: tuple[int, ...]) -> None:
    """Raise `DataError` unless views have the shape of the images, so that one network takes both; none is made."""
    views = augmentation if isinstance(augmentation, TwoViews) else TwoViews(augmentation, augmentation)
    image, key = jax.ShapeDtypeStruct(shape, jnp.float32), jax.random.key(0)
    for view in (views.first, views.second):
        made = jax.eval_shape(view, key, image)
        if made.shape != shape:
            raise DataError(
                f"The augmentation `{name}` makes views of shape {made.shape} of images of shape {shape}; a ranking "
                "has one network for all, and probes that read the images. Resize its views, as `crop` does."
            )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
