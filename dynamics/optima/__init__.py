"""Closed-form optima: where training ends, as classical spectral methods.

>>> import numpy as np
>>> from dynamics.optima import linear_space, vicreg_squared_optimum
>>> from dynamics.views import Relation
>>> x = np.random.default_rng(0).normal(size=(12, 4))
>>> optimum = vicreg_squared_optimum(linear_space(x), Relation.pairs(6).dense(), dim=2, weight=0.5)
>>> optimum.twin, optimum.embed(x[:3]).shape
('locality preserving projections', (3, 2))
"""

from dynamics.optima.barlow_twins import (
    barlow_twins_normalised_optimum,
    barlow_twins_optimum,
    canonical_directions,
)
from dynamics.optima.optimum import Optimum
from dynamics.optima.simclr import simclr_squared_optimum
from dynamics.optima.space import FunctionSpace, free_space, kernel_space, linear_space
from dynamics.optima.vicreg import vicreg_squared_optimum

__all__ = [
    "FunctionSpace",
    "Optimum",
    "barlow_twins_normalised_optimum",
    "barlow_twins_optimum",
    "canonical_directions",
    "free_space",
    "kernel_space",
    "linear_space",
    "simclr_squared_optimum",
    "vicreg_squared_optimum",
]
