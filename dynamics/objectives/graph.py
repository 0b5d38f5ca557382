"""Relation graphs: matrices of weights that say which views are partners, where plain pairs do not.

Most objectives accept one as `graph`.

G (N, N) is symmetric and not negative; G_ij > 0 says that views i and j are partners. Two views of each of n images,
the default everywhere, are the swap of the two halves, G = J with N = 2n. `dynamics.views.Relation` builds others.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.typing import Array, Embedding

Graph = Float[Array, "views views"]


def partners(embeddings: Embedding, graph: Graph | None = None) -> Float[Array, "views dim"]:
    """G F: for every view the weighted sum of its partners' embeddings; without a graph, its one partner's."""
    if graph is None:
        n = len(embeddings) // 2
        return jnp.concatenate([embeddings[n:], embeddings[:n]])
    return jnp.asarray(graph, embeddings.dtype) @ embeddings


def degrees(embeddings: Embedding, graph: Graph | None = None) -> Float[Array, " views"]:
    """Degrees of the views: row sums of G, all one for pairs."""
    if graph is None:
        return jnp.ones(len(embeddings), embeddings.dtype)
    return jnp.asarray(graph, embeddings.dtype).sum(axis=1)


def laplacian(graph: Graph) -> Float[np.ndarray, "views views"]:
    """L = D_G − G in float64, with the degrees Σ_j G_ij on the diagonal D_G."""
    G = np.asarray(graph, np.float64)
    return np.diag(G.sum(axis=1)) - G


def invariance(embeddings: Embedding, graph: Graph | None = None) -> Float[jax.Array, ""]:
    """(1/N) Σ_ij G_ij ‖z_i − z_j‖² over ordered pairs, the mean squared distance of partners for two views.

    It is the term of Balestriero & LeCun (2022), eq. 1, and equals (2/N) tr FᵀLF with the Laplacian L = D_G − G.
    """
    squares = jnp.square(embeddings).sum(axis=1) @ degrees(embeddings, graph)
    return 2 * (squares - jnp.vdot(embeddings, partners(embeddings, graph))) / len(embeddings)


def covariance(embeddings: Embedding, center: bool = True) -> Float[Array, "dim dim"]:
    """Second moments (1/N) Σ z zᵀ over all views, about their mean unless `center` is false."""
    centred = embeddings - embeddings.mean(axis=0) if center else embeddings
    return centred.T @ centred / len(embeddings)


def unit_rows(embeddings: Embedding, epsilon: float = 1e-12) -> Embedding:
    """Embeddings divided by their norms; squared norms below ε are taken to be ε, so that a zero row stays zero.

    The default is that of the released code of SimCLR and BYOL (l2_normalize of TensorFlow and of BYOL).
    """
    return embeddings * jax.lax.rsqrt(jnp.maximum(jnp.square(embeddings).sum(axis=1, keepdims=True), epsilon))
