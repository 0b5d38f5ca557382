"""Networks of your own in one call: made small, forecast, trained, and compared.

>>> import dynamics
>>> from flax import linen
>>> pairs = dynamics.Pairs(*np.random.default_rng(0).normal(size=(2, 12, 5)).astype(np.float32))
>>> forecasts, comparison = compare_network(pairs, linen.Dense(2), steps=10)
>>> sorted(forecasts)
['matrix_ode', 'network', 'ode']
"""

from typing import Any

import numpy as np

from dynamics.experiment.driving_kernel import MATRIX_KERNEL_BYTES
from dynamics.experiment.schedule import schedule
from dynamics.flow.closed_form import initial_correlations, mode_step_times
from dynamics.flow.matrix_ode import centred_matrix_kernel, matrix_growth_rate, matrix_kernel_flow
from dynamics.flow.ode import kernel_flow
from dynamics.kernels import empirical_ntk, full_empirical_ntk, gram
from dynamics.modes import contrastive_modes
from dynamics.networks.own import as_function
from dynamics.training import SmallNetwork, gradient_descent, small_network
from dynamics.trajectories import Comparison, Trajectory, compare
from dynamics.views import Pairs


def own_network(
    pairs: Pairs, network: Any, *, init_scale: float = 1e-4, multiplier: float = 1.0, seed: int = 0
) -> SmallNetwork:
    """A module of Flax or Equinox as a network with a centred start; a `SmallNetwork` stays as it is.

    Parameters
    ----------
    pairs : Pairs
        Pairs of views that the network takes.
    network : SmallNetwork or module
        The network (`dynamics.networks.own`).
    init_scale, multiplier : float
        Scale α of the initial function and output multiplier c, for a module.
    seed : int
        Seed of the parameters of a Linen module that has none.

    Raises
    ------
    ConfigError
        If the network is no such module, or keeps state besides its parameters.
    """
    if isinstance(network, SmallNetwork):
        return network
    apply, params = as_function(network, pairs.stacked, seed=seed)
    return small_network(apply, params, "centred", scale=init_scale, multiplier=multiplier)


def compare_network(
    pairs: Pairs,
    network: Any,
    *,
    center: bool = True,
    lr_fraction: float = 0.05,
    steps: int | None = None,
    **start: Any,
) -> tuple[dict[str, Trajectory], Comparison]:
    """Forecast the training of a network of your own, train it with full batches, and compare.

    Parameters
    ----------
    pairs : Pairs
        The n training pairs.
    network : SmallNetwork or module
        The network, as `own_network` takes it.
    center : bool
        Whether the mean embedding is subtracted before the objective.
    lr_fraction : float
        Learning rate as a fraction of the stability limit.
    steps : int, optional
        Number of updates; by default a fifth more than the forecast needs.
    **start
        `init_scale`, `multiplier` and `seed` of `own_network`.

    Returns
    -------
    trajectories : dict
        Rung -> trajectory: `ode`, the flow of the tangent kernel; `matrix_ode`, that of the tangent kernel with all
        outputs where it fits into a gibibyte; and `network`, which was trained.
    comparison : Comparison
        The network against the forecasts.

    Raises
    ------
    ConfigError, StabilityError
        If the network cannot be taken as it is, or the learning rate is not below the stability limit.
    """
    small = own_network(pairs, network, **start)
    F0 = small.initial_embeddings(pairs.stacked)
    F0 = F0 - F0.mean(axis=0) if center else F0
    modes = contrastive_modes(gram(empirical_ntk(small.apply, small.params), pairs.stacked), center=center)
    tau = mode_step_times(modes.padded_eigenvalues(F0.shape[1]), initial_correlations(modes, F0))
    limit, theta = modes.stability_limit, None
    if 8 * F0.size**2 <= MATRIX_KERNEL_BYTES:
        theta = np.asarray(full_empirical_ntk(small.apply, small.params, pairs.stacked), np.float64)
        theta = centred_matrix_kernel(theta) if center else theta
        limit = min(limit, 1.0 / (4.0 * matrix_growth_rate(theta)))
    plan = schedule(limit, tau, learning_rate=None, fraction=lr_fraction, steps=steps)
    forecasts = {"ode": kernel_flow(modes, F0, plan.times)}
    if theta is not None:
        forecasts["matrix_ode"] = matrix_kernel_flow(theta, F0, plan.times)
    measured = gradient_descent(small, pairs, learning_rate=plan.learning_rate, steps=plan.steps, center=center)
    return {**forecasts, measured.rung: measured}, compare(measured, forecasts, modes, center=center)
