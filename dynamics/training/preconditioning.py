"""Faster training: objectives whose gradient is preconditioned before it reaches the network.

Plain descent learns mode j at the rate 8γ_j, while its learning rate is bound by the fastest mode, η < 1/(4γ_1): the
last of d modes takes γ_1/γ_d times as many steps as the first. Both functions here take an objective L(F) of the
embeddings and return one of the same value with another gradient G' in place of G = ∇_F L, ready for
`gradient_descent`.

`precondition_modes` knows the kernel. In mode coordinates, F = φa, plain descent is ȧ = 4γa(I − C). With
G' = V_m γ_m^{−1} φ_mᵀ G on the m strongest modes it is ȧ = 4a(I − C), one rate for all, and nothing else moves as long
as the kernel is the one that the modes were solved for (the Γ^{−1} of `dynamics.solvable.preconditioned`).

`precondition_spectrum` knows nothing but the embeddings. It divides the gradient by the correlation that is already
there, G' = G (|C| + ε)^{−1}: directions of the embedding that are still small get 1/ε times the gradient, so that
waiting for the exponential to rise costs little, and γ still decides what is learned first.

>>> import jax.numpy as jnp
>>> faster = precondition_spectrum(lambda F: ((F.T @ F - jnp.eye(2)) ** 2).sum(), floor=0.1)
>>> float(faster(jnp.eye(4, 2)))
0.0
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.errors import ConfigError
from dynamics.modes.contrastive import ContrastiveModes
from dynamics.objectives.correlation import barlow_twins, cross_correlation
from dynamics.objectives.registry import Loss, embedding_loss


def precondition_modes(modes: ContrastiveModes, num_modes: int, objective: Loss | str = barlow_twins) -> Loss:
    """Make the `num_modes` strongest modes grow at one rate, and do not train the others.

    Gradient descent on Barlow Twins is then stable for learning rates below 1/4, whatever γ.

    Parameters
    ----------
    modes : ContrastiveModes
        Modes of the kernel that drives the network, on the pairs that it is trained on; centred if the embeddings are.
    num_modes : int
        Number of modes m. If it equals the number of embedding dimensions, the network learns the same subspace as
        with plain descent. If it is larger, the start decides which subspace is learned, since strong modes no longer
        have an advantage.
    objective : callable or str
        Loss L of the embeddings (2n, d), or the name of one of `dynamics.objectives.OBJECTIVES`.

    Raises
    ------
    ConfigError
        If fewer than `num_modes` modes can be learned. On the others partners disagree (γ < 0), and γ^{−1} would turn
        descent into ascent.
    """
    if not 1 <= num_modes <= modes.num_positive:
        raise ConfigError(
            f"Preconditioning {num_modes} modes is impossible; these pairs and this kernel have {modes.num_positive} "
            "that can be learned."
        )
    # G' = L (Rᵀ G), two thin factors: the (2n, 2n) product is never formed
    L = np.asarray(modes.duals)[:, :num_modes] / modes.eigenvalues[:num_modes]
    R = np.asarray(modes.on_views)[:, :num_modes]

    def transform(F: jax.Array, G: jax.Array) -> jax.Array:
        return jnp.asarray(L, G.dtype) @ (jnp.asarray(R, G.dtype).T @ G)

    return _with_gradient(embedding_loss(objective), transform)


def precondition_spectrum(objective: Loss | str = barlow_twins, *, floor: float) -> Loss:
    """Focus the gradient on those directions of the embedding in which partners do not correlate yet.

    Parameters
    ----------
    objective : callable or str
        Loss L of the embeddings (2n, d), or the name of one of `dynamics.objectives.OBJECTIVES`.
    floor : float
        Correlation ε > 0 below which a direction counts as unlearned. The gradient along smaller correlations is
        amplified by up to 1/ε.

    Raises
    ------
    ConfigError
        If the floor is not positive.
    """
    if not floor > 0:
        raise ConfigError(f"The floor of the preconditioner is {floor}; give a positive number.")

    def transform(F: jax.Array, G: jax.Array) -> jax.Array:
        c, Q = jnp.linalg.eigh(cross_correlation(F))
        return ((G @ Q) / (jnp.abs(c) + floor)) @ Q.T

    return _with_gradient(embedding_loss(objective), transform)


def _with_gradient(objective: Loss, transform: Callable[[jax.Array, jax.Array], jax.Array]) -> Loss:
    """The objective with transform(F, ∇_F L) in place of its gradient."""

    @jax.custom_vjp
    def preconditioned(F: jax.Array) -> jax.Array:
        return objective(F)

    def forward(F: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        value, G = jax.value_and_grad(objective)(F)
        return value, (F, G)

    def backward(kept: tuple[jax.Array, jax.Array], cotangent: jax.Array) -> tuple[jax.Array]:
        return (cotangent * transform(*kept),)

    preconditioned.defvjp(forward, backward)
    return preconditioned
