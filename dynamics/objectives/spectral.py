"""Losses that factorise the relation: squared SimCLR and the spectral contrastive loss."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dynamics.objectives.door import of_embeddings
from dynamics.objectives.graph import Graph, degrees, partners
from dynamics.typing import Embedding


@of_embeddings
def simclr_squared(embeddings: Embedding, graph: Graph | None = None) -> Float[jax.Array, ""]:
    """‖FFᵀ − G‖_F², SimCLR with squares for the cross-entropy (Balestriero & LeCun 2022, Thm. on SimCLR).

    No temperature, no normalisation, no centring. For two views its value at F/√2n is the spectral contrastive
    loss of F plus 2n.

    Parameters
    ----------
    embeddings : array (2n, d)
        F, views in the order x_1 … x_n, x'_1 … x'_n; (N, d) with a graph.
    graph : array (N, N), optional
        Relation G; any symmetric matrix will do.
    """
    constant = len(embeddings) if graph is None else jnp.square(jnp.asarray(graph, embeddings.dtype)).sum()
    # ‖FFᵀ‖ = ‖FᵀF‖: nothing of size (N, N) is made
    return (
        jnp.square(embeddings.T @ embeddings).sum() - 2 * jnp.vdot(embeddings, partners(embeddings, graph)) + constant
    )


@of_embeddings
def spectral_contrastive(embeddings: Embedding, graph: Graph | None = None) -> Float[jax.Array, ""]:
    """L = −2 E⁺ z·z⁺ + E (z·z⁻)², HaoChen et al. (2021).

    Partners are drawn by G, the two of E⁻ independently, with probabilities w = D_G1/Σ_ij G_ij. With rows √w_i z_i it
    is ‖FFᵀ − Ā‖² − ‖Ā‖² for the normalised adjacency Ā = D_G^{−1/2} G D_G^{−1/2}.

    Parameters
    ----------
    embeddings : array (2n, d)
        F, views in the order x_1 … x_n, x'_1 … x'_n; (N, d) with a graph.
    graph : array (N, N), optional
        Relation G between the views, in place of pairs.
    """
    weights = degrees(embeddings, graph)
    total = weights.sum()
    moments = embeddings.T @ (weights[:, None] * embeddings) / total
    return jnp.square(moments).sum() - 2 * jnp.vdot(embeddings, partners(embeddings, graph)) / total
