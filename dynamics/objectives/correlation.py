"""Barlow Twins as the theory has it: the cross-correlation against the identity, neither normalised nor centred.

    C = FᵀJF / 2n = (ZᵀZ' + Z'ᵀZ) / 2n ,    L = Σ_i (C_ii − 1)² + λ Σ_{i≠j} C_ij²

Simon et al. (2023), eq. 2, take λ = 1, where L = ‖C − I‖_F² and the dynamics has a closed form. The practical recipe
(Zbontar et al. 2021) standardises every dimension and takes λ = 0.0051.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dynamics.objectives.door import of_embeddings
from dynamics.objectives.graph import Graph, partners
from dynamics.typing import Array, Embedding


def cross_correlation(embeddings: Embedding, graph: Graph | None = None) -> Float[Array, "dim dim"]:
    """C = FᵀJF/2n of the embeddings F (2n, d) of the views in the order x_1 … x_n, x'_1 … x'_n.

    With a relation graph G (N, N) instead of pairs, C = FᵀGF / Σ_ij G_ij.
    """
    if graph is not None:
        graph = jnp.asarray(graph, embeddings.dtype)
        return embeddings.T @ partners(embeddings, graph) / graph.sum()
    z, z_prime = embeddings[: len(embeddings) // 2], embeddings[len(embeddings) // 2 :]
    ZtZ = z.T @ z_prime
    return (ZtZ + ZtZ.T) / embeddings.shape[0]


def correlation_loss(C: Float[Array, "dim dim"], off_diagonal: float = 1.0) -> Float[jax.Array, ""]:
    """Barlow Twins loss of a cross-correlation matrix.

    Parameters
    ----------
    C : array (d, d)
        Cross-correlation of the embeddings of partners.
    off_diagonal : float
        Weight λ of the off-diagonal terms.
    """
    error = jnp.square(C - jnp.eye(C.shape[0], dtype=C.dtype))
    on_diagonal = jnp.trace(error)
    return on_diagonal + off_diagonal * (error.sum() - on_diagonal)


@of_embeddings
def barlow_twins(embeddings: Embedding, off_diagonal: float = 1.0, graph: Graph | None = None) -> Float[jax.Array, ""]:
    """Barlow Twins loss of the embeddings F (2n, d) of the views in the order x_1 … x_n, x'_1 … x'_n.

    `graph` (N, N) replaces the pairs, as in `cross_correlation`.
    """
    return correlation_loss(cross_correlation(embeddings, graph), off_diagonal)


@of_embeddings
def barlow_twins_normalised(
    embeddings: Embedding, off_diagonal: float = 0.0051, epsilon: float = 1e-5, graph: Graph | None = None
) -> Float[jax.Array, ""]:
    """Barlow Twins as it is used: every dimension standardised, so that the scale of the embeddings does not count.

    Without a graph each of the two halves is standardised by its own mean and variance and C = ẐᵀẐ'/n is not
    symmetric. With a graph every partner appears on both sides, so mean and variance weigh views by their degree and C
    is symmetric; the graph J differs from no graph in this alone.

    Normalisation removes the saddle at zero: the gradient grows as 1/scale instead of vanishing, and there is no phase
    of slow linear growth from a small start.

    Parameters
    ----------
    embeddings : array (2n, d)
        F, views in the order x_1 … x_n, x'_1 … x'_n; (N, d) with a graph.
    off_diagonal : float
        Weight λ of the off-diagonal terms; 0.0051 in Zbontar et al. (2021).
    epsilon : float
        Constant ε that is added to the variances. Batch normalisation, which the released recipe uses, has 1e-5; a
        readout that starts with variances far below it is not normalised at all. With 0 the loss does not depend on the
        scale of the embeddings, as in theory, but a constant dimension counts as its rounding has it.
    graph : array (N, N), optional
        Relation G between the views, in place of pairs.
    """
    if graph is None:
        z, z_prime = (_standardised(half, None, epsilon) for half in jnp.split(embeddings, 2))
        return correlation_loss(z.T @ z_prime / len(z), off_diagonal)
    weights = jnp.asarray(graph, embeddings.dtype).sum(axis=1)
    return correlation_loss(cross_correlation(_standardised(embeddings, weights, epsilon), graph), off_diagonal)


def _standardised(Z: Embedding, weights: Array | None, epsilon: float) -> Float[Array, "views dim"]:
    centred = Z - jnp.average(Z, axis=0, weights=weights)
    return centred / jnp.sqrt(jnp.average(jnp.square(centred), axis=0, weights=weights) + epsilon)


def plateau(dim: int, learned: int, off_diagonal: float) -> tuple[float, float]:
    """Height of the plateau at which `learned` of `dim` modes are learned, for λ ≤ 1.

    For λ < 1 the outputs share the learned modes: their eigenvalues stay at d/(r + λ(d − r)) until the next is
    learned, and the loss at dλ(d − r)/(r + λ(d − r)), the smallest that rank r allows. For λ > 1 sharing is a saddle:
    r outputs switch on, one mode each, and the others stay off.

    Returns
    -------
    eigenvalue, loss : float
    """
    d, r, lam = dim, learned, off_diagonal
    return d / (r + lam * (d - r)), d * lam * (d - r) / (r + lam * (d - r))
