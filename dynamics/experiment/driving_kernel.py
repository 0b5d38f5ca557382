"""The third stage of an experiment: the kernel that drives training. This is the one place that knows which one.

A network that starts as a small function is driven by a kernel that depends on *how* it was made small:

| start | what learns at first | kernel |
|---|---|---|
| `readout` | the last layer alone | conjugate kernel of the last hidden layer, h hᵀ/N |
| `centred` | all layers | tangent kernel; at finite width the matrix-valued one of all outputs, Θ (2n, 2n, d, d) |
| `all` | all layers, more and more | none; the tangent kernel of the unscaled network stands in |

An MLP all of whose weights start small has a forecast of another kind, its path from saddle to saddle
(`dynamics.flow.saddles`). A network with output multiplier c has c² times the kernel of the same network without one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from dynamics.experiment.network import RandomNetwork
from dynamics.flow.matrix_ode import centred_matrix_kernel, matrix_growth_rate
from dynamics.kernels import Kernel, TiledGram, empirical_ntk, full_empirical_ntk, gram, infinite_kernel
from dynamics.modes import ContrastiveModes, contrastive_modes, contrastive_modes_from_features, leading_modes
from dynamics.modes.agreement import held_out_agreement
from dynamics.networks import Architecture
from dynamics.support.one_line import one_line
from dynamics.typing import Gram, Views

Start = Literal["readout", "centred", "all"]

# All modes of 2,000 views take the dense solver some seconds, and the time grows like the cube. Beyond, the iterative
# solver finds so many, or four for every dimension: later ones grow more slowly than those that are learned.
ALL_MODES_VIEWS, LEADING_MODES = 2000, 64

# (2nd)² float64 numbers, and three copies of them while it is made
MATRIX_KERNEL_BYTES = 2**30

_REASONS = {
    "readout": "with a small readout only the readout learns at first, so the last hidden layer's kernel drives it",
    "centred": "with the function centred all layers learn from the start, so the tangent kernel drives it",
    "all": "no kernel predicts a start with all weights small; this is the one of the unscaled network",
}


@dataclass(frozen=True)
class KernelBudget:
    """How kernels are computed.

    Parameters
    ----------
    dtype : {"float64", "float32"}
        Precision of kernel values.
    memory : int, optional
        Bytes that kernels may take; by default what the machine has left.
    cache : Path, optional
        Folder that keeps Gram matrices between runs.
    """

    dtype: str = "float64"
    memory: int | None = None
    cache: Path | None = None

    @property
    def jacobian_memory(self) -> dict[str, int]:
        """Half of the memory, for the derivatives behind an empirical kernel, where it is bounded."""
        return {} if self.memory is None else {"memory": self.memory // 2}


@dataclass(frozen=True, eq=False)
class DrivingKernel:
    """The kernel that drives an experiment.

    Parameters
    ----------
    name : str
        Name of the kernel.
    reason : str
        Why this kernel drives training, as a clause that completes "the kernel is …;".
    modes : ContrastiveModes
        Contrastive modes of the kernel on the training pairs.
    rows : callable
        Function views (b, …) -> (b, 2n), the kernel between other views and the training views, at multiplier 1.
    matrix : array (2n, 2n, d, d), optional
        The tangent kernel with all outputs, centred as the modes are, where it drives training.
    factor : float
        What the kernel was multiplied by (`scaled`).
    predicts : bool
        Whether the kernel predicts when a dimension is learned. None does if all weights start small.
    """

    name: str
    reason: str
    modes: ContrastiveModes
    rows: Callable[[Views], Gram]
    matrix: np.ndarray | None = None
    factor: float = 1.0
    predicts: bool = True

    __repr__ = one_line

    @property
    def stability_limit(self) -> float:
        """Largest learning rate at which gradient descent with this kernel is stable at the end point."""
        if self.matrix is None:
            return self.modes.stability_limit
        return min(self.modes.stability_limit, 1.0 / (4.0 * matrix_growth_rate(self.matrix)))

    def scaled(self, factor: float) -> "DrivingKernel":
        """The kernel multiplied by a positive factor."""
        matrix = None if self.matrix is None else factor * self.matrix
        return replace(self, modes=self.modes.scaled(factor), matrix=matrix, factor=factor * self.factor)

    def functions(self, views: Views) -> Float[np.ndarray, "views modes"]:
        """Mode functions φ (b, m) on other views than those of the training."""
        return self.modes.functions(self.factor * self.rows(views))

    def held_out_agreement(self, dim: int, *, center: bool) -> np.ndarray:
        """Agreement (dim,) of held-out partners on the modes (`dynamics.modes.agreement`); NaN if not all were solved.

        The modes of few views are all modes of the kernel, and their values on the views its features.
        """
        if len(self.modes.on_views) > ALL_MODES_VIEWS:
            return np.full(dim, np.nan)
        return held_out_agreement(self.modes.on_views, dim, center=center)


def empirical_kernel(
    network: RandomNetwork, start: Start, *, dim: int, center: bool, budget: KernelBudget
) -> DrivingKernel:
    """The kernel of the finite network itself, before training and at multiplier 1.

    Raises
    ------
    KernelError, CapacityError
        If the kernel has no modes, or does not fit into the memory.
    """
    if start == "readout":
        h = network.hidden_layer
        modes = contrastive_modes_from_features(h / h.shape[1] ** 0.5, center=center)
        width = h.shape[1]
        return DrivingKernel(
            "empirical conjugate kernel", _REASONS[start], modes, lambda x: network.features(x) @ h.T / width
        )
    apply, params = network.module.apply, network.params
    key = f"{network.architecture!r} with {dim} outputs"  # what the parameters do not say
    ntk = empirical_ntk(apply, params, dtype=budget.dtype, key=key, **budget.jacobian_memory)
    modes = kernel_modes(ntk, network.views, dim=dim, center=center, budget=budget)
    matrix = None
    if start == "centred" and 8 * (len(network.views) * dim) ** 2 <= MATRIX_KERNEL_BYTES:
        theta = full_empirical_ntk(apply, params, network.views, dtype=budget.dtype, **budget.jacobian_memory)
        matrix = theta.astype(np.float64)
        matrix = centred_matrix_kernel(matrix) if center else matrix
    rows = kernel_rows(ntk, network.views, budget)
    return DrivingKernel(
        "empirical neural tangent kernel", _REASONS[start], modes, rows, matrix, predicts=start != "all"
    )


def infinite_width_kernel(
    declared: Architecture, views: Views, start: Start, *, dim: int, center: bool, budget: KernelBudget
) -> DrivingKernel:
    """The kernel of the infinitely wide network at multiplier 1; errors as for `empirical_kernel`."""
    kernel, name = infinite_width(declared, start)
    modes = kernel_modes(kernel, views, dim=dim, center=center, budget=budget)
    return DrivingKernel(name, _REASONS[start], modes, kernel_rows(kernel, views, budget), predicts=start != "all")


def infinite_width(declared: Architecture, start: Start) -> tuple[Kernel, str]:
    """The infinite-width kernel that belongs to a start, and its name."""
    if start == "readout":
        return infinite_kernel(declared, "nngp"), "infinite-width conjugate kernel (NNGP)"
    return infinite_kernel(declared, "ntk"), "infinite-width neural tangent kernel"


def kernel_rows(kernel: Kernel, views: Views, budget: KernelBudget) -> Callable[[Views], Gram]:
    """The kernel between other views and these, as a function of the others."""
    settings: dict[str, Any] = {"dtype": budget.dtype, "memory": budget.memory, "cache": budget.cache}
    return lambda x: gram(kernel, x, views, progress=True, **settings)


def kernel_modes(kernel: Kernel, views: Views, *, dim: int, center: bool, budget: KernelBudget) -> ContrastiveModes:
    """Solve for all modes where views are few, and else for the leading ones, which are all that a run can learn."""
    few = len(views) <= ALL_MODES_VIEWS
    evaluate = gram if few else TiledGram
    K = evaluate(kernel, views, dtype=budget.dtype, memory=budget.memory, cache=budget.cache, progress=True)
    if few:
        return contrastive_modes(K, center=center)
    return leading_modes(K, max(LEADING_MODES, 4 * dim), center=center)
