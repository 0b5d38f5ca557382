"""Networks made small: how the small initial function is made decides which kernel predicts the training.

| start     | function f                               | kernel that predicts it                                |
|-----------|------------------------------------------|--------------------------------------------------------|
| `centred` | c (g(θ₀ + δ) − g(θ₀)) + α g(θ₀)          | c² × the neural tangent kernel of g at θ₀              |
| `readout` | c g(θ), last layer of θ₀ scaled by α/c   | c² × the conjugate kernel of the last hidden layer     |
| `all`     | c g(θ), all of θ₀ scaled by α            | none: escape from each saddle is algebraic             |

α is the scale of the initial function against that of the standard network. The output multiplier c makes the network
as lazy as one likes (Chizat et al. 2019): the larger it is, the less the hidden layers have to move.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.support.precision import full_precision
from dynamics.typing import Embedding, Views

Params = Any
Apply = Callable[[Params, Views], Embedding]


@dataclass(frozen=True)
class SmallNetwork:
    """A network whose function is small before training.

    Parameters
    ----------
    apply : callable
        (params, x (b, …)) -> (b, d), the function f with its multiplier.
    params : pytree
        The parameters at which training starts: θ₀, or for a centred start the displacement from it, zero.
    reference : callable, optional
        x -> (b, d), a part of f that does not depend on the parameters and is added to `apply`.
    """

    apply: Apply
    params: Params
    reference: Callable[[Views], Embedding] | None = None

    def __repr__(self) -> str:
        """How many arrays and numbers it learns, in one line."""
        leaves = jax.tree.leaves(self.params)
        return f"<SmallNetwork: {sum(np.size(leaf) for leaf in leaves):,} parameters in {len(leaves)} arrays>"

    def on(self, x: Views) -> Callable[[Params], Embedding]:
        """The embeddings of fixed views as a function of the parameters; the fixed part is computed once."""
        fixed = self.fixed_part(x)
        if fixed is None:
            return lambda params: self.apply(params, x)
        return lambda params: self.apply(params, x) + fixed

    def fixed_part(self, x: Views) -> jax.Array | None:
        """What is added to `apply` on these views, whatever the parameters; None without a `reference`."""
        return None if self.reference is None else jax.jit(self.reference)(x)

    def initial_embeddings(self, x: Views) -> Float[np.ndarray, "embeddings dim"]:
        """Embeddings (b, d) before training in float64, computed with full-precision products as theory needs them."""
        with full_precision():
            return np.asarray(jax.jit(self.on(jnp.asarray(x)))(self.params), np.float64)

    def __call__(self, x: Views) -> Embedding:
        """Embeddings (b, d) before training."""
        return self.on(x)(self.params)


def small_network(
    apply: Apply,
    params: Params,
    start: str = "readout",
    *,
    scale: float = 1e-3,
    multiplier: float = 1.0,
    readout: Callable[[tuple], bool] | None = None,
) -> SmallNetwork:
    """Make any network start from a small function.

    Parameters
    ----------
    apply : callable
        The network g, (params, x (b, …)) -> (b, d).
    params : pytree
        Standard random parameters.
    start : {"readout", "centred", "all"}
        How the function is made small; the table of the module explains the three ways.
    scale : float
        Scale α of the initial function.
    multiplier : float
        Output multiplier c.
    readout : callable, optional
        Function that says whether the parameter at a path (as `jax.tree_util` gives it) belongs to the last layer. By
        default the last layer is the one called `readout`, as in `dynamics.networks`.

    Raises
    ------
    ConfigError
        If the scale is not positive, or no parameter belongs to the last layer.
    """
    alpha, c = scale, multiplier
    if not (alpha > 0 and c > 0):
        raise ConfigError(f"init_scale ({alpha}) and multiplier ({c}) must be positive.")
    if start == "centred":
        # trained is the displacement from θ₀: in float32 the first steps are smaller than the spacing of numbers at θ₀
        return SmallNetwork(
            lambda shift, x: c * apply(jax.tree.map(jnp.add, params, shift), x),
            jax.tree.map(jnp.zeros_like, params),
            reference=lambda x: (alpha - c) * apply(params, x),
        )
    if start == "all":
        return SmallNetwork(lambda theta, x: c * apply(theta, x), jax.tree.map(lambda leaf: alpha * leaf, params))
    if start != "readout":
        raise ConfigError(f"Unknown start '{start}'; choose readout, centred or all.")
    belongs = readout or _called_readout
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    if not any(map(belongs, paths)):
        raise ConfigError(
            f"No parameter belongs to the last layer; the parameters are {_listed(paths)}. Say which belong to it with "
            '`readout`, or use start="centred".'
        )
    scaled = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.asarray(alpha / c, leaf.dtype) * leaf if belongs(path) else leaf, params
    )
    return SmallNetwork(lambda theta, x: c * apply(theta, x), scaled)


def _listed(paths: list[tuple], most: int = 12) -> str:
    """Paths of parameters in words, the last `most` of them, among which the last layer mostly is."""
    names = [jax.tree_util.keystr(path) or "one array" for path in paths]
    return ("…, " if len(names) > most else "") + ", ".join(names[-most:])


def _called_readout(path: tuple) -> bool:
    return any(getattr(key, "key", None) == "readout" for key in path)
