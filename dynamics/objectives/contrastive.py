"""InfoNCE: recognise the partner of a view among all candidates, by dot product or cosine.

    L = −(1/Σ_ij G_ij) Σ_ij G_ij log softmax_j(sim(z_i, z_j)/τ)

The candidates are where conventions differ: `partners` for the other half of the views (van den Oord et al. 2018;
two views only), `others` for all views but the anchor itself (NT-Xent, Chen et al. 2020), `all` for all of them (the
population form that theory uses).
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dynamics.objectives.door import check_setting, of_embeddings
from dynamics.objectives.graph import Graph, covariance, partners, unit_rows
from dynamics.support.bounds import Scale
from dynamics.typing import Embedding

Candidates = Literal["partners", "others", "all"]


@of_embeddings
def infonce(
    embeddings: Embedding,
    temperature: float = 1.0,
    similarity: Literal["dot", "cosine"] = "dot",
    candidates: Candidates = "all",
    graph: Graph | None = None,
) -> Float[jax.Array, ""]:
    """InfoNCE of the embeddings F.

    Cosine similarity does not depend on the scale of the embeddings: making the readout small changes only the speed of
    training, which grows as 1/scale².

    Parameters
    ----------
    embeddings : array (2n, d)
        F, views in the order x_1 … x_n, x'_1 … x'_n; (N, d) with a graph.
    temperature : float
        Temperature τ, which divides the similarities.
    similarity : str
        How embeddings are compared: by `dot` product, or by the `cosine` of the angle between them.
    candidates : str
        Embeddings that the anchor is compared with: `partners`, `others` or `all`, as the module explains.
    graph : array (N, N), optional
        Relation G; `candidates="partners"` cannot be combined with one.

    Raises
    ------
    ConfigError
        If the temperature is not positive.
    ValueError
        If `candidates` is `partners` and a graph is given.
    """
    check_setting("temperature", temperature, Scale)
    F = unit_rows(embeddings) if similarity == "cosine" else embeddings
    logits = F @ F.T / temperature
    if candidates == "partners":
        if graph is not None:
            raise ValueError("candidates='partners' is for two views; with a graph choose 'others' or 'all'.")
        half = jnp.arange(len(F)) < len(F) // 2
        logits = jnp.where(half[:, None] != half[None, :], logits, -jnp.inf)
    elif candidates == "others":
        logits = jnp.where(jnp.eye(len(F), dtype=bool), -jnp.inf, logits)
    normaliser = jax.nn.logsumexp(logits, axis=1)
    if graph is None:
        return normaliser.mean() - jnp.vdot(F, partners(F)) / (temperature * len(F))
    weights = jnp.asarray(graph, F.dtype)
    return (weights.sum(axis=1) @ normaliser - jnp.vdot(F, partners(F, weights)) / temperature) / weights.sum()


def nt_xent(embeddings: Embedding, temperature: float = 0.5, graph: Graph | None = None) -> Float[jax.Array, ""]:
    """SimCLR's loss: InfoNCE by cosine against all other views; τ = 0.5 as in Chen et al. (2020) on CIFAR-10."""
    return infonce(embeddings, temperature, "cosine", "others", graph)


def nt_xent_dot(embeddings: Embedding, temperature: float = 1.0, graph: Graph | None = None) -> Float[jax.Array, ""]:
    """InfoNCE by dot product against all other views: SimCLR's loss without the normalisation of the embeddings."""
    return infonce(embeddings, temperature, "dot", "others", graph)


@of_embeddings
def infonce_expansion(embeddings: Embedding, temperature: float = 1.0) -> Float[jax.Array, ""]:
    """`infonce` by dot product against all 2n views for small embeddings, up to terms of sixth order.

    L ≈ ln 2n − (1/τ) tr Γ_c + (1/2τ²) tr M Σ_c with M = FᵀF/2n, Σ_c = M − mmᵀ, Γ_c = C − mmᵀ and the mean m: the
    logarithm of a mean of exponentials is mean plus half the variance. Where Γ, M and Σ commute its gradient flow is
    logistic, mode by mode.
    """
    m = embeddings.mean(axis=0)
    M = covariance(embeddings, center=False)
    trace_gamma = jnp.vdot(embeddings, partners(embeddings)) / len(embeddings) - m @ m
    quartic = jnp.vdot(M, M - jnp.outer(m, m))
    return jnp.log(len(embeddings)) - trace_gamma / temperature + quartic / (2 * temperature**2)
