"""Forecast how a self-supervised network will learn, train the real one, and see where theory and reality part.

>>> import dynamics
>>> pairs = dynamics.load_pairs("digits", num_pairs=32)
>>> modes = dynamics.contrastive_modes(dynamics.gram(dynamics.linear(), pairs.stacked))
>>> modes.num_positive
32

Importing this package starts no device and changes no setting of JAX; names are loaded when they are first used.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "dynamics.trajectories.comparison": ("Comparison", "compare", "step_times"),
    "dynamics.experiment.config": ("Config",),
    "dynamics.flow": (
        "closed_form",
        "kernel_descent",
        "kernel_flow",
        "matrix_growth_rate",
        "matrix_kernel_descent",
        "matrix_kernel_flow",
        "objective_flow",
    ),
    "dynamics.experiment.forecasting": ("Forecast", "forecast"),
    "dynamics.kernels": (
        "conjugate_kernel",
        "empirical_ntk",
        "full_empirical_ntk",
        "gram",
        "infinite_kernel",
        "linear",
    ),
    "dynamics.modes": ("ContrastiveModes", "contrastive_modes", "contrastive_modes_from_features"),
    "dynamics.modes.approximate": ("nystrom_modes", "random_feature_modes"),
    "dynamics.modes.lanczos": ("leading_modes",),
    "dynamics.networks": ("MLP", "ConvNet", "FiberPairs", "GroupConvNet", "PlaneGroup", "ResNet", "architecture"),
    "dynamics.modes.restricted": ("PairMoments", "RestrictedModes", "pair_moments", "restricted_modes"),
    "dynamics.solvable": ("Task", "solvable_model"),
    "dynamics.sweeps": ("Axis", "sweep"),
    "dynamics.training": (
        "SmallNetwork",
        "SpectrumRecorder",
        "gradient_descent",
        "small_network",
        "precondition_modes",
        "precondition_spectrum",
    ),
    "dynamics.trajectories.trajectory": ("Trajectory",),
    "dynamics.views": ("Pairs", "Relation", "load_pairs", "make_pairs"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # takes longer than all the rest of this file

        return version("dynamics")
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'dynamics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
