"""Maximum manifold capacity (Yerxa et al. 2023): the centroids of views on the sphere should span all directions."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dynamics.objectives.door import of_embeddings
from dynamics.objectives.graph import unit_rows
from dynamics.typing import Array, Embedding


@of_embeddings
def mmcr(embeddings: Embedding, epsilon: float = 1e-12) -> Float[jax.Array, ""]:
    """L = −‖C‖_*, the nuclear norm of the centroids c_i = (ẑ_i + ẑ'_i)/2 of unit vectors, as Yerxa et al. (2023) train.

    The released code has a further term, the mean nuclear norm of the views of one image, whose weight is 0 there.

    Parameters
    ----------
    embeddings : array (2n, d)
        F, views in the order x_1 … x_n, x'_1 … x'_n.
    epsilon : float
        Smallest squared norm ε by which is divided.
    """
    u, u_prime = jnp.split(unit_rows(embeddings, epsilon), 2)
    return -nuclear_norm((u + u_prime) / 2)


@jax.custom_jvp
def nuclear_norm(C: Float[Array, "rows columns"]) -> Float[jax.Array, ""]:
    """Sum of the singular values, with the subgradient UVᵀ of the positive ones, which is finite everywhere."""
    return jnp.linalg.svd(C, compute_uv=False).sum()


@nuclear_norm.defjvp
def _nuclear_norm_jvp(
    primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]
) -> tuple[Float[jax.Array, ""], Float[jax.Array, ""]]:
    U, s, Vt = jnp.linalg.svd(primals[0], full_matrices=False)
    positive = s > max(primals[0].shape) * jnp.finfo(s.dtype).eps * s.max()
    return s.sum(), jnp.vdot((U * positive) @ Vt, tangents[0])
