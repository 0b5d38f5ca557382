"""Augmentations ranked before training: how well probes will read the labels, and when each dimension is learned.

Every augmentation makes pairs of the same images, for the same network; only the relation of partners differs.
"""

from dynamics.ranking.contender import Contender, contenders
from dynamics.ranking.figure import ranking_figure
from dynamics.ranking.rank import rank_augmentations
from dynamics.ranking.ranking import AugmentationForecast, Ranking
from dynamics.ranking.store import read_ranking

__all__ = [
    "AugmentationForecast",
    "Contender",
    "Ranking",
    "contenders",
    "rank_augmentations",
    "ranking_figure",
    "read_ranking",
]
