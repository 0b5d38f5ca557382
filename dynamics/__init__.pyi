"""Public names and where they live; the package loads each when it is first used."""

from .experiment.config import Config
from .experiment.forecasting import Forecast, forecast
from .experiment.own import compare_network
from .flow import (
    closed_form,
    kernel_descent,
    kernel_flow,
    matrix_growth_rate,
    matrix_kernel_descent,
    matrix_kernel_flow,
    objective_flow,
)
from .kernels import conjugate_kernel, empirical_ntk, full_empirical_ntk, gram, infinite_kernel, linear
from .modes import ContrastiveModes, contrastive_modes, contrastive_modes_from_features
from .modes.approximate import nystrom_modes, random_feature_modes
from .modes.lanczos import leading_modes
from .modes.restricted import PairMoments, RestrictedModes, pair_moments, restricted_modes
from .networks import MLP, ConvNet, FiberPairs, GroupConvNet, PlaneGroup, ResNet, architecture
from .ranking import Ranking, rank_augmentations
from .solvable import Task, solvable_model
from .sweeps import Axis, sweep
from .training import (
    SmallNetwork,
    SpectrumRecorder,
    gradient_descent,
    precondition_modes,
    precondition_spectrum,
    small_network,
)
from .trajectories.comparison import Comparison, compare, step_times
from .trajectories.trajectory import Trajectory
from .views import Pairs, Relation, load_pairs, make_pairs

__version__: str

__all__ = [
    "MLP",
    "Axis",
    "Comparison",
    "Config",
    "ContrastiveModes",
    "ConvNet",
    "FiberPairs",
    "Forecast",
    "GroupConvNet",
    "PairMoments",
    "Pairs",
    "PlaneGroup",
    "Ranking",
    "Relation",
    "ResNet",
    "RestrictedModes",
    "SmallNetwork",
    "SpectrumRecorder",
    "Task",
    "Trajectory",
    "architecture",
    "closed_form",
    "compare",
    "compare_network",
    "conjugate_kernel",
    "contrastive_modes",
    "contrastive_modes_from_features",
    "empirical_ntk",
    "forecast",
    "full_empirical_ntk",
    "gradient_descent",
    "gram",
    "infinite_kernel",
    "kernel_descent",
    "kernel_flow",
    "leading_modes",
    "linear",
    "load_pairs",
    "make_pairs",
    "matrix_growth_rate",
    "matrix_kernel_descent",
    "matrix_kernel_flow",
    "nystrom_modes",
    "objective_flow",
    "pair_moments",
    "precondition_modes",
    "precondition_spectrum",
    "random_feature_modes",
    "rank_augmentations",
    "restricted_modes",
    "small_network",
    "solvable_model",
    "step_times",
    "sweep",
]
