"""Losses that predict one view's embedding from the other's: BYOL and SimSiam.

A predictor q maps the embeddings of one network to those of another, which is not differentiated through: in BYOL
(Grill et al. 2020) a moving average of the network, in SimSiam (Chen & He 2021) the network itself. Nothing in the loss
keeps all embeddings from becoming one; what does is the dynamics (`dynamics.solvable.directpred`).

>>> import jax.numpy as jnp
>>> z = jnp.eye(4, 3) + 0.1
>>> round(float(simsiam(z[jnp.array([2, 3, 0, 1])], z)), 6)  # each view predicts its partner
-1.0
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dynamics.objectives.door import of_embeddings
from dynamics.objectives.graph import partners, unit_rows
from dynamics.typing import Array, Embedding

Tree = TypeVar("Tree")


@of_embeddings
def byol(predictions: Embedding, targets: Embedding, epsilon: float = 1e-12) -> Float[jax.Array, ""]:
    """(1/n) Σ_i ‖p̂_i − ẑ'_i‖² + ‖p̂'_i − ẑ_i‖², unit vectors p̂ and ẑ; = 4 − 4 × mean cosine (Grill et al. 2020, eq. 2).

    Parameters
    ----------
    predictions : array (2n, d)
        Predictions p = q(z) of the online network, views in the order x_1 … x_n, x'_1 … x'_n.
    targets : array (2n, d)
        Embeddings z of the target network for the same views in the same order. No gradient flows into them.
    epsilon : float
        Smallest squared norm ε by which is divided, 1e-12 in the released code. Embeddings shorter than √ε are not
        normalised.
    """
    return 4 - 4 * _mean_cosine(predictions, targets, epsilon)


@of_embeddings
def simsiam(predictions: Embedding, targets: Embedding, epsilon: float = 1e-12) -> Float[jax.Array, ""]:
    """Negative cosine between predictions and the partners' targets, mean over 2n views (Chen & He 2021, eq. 2).

    The arguments are those of `byol`; the targets are the embeddings of the network itself.
    """
    return -_mean_cosine(predictions, targets, epsilon)


def _mean_cosine(predictions: Embedding, targets: Embedding, epsilon: float) -> Float[jax.Array, ""]:
    p, z = unit_rows(predictions, epsilon), unit_rows(jax.lax.stop_gradient(targets), epsilon)
    return jnp.vdot(p, partners(z)) / len(p)


def moving_average(target: Tree, online: Tree, decay: float | Array) -> Tree:
    """BYOL's target network after a step, ξ ← τξ + (1 − τ)θ, for parameters (and batch statistics) of any structure.

    Parameters
    ----------
    target, online : pytree
        Parameters ξ of the target and θ of the online network.
    decay : float
        The factor τ, as `target_decay` gives it.
    """
    return jax.tree.map(lambda xi, theta: xi + (1 - decay) * (theta - xi), target, online)


def target_decay(step: int | Array, steps: int, base: float = 0.996) -> Float[jax.Array, ""]:
    """τ = 1 − (1 − τ_base)(cos(πk/K) + 1)/2 at step k of K, from τ_base to 1 (Grill et al. 2020, section 3.2)."""
    k = jnp.minimum(step, steps)
    return 1 - (1 - base) * (jnp.cos(jnp.pi * k / steps) + 1) / 2
