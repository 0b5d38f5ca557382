"""How far the tangent kernel of a two-layer network has moved, after times that depend on its width or not.

Time is counted in units of 1/r, with the rate r at which the first direction of the loss grows from a small function.
Four times are looked at: `fixed`, a few units whatever the width; `half` and `log`, to which ½ ln(width) and ln(width)
are added, as long as an output without bound takes to grow by the root of the width and by the width; and `end`, when
a loss with a minimum is learned.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.flow import learned_first
from dynamics.flow.growth import growth_modes
from dynamics.kernels import kernel_probe
from dynamics.networks import MLP
from dynamics.objectives import growth_matrix, objective_loss
from dynamics.typing import Embedding, Views
from dynamics.views import load_pairs

WIDTHS, FULL_WIDTHS = (32, 128, 512, 2048), (32, 128, 512, 2048, 8192)
PAIRS, DIM = 12, 3
FIXED, END = 2.0, 25.0
STEP = 0.02
"""Learning rate in units of 1/r."""


def dot_product_margin(embeddings: Embedding) -> Float[jax.Array, ""]:
    """Mean of ⟨z_i, z̄⟩ − ⟨z_i, z'_i⟩: partners against the mean z̄ of all views by dot product, without a bound."""
    z, z_prime = jnp.split(embeddings, 2)
    return jnp.square(embeddings.mean(axis=0)).sum() - (z * z_prime).sum(axis=1).mean()


@dataclass(frozen=True)
class Objective:
    """A loss of the study.

    Parameters
    ----------
    title : str
        How figures and claims call it.
    loss : callable
        Loss of the embeddings.
    rate : callable
        (Gram matrix, embeddings) at the start -> rate r of the direction that grows first.
    ends : bool
        Whether it has a minimum that is reached.
    """

    title: str
    loss: Callable
    rate: Callable[[np.ndarray, np.ndarray], float]
    ends: bool


def _from_zero(loss: Callable | str) -> Callable[[np.ndarray, np.ndarray], float]:
    return lambda K, F: float(growth_modes(K, growth_matrix(loss, len(K), dim=DIM)).rates[0])


def _on_the_sphere(K: np.ndarray, F: np.ndarray) -> float:
    """Rate from embeddings of one direction, which are as long as those of the network are on average."""
    length = float(np.sqrt(np.square(F).sum(axis=1).mean()))
    return float(learned_first("simclr", K, length=length).modes.rates[0])


OBJECTIVES = {
    "barlow-twins": Objective("Barlow Twins", objective_loss("barlow-twins"), _from_zero("barlow-twins"), True),
    "simclr": Objective("SimCLR, cosine", objective_loss("simclr"), _on_the_sphere, True),
    "infonce": Objective("InfoNCE, dot product", objective_loss("infonce"), _from_zero("infonce"), True),
    "dot-product": Objective("dot product, no softmax", dot_product_margin, _from_zero(dot_product_margin), False),
}


def times(objective: Objective, width: int) -> dict[str, float]:
    """The times that are looked at, in units of 1/r, ascending."""
    wider = float(np.log(width / WIDTHS[0]))
    found = {"fixed": FIXED, "half": FIXED + 0.5 * wider, "log": FIXED + wider}
    return found | ({"end": END} if objective.ends else {})


def drift(objective: Objective, width: int, seed: int, views: Views) -> dict[str, float]:
    """Relative change ‖Θ − Θ₀‖/‖Θ₀‖ of the tangent kernel at every time, of a network with the standard start."""
    module = MLP(width=width, depth=1, activation="erf").module(DIM)
    params = module.init(jax.random.key(seed), views[:1])
    kernel = kernel_probe(module.apply, views)
    start = np.asarray(kernel(params), np.float64)
    rate = objective.rate(start, np.asarray(module.apply(params, views), np.float64))
    found: dict[str, float] = {}
    taken = 0
    for name, until in times(objective, width).items():
        steps = round(until / STEP)
        params = _descended(module.apply, objective.loss, params, views, STEP / rate, steps - taken)
        K, taken = np.asarray(kernel(params), np.float64), steps
        found[name] = float(np.linalg.norm(K - start) / np.linalg.norm(start))
    return found


@partial(jax.jit, static_argnums=(0, 1))
def _descended(apply: Callable, loss: Callable, params: Any, views: jax.Array, learning_rate: Any, steps: Any) -> Any:
    """Parameters after so many steps of full-batch gradient descent."""

    def step(_: Any, params: Any) -> Any:
        gradient = jax.grad(lambda params: loss(apply(params, views)))(params)
        return jax.tree.map(lambda w, g: w - learning_rate * g, params, gradient)

    return jax.lax.fori_loop(0, steps, step, params)


def measured(
    widths: tuple[int, ...], seeds: list[int], report: Callable[[str], None] | None = None
) -> dict[str, dict[str, Float[np.ndarray, "widths seeds"]]]:
    """Objective -> time -> drifts of all widths and seeds; seeds draw pairs, views and weights."""
    found: dict[str, dict[str, np.ndarray]] = {}
    views = [jnp.asarray(load_pairs("digits", num_pairs=PAIRS, seed=seed).stacked) for seed in seeds]
    for name, objective in OBJECTIVES.items():
        rows = [[drift(objective, width, seed, x) for seed, x in zip(seeds, views, strict=True)] for width in widths]
        found[name] = {time: np.array([[cell[time] for cell in row] for row in rows]) for time in rows[0][0]}
        if report is not None:
            report(f"kernel-drift: {objective.title} is measured.")
    return found


def exponent(
    widths: tuple[int, ...], drifts: Float[np.ndarray, "widths seeds"], seed: int = 0, draws: int = 2000
) -> tuple[float, float, float]:
    """Slope of ln(drift) over ln(width), with the ends of its 95 % interval from seeds drawn again (bootstrap).

    Parameters
    ----------
    widths : tuple of int
        The W widths.
    drifts : array (W, S)
        Relative drifts of S seeds.
    seed, draws : int
        Seed and number of the samples.

    Returns
    -------
    slope, low, high : float
        NaN if a drift is not finite.
    """
    if not np.isfinite(drifts).all():
        return np.nan, np.nan, np.nan
    x = np.log(widths) - np.log(widths).mean()
    slopes = x @ np.log(drifts) / (x @ x)  # one a seed, whose mean is the slope of all
    drawn = np.random.default_rng(seed).integers(len(slopes), size=(draws, len(slopes)))
    low, high = np.quantile(slopes[drawn].mean(axis=1), [0.025, 0.975])
    return float(slopes.mean()), float(low), float(high)
