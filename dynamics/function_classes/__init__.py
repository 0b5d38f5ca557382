"""Classes of functions that a self-supervised learner may choose from, as limited as one likes.

>>> import jax
>>> from dynamics.function_classes import Linear
>>> from dynamics.modes.restricted import restricted_modes
>>> from dynamics.views import SignedCube
>>> views = SignedCube(dim=4, signal=2).pairs(500, jax.random.key(0)).stacked
>>> modes = restricted_modes(Linear(bias=True).moments(views), tolerance=1e-6)
>>> modes.eigenvalues.round(2).tolist()
[1.0, 1.0, 1.0, 0.97, 0.96]
"""

from dynamics.function_classes.base import FunctionClass, LinearInFeatures
from dynamics.function_classes.bounds import (
    eigenfunction_bound,
    implementable_clusters_bound,
    linear_head_error,
    restricted_gap,
)
from dynamics.function_classes.linear import Linear
from dynamics.function_classes.lipschitz import Lipschitz, lipschitz_constant, lipschitz_extension
from dynamics.function_classes.relu import PatchConvolution, ReLUUnits, Units
from dynamics.function_classes.tabular import Tabular

__all__ = [
    "FunctionClass",
    "Linear",
    "LinearInFeatures",
    "Lipschitz",
    "PatchConvolution",
    "ReLUUnits",
    "Tabular",
    "Units",
    "eigenfunction_bound",
    "implementable_clusters_bound",
    "linear_head_error",
    "lipschitz_constant",
    "lipschitz_extension",
    "restricted_gap",
]
