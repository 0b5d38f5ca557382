"""VICReg as an expansion of the flat prior with Gaussian entropies (Bizeul et al. 2024, section on SSL losses).

A view's part of −E log p(z_1, z_2) under the flat prior is E‖z_1 − z_2‖²/8σ². What keeps embeddings apart is the
entropy H of their distribution; for a Gaussian of covariance Σ, standard deviations s_k and correlations R,

    −H = −Σ_k log s_k − ½ log|R| + const = Σ_k (1 − s_k) + ¼ Σ_{j≠k} Σ_jk² + const + higher orders at Σ = I:

invariance, variance and covariance of VICReg, with the weights of `vicreg_weights`. The hinge max(0, 1 − s_k) is the
variance term where s_k < 1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dynamics.objectives import vicreg
from dynamics.objectives.graph import covariance, invariance
from dynamics.typing import Embedding


class VICRegWeights(NamedTuple):
    """Weights in the conventions of `dynamics.objectives.vicreg`: sums over dimensions, mean squared distances."""

    variance: float
    covariance: float
    invariance: float


RELEASED_WEIGHTS = VICRegWeights(25.0, 2.0, 25.0)
"""The weights of Bardes et al. (2022), 25 : 1 : 25, times d; their covariance term is summed over both views."""


def vicreg_weights(within_variance: float) -> VICRegWeights:
    """Return the weights 1, ¼ and 1/8σ² that the expansion gives.

    In the released weights the invariance is as strong as the variance, which means σ² = 1/8, and the covariance is
    about 3 times weaker.
    """
    return VICRegWeights(1.0, 0.25, 1 / (8 * within_variance))


def gaussian_objective(embeddings: Embedding, within_variance: float) -> Float[jax.Array, ""]:
    """E‖z_1 − z_2‖²/8σ² − ½ log|Σ| of the embeddings F (2n, d), in nats a view, up to a constant."""
    log_determinant = jnp.linalg.slogdet(covariance(embeddings))[1]
    return invariance(embeddings) / (8 * within_variance) - log_determinant / 2


def vicreg_expansion(embeddings: Embedding, within_variance: float) -> Float[jax.Array, ""]:
    """`gaussian_objective` near Σ = I, for standard deviations below 1: VICReg with the hinge."""
    return vicreg(embeddings, *vicreg_weights(within_variance), epsilon=0.0)
