"""The spectral contrastive loss with a weight on its covariance term, and its optimum mode by mode.

    L_λ(f) = E⁺ ‖f(x) − f(x⁺)‖² + λ ‖E f fᵀ − I‖_F²       (HaoChen & Ma 2023, Section 2)

without centring. At λ = 1 it is the spectral contrastive loss plus the constant d. With μ_j the agreement of partners
along mode j of the restricted eigenproblem (`dynamics.modes.restricted`) and δ_j = 2(1 − μ_j), an embedding whose
output j is mode j with the energy a_j = E f_j² loses Σ_j δ_j a_j + λ(a_j − 1)²: the optimum shrinks every mode on its
own.

>>> import numpy as np
>>> mu = np.array([1.0, 0.9, 0.2])
>>> shrinkage(mu, weight=0.5)
array([1. , 0.8, 0. ])
>>> round(minimum(mu, dim=3, weight=0.5), 6)
0.68
"""

from numbers import Real

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import CollapseError, ConfigError
from dynamics.objectives.door import of_embeddings
from dynamics.objectives.graph import Graph, degrees, partners
from dynamics.typing import Embedding, Spectrum


@of_embeddings
def generalised_spectral(
    embeddings: Embedding, weight: float | Float[jax.Array, ""] = 1.0, graph: Graph | None = None
) -> Float[jax.Array, ""]:
    """L_λ of the embeddings F (2n, d) of the views in the order x_1 … x_n, x'_1 … x'_n.

    Parameters
    ----------
    embeddings : array (2n, d)
        F; (N, d) with a graph.
    weight : float
        Weight λ > 0 of the covariance term. Traced values, as in a sweep under `vmap`, are not checked.
    graph : array (N, N), optional
        Relation G in place of pairs: partners are drawn by G, single views by their degree.

    Raises
    ------
    ConfigError
        If λ is not positive.
    """
    check_weight(weight)
    share = degrees(embeddings, graph)
    total = share.sum()
    moments = embeddings.T @ (share[:, None] * embeddings) / total
    invariance = 2 * (jnp.trace(moments) - jnp.vdot(embeddings, partners(embeddings, graph)) / total)
    return invariance + weight * jnp.square(moments - jnp.eye(len(moments), dtype=moments.dtype)).sum()


def shrinkage(agreements: Spectrum, weight: float = 1.0) -> Spectrum:
    """a* = (1 − (1 − μ)/λ)₊, the energy of each mode at the optimum; μ itself at λ = 1, whitening as λ → ∞.

    Parameters
    ----------
    agreements : array (m,)
        Agreements μ of partners along the modes.
    weight : float
        Weight λ > 0 of the covariance term.
    """
    check_weight(weight)
    return np.maximum(0.0, 1 - (1 - np.asarray(agreements, np.float64)) / weight)


def minimum(agreements: Spectrum, dim: int, weight: float = 1.0) -> float:
    """Least L_λ of d outputs in a class with these modes: Σ_{j≤d} δ_j − δ_j²/4λ where δ_j < 2λ, and λ where not.

    A mode with δ ≥ 2λ is better left out, since an unused output costs λ.

    Parameters
    ----------
    agreements : array (m,)
        Agreements μ of all modes of the class, in any order.
    dim : int
        Number of outputs d ≤ m.
    weight : float
        Weight λ > 0 of the covariance term.

    Raises
    ------
    CollapseError
        If d is larger than the number of modes of the class.
    ConfigError
        If λ is not positive.
    """
    check_weight(weight)
    mu = np.sort(np.asarray(agreements, np.float64))[::-1]
    if not 1 <= dim <= mu.size:
        raise CollapseError(f"dim is {dim}, but the class has {mu.size} modes; choose between 1 and {mu.size}.")
    delta = 2 * (1 - mu[:dim])
    return float(np.where(delta < 2 * weight, delta - delta**2 / (4 * weight), weight).sum())


def check_weight(weight: object) -> None:
    """Raise `ConfigError` unless the weight λ of the covariance term is positive and finite."""
    if isinstance(weight, Real) and not 0 < float(weight) < float("inf"):
        raise ConfigError(f"The weight λ of the covariance term is {weight}; give a positive number.")
