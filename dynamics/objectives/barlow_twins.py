"""Barlow Twins as the theory has it: no normalisation, no centring, cross-correlation against the identity.

    C = FᵀJF / 2n = (ZᵀZ' + Z'ᵀZ) / 2n ,    L = Σ_i (C_ii − 1)² + λ Σ_{i≠j} C_ij²

Simon et al. (2023), eq. 2, take λ = 1, where L = ‖C − I‖_F² and the dynamics has a closed form. The practical recipe
(Zbontar et al. 2021) standardises every dimension and takes λ = 0.0051.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dynamics.typing import Array, Embedding


def cross_correlation(embeddings: Embedding) -> Float[Array, "dim dim"]:
    """C = FᵀJF/2n of the embeddings F (2n, d) of the views in the order x_1 … x_n, x'_1 … x'_n."""
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
        λ, the weight of the off-diagonal terms.
    """
    error = jnp.square(C - jnp.eye(C.shape[0], dtype=C.dtype))
    on_diagonal = jnp.trace(error)
    return on_diagonal + off_diagonal * (error.sum() - on_diagonal)


def barlow_twins(embeddings: Embedding, off_diagonal: float = 1.0) -> Float[jax.Array, ""]:
    """Barlow Twins loss of the embeddings F (2n, d) of the views in the order x_1 … x_n, x'_1 … x'_n."""
    return correlation_loss(cross_correlation(embeddings), off_diagonal)


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
