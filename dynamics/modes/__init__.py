"""Contrastive modes: what a kernel and a set of positive pairs let a network learn, in the order it learns it."""

from dynamics.modes.approximate import ApproximateModes, nystrom_modes, random_feature_modes
from dynamics.modes.contrastive import (
    ContrastiveModes,
    contrastive_modes,
    contrastive_modes_from_features,
    swap,
)
from dynamics.modes.lanczos import leading_modes, mode_residuals
from dynamics.modes.restricted import PairMoments, RestrictedModes, pair_moments, restricted_modes

__all__ = [
    "ApproximateModes",
    "ContrastiveModes",
    "PairMoments",
    "RestrictedModes",
    "contrastive_modes",
    "contrastive_modes_from_features",
    "leading_modes",
    "mode_residuals",
    "nystrom_modes",
    "pair_moments",
    "random_feature_modes",
    "restricted_modes",
    "swap",
]
