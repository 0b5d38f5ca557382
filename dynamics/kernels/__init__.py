"""Kernels: from two stacks of views to a Gram matrix.

>>> import numpy as np
>>> from dynamics.kernels import gram, infinite_kernel
>>> from dynamics.networks import MLP
>>> x = np.random.default_rng(0).normal(size=(6, 4))
>>> gram(infinite_kernel(MLP(depth=2), kind="ntk"), x).shape
(6, 6)
"""

from dynamics.kernels.drift import Drift, kernel_drift, kernel_probe
from dynamics.kernels.elementary import arc_cosine, linear, rbf, relu_network
from dynamics.kernels.empirical import conjugate_kernel, empirical_ntk, full_empirical_ntk
from dynamics.kernels.gram import estimate_cost, estimate_memory, gram
from dynamics.kernels.hidden import hidden_kernel, readout_directions
from dynamics.kernels.infinite import infinite_kernel
from dynamics.kernels.kernel import Kernel
from dynamics.kernels.product import KernelProduct
from dynamics.kernels.tiled import TiledGram

__all__ = [
    "Drift",
    "Kernel",
    "KernelProduct",
    "TiledGram",
    "arc_cosine",
    "conjugate_kernel",
    "empirical_ntk",
    "estimate_cost",
    "estimate_memory",
    "full_empirical_ntk",
    "gram",
    "hidden_kernel",
    "infinite_kernel",
    "kernel_drift",
    "kernel_probe",
    "linear",
    "rbf",
    "readout_directions",
    "relu_network",
]
