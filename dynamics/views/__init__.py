"""What a learner sees: positive pairs of views."""

from dynamics.views.augment import (
    Augmentation,
    binarise,
    color_jitter,
    compose,
    gaussian_blur,
    gaussian_noise,
    random_crop,
    random_flip,
    random_grayscale,
    random_intensity,
    random_resized_crop,
    random_roll,
    random_shift,
    random_solarize,
)
from dynamics.views.clusters import cluster_relation, cross_cluster_mass
from dynamics.views.datasets import Images, load_images
from dynamics.views.distributions import PairDistribution, PlacedPatch, SeparatedManifolds, SignedCube
from dynamics.views.factors import StyledViews, style_factors, styled_views
from dynamics.views.pairs import Pairs
from dynamics.views.presets import AUGMENTATIONS, TwoViews, default_augmentation
from dynamics.views.relation import Relation
from dynamics.views.sampling import load_held_out, load_pairs, make_pairs
from dynamics.views.synthetic import gaussian_pairs, geometric_spectrum, synthetic_pairs
from dynamics.views.vectors import group_pairs, scale_entries, scaled_pairs
from dynamics.views.written import STEPS, get_augmentation

__all__ = [
    "AUGMENTATIONS",
    "STEPS",
    "Augmentation",
    "Images",
    "PairDistribution",
    "Pairs",
    "PlacedPatch",
    "Relation",
    "SeparatedManifolds",
    "SignedCube",
    "StyledViews",
    "TwoViews",
    "binarise",
    "cluster_relation",
    "color_jitter",
    "compose",
    "cross_cluster_mass",
    "default_augmentation",
    "gaussian_blur",
    "gaussian_noise",
    "gaussian_pairs",
    "geometric_spectrum",
    "get_augmentation",
    "group_pairs",
    "load_held_out",
    "load_images",
    "load_pairs",
    "make_pairs",
    "random_crop",
    "random_flip",
    "random_grayscale",
    "random_intensity",
    "random_resized_crop",
    "random_roll",
    "random_shift",
    "random_solarize",
    "scale_entries",
    "scaled_pairs",
    "style_factors",
    "styled_views",
    "synthetic_pairs",
]
