"""VICReg: variance, covariance and invariance, with squares (for closed forms) and with the hinge (as in practice).

Conventions of Balestriero & LeCun (2022): covariances are over all N views together with 1/N, the invariance term is
(1/N) Σ_ij G_ij ‖z_i − z_j‖² over ordered pairs, which for two views is the mean squared distance of partners. The
released recipe (Bardes et al. 2022, `vicreg_released`) takes covariances in each half of the batch with 1/(n − 1),
divides the variance term by the number of dimensions d and by 2 for the halves, the covariance term by d, and the
invariance term by d.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dynamics.objectives.door import of_embeddings
from dynamics.objectives.graph import Graph, covariance, invariance
from dynamics.typing import Embedding


@of_embeddings
def vicreg_squared(
    embeddings: Embedding, weight: float = 1.0, center: bool = True, graph: Graph | None = None
) -> Float[jax.Array, ""]:
    """Quadratic VICReg, L = ‖Σ − I‖_F² + γ (1/N) Σ_ij G_ij ‖z_i − z_j‖².

    With z = Wx, two views and no centring this is ‖WΣWᵀ − I‖² + γ tr(WDWᵀ), D = 2(Σ − Γ); at γ = 1 it grows from a
    small start exactly as Barlow Twins does. With centring and a graph it is VICReg with squared variance term and
    α = β of Balestriero & LeCun (2022), divided by α, whose optimum is Laplacian eigenmaps.

    Parameters
    ----------
    embeddings : array (2n, d)
        F, views in the order x_1 … x_n, x'_1 … x'_n; (N, d) with a graph.
    weight : float
        Weight γ/α of the invariance term.
    center : bool
        Whether Σ is about the mean of all views.
    graph : array (N, N), optional
        Relation G between the views, in place of pairs.
    """
    error = covariance(embeddings, center) - jnp.eye(embeddings.shape[1], dtype=embeddings.dtype)
    return jnp.square(error).sum() + weight * invariance(embeddings, graph)


@of_embeddings
def vicreg(
    embeddings: Embedding,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
    invariance_weight: float = 25.0,
    epsilon: float = 1e-4,
    graph: Graph | None = None,
) -> Float[jax.Array, ""]:
    """VICReg with the hinge, L = α Σ_k max(0, 1 − √(Σ_kk + ε)) + β Σ_{j≠k} Σ_jk² + (γ/N) Σ_ij G_ij ‖z_i − z_j‖².

    Balestriero & LeCun (2022), eq. 1, with the ε of Bardes et al. (2022). From a start with variances far below ε it
    grows exponentially at a rate proportional to 1/√ε; above ε the square root takes over and the growth slows down.

    Parameters
    ----------
    embeddings : array (2n, d)
        F, views in the order x_1 … x_n, x'_1 … x'_n; (N, d) with a graph.
    variance_weight, covariance_weight, invariance_weight : float
        Weights α, β, γ. Bardes et al. (2022) have 25, 1 and 25, in their normalisation.
    epsilon : float
        Constant ε that is added to the variances, 1e-4 in the released recipe.
    graph : array (N, N), optional
        Relation G between the views, in place of pairs.
    """
    cov = covariance(embeddings)
    variances = jnp.diag(cov)
    hinge = jnp.maximum(0.0, 1.0 - jnp.sqrt(variances + epsilon)).sum()
    off_diagonal = jnp.square(cov).sum() - jnp.square(variances).sum()
    return (
        variance_weight * hinge + covariance_weight * off_diagonal + invariance_weight * invariance(embeddings, graph)
    )


@of_embeddings
def vicreg_released(
    embeddings: Embedding,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
    invariance_weight: float = 25.0,
    epsilon: float = 1e-4,
) -> Float[jax.Array, ""]:
    """VICReg in the normalisation of the released code (Bardes et al. 2022, facebookresearch/vicreg).

    Variances and covariances are those of each half Z, Z' on its own, with 1/(n − 1):

        L = (μ/2d) Σ_halves Σ_k max(0, 1 − √(Σ_kk + ε)) + (ν/d) Σ_halves Σ_{j≠k} Σ_jk² + (λ/nd) ‖Z − Z'‖_F²

    Parameters
    ----------
    embeddings : array (2n, d)
        F, views in the order x_1 … x_n, x'_1 … x'_n.
    variance_weight, covariance_weight, invariance_weight : float
        Weights μ, ν, λ; 25, 1 and 25 in the paper.
    epsilon : float
        Constant ε that is added to the variances, 1e-4 in the released code.
    """
    z, z_prime = jnp.split(embeddings, 2)
    n, d = z.shape
    hinge: Any = 0.0
    off_diagonal: Any = 0.0
    for half in (z, z_prime):
        centred = half - half.mean(axis=0)
        cov = centred.T @ centred / (n - 1)
        variances = jnp.diag(cov)
        hinge += jnp.maximum(0.0, 1.0 - jnp.sqrt(variances + epsilon)).sum() / (2 * d)
        off_diagonal += (jnp.square(cov).sum() - jnp.square(variances).sum()) / d
    distance = jnp.square(z - z_prime).mean()
    return variance_weight * hinge + covariance_weight * off_diagonal + invariance_weight * distance
