"""Rank augmentations: forecast one after the other, and keep what is done."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dynamics.errors import ConfigError
from dynamics.experiment.config import Config
from dynamics.ranking.contender import contenders
from dynamics.ranking.ranking import AugmentationForecast, Ranking
from dynamics.ranking.store import Ledger
from dynamics.support.bounds import Count, Seed, require_within
from dynamics.support.progress import progress_bar
from dynamics.views import Augmentation, Images, TwoViews, get_augmentation, load_images
from dynamics.views.written import check_augmentation

HELD_OUT = 1000
"""Images on which probes are tested."""


def rank_augmentations(
    augmentations: Sequence[str] | Mapping[str, Augmentation | TwoViews],
    config: Config | None = None,
    *,
    images: Images | None = None,
    seeds: Sequence[int] | None = None,
    held_out: int = HELD_OUT,
    out: str | Path | None = None,
    report: Callable[[AugmentationForecast, int, float], None] | None = None,
) -> Ranking:
    """Forecast for every augmentation when each dimension is learned and how well probes will read the labels.

    Nothing is trained. Each augmentation makes pairs of the same n images; the kernel of the same network gives their
    modes, and the frozen kernel what is learned of them. Probes are then fitted to the n images themselves, without
    augmentation, and tested on others.

    Parameters
    ----------
    augmentations : sequence of str, or mapping
        Augmentations as they are written (`dynamics.views.get_augmentation`), such as `["simclr", "crop:.5+flip"]`; or
        names of your own with the augmentations, `(key, image (h, w, c)) -> view` or a `TwoViews`.
    config : Config, optional
        Settings of the experiment: data set, pairs, network, dimensions, learning rate.
    images : Images, optional
        Images with labels, in place of the data set that the config names.
    seeds : sequence of int, optional
        Seeds of images, views and network; by default that of the config.
    held_out : int
        Number of images on which probes are tested, or as many as are left.
    out : Path, optional
        Folder that keeps each forecast as soon as it is made, so that a ranking that was stopped goes on.
    report : callable, optional
        Function that is called after each forecast with it, the number of forecasts that are left, and the seconds that
        these will take.

    Raises
    ------
    ConfigError
        If there is no augmentation, one is named twice or unknown, the settings leave nothing to rank by, or the folder
        holds a ranking with other settings.
    DataError
        If the images cannot be loaded, have no labels, or an augmentation does not fit them or changes their shape.
    DynamicsError
        If an experiment cannot be prepared.

    Examples
    --------
    >>> import dynamics
    >>> config = dynamics.Config(num_pairs=24, dim=2, network="mlp", width=32, depth=1)
    >>> ranking = dynamics.rank_augmentations(["none", "flip"], config, held_out=40)
    >>> len(ranking.rows), ranking.rows[0]["learned"]
    (2, 2)
    """
    config = Config() if config is None else config
    seeds = (config.seed,) if seeds is None else tuple(seeds)
    _check(augmentations, config, seeds, images, out)
    require_within("held_out", held_out, Count)
    if images is None:
        images = load_images(config.dataset, config.data_dir, image_size=config.image_size)
    views = dict(augmentations) if isinstance(augmentations, Mapping) else _written(augmentations, images)
    ledger = Ledger.open(out, config, held_out)
    wanted = [(name, seed) for seed in seeds for name in views]
    missing = [point for point in wanted if point not in ledger.done]
    began = time.monotonic()
    with progress_bar(f"{len(wanted)} forecasts", total=len(wanted)) as done:
        done(len(wanted) - len(missing))
        for seed in dict.fromkeys(seed for _, seed in missing):
            waiting = {name: views[name] for name, of_seed in missing if of_seed == seed}
            for contender in contenders(images, waiting, replace(config, seed=seed), held_out=held_out):
                found = contender.forecast()
                ledger.add(found)
                left = sum(point not in ledger.done for point in wanted)
                done(len(wanted) - left)
                if report is not None:
                    report(found, left, (time.monotonic() - began) / (len(missing) - left) * left)
    return Ranking(images.name, [ledger.done[point] for point in wanted])


def _written(augmentations: Sequence[str], images: Images) -> dict[str, Augmentation | TwoViews]:
    return {text: get_augmentation(text, images.shape) for text in augmentations}


def _check(
    augmentations: Sequence[str] | Mapping[str, Augmentation | TwoViews],
    config: Config,
    seeds: Sequence[int],
    images: Images | None,
    out: str | Path | None,
) -> None:
    """Raise `ConfigError` before anything is loaded."""
    names = list(augmentations)
    if isinstance(augmentations, str) or not names:
        raise ConfigError("There is nothing to rank; give some augmentations, such as none, flip and crop:.5.")
    for kind, values in (("augmentations", names), ("seeds", list(seeds))):
        if len(set(values)) < len(values) or not values:
            raise ConfigError(f"The {kind} are {values}; give at least one, and each of them once.")
    for seed in seeds:
        require_within("seed", seed, Seed)
    if not isinstance(augmentations, Mapping):
        for text in names:
            check_augmentation(text)
    elif out is not None:
        raise ConfigError("A folder keeps augmentations by how they are written, not functions; do not give `out`.")
    if images is not None and out is not None:
        raise ConfigError("A folder keeps the name of a data set, not images in memory; do not give `out`.")
    if config.augmentation is not None or config.pairs != "augmented":
        raise ConfigError("Augmentations are what is ranked; leave `augmentation` and `pairs` as they are.")
    if config.init == "all":
        raise ConfigError('No kernel predicts `init="all"`; rank with `init="readout"` or `init="centred"`.')
