"""Losses of a student that learns from a slower copy of itself: DINO, and prediction of embeddings as in I-JEPA.

Both take outputs of the network that learns and targets from a moving average of it (`moving_average`). DINO has no
predictor: its outputs and targets differ by the temperatures and by the age of the weights.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dynamics.objectives.door import check_setting, of_embeddings
from dynamics.objectives.graph import partners
from dynamics.support.bounds import Scale
from dynamics.typing import Embedding


@of_embeddings
def dino(
    predictions: Embedding, targets: Embedding, temperature: float = 0.1, target_temperature: float = 0.04
) -> Float[jax.Array, ""]:
    """Cross-entropy −(1/2n) Σ_i q'_i · ln softmax(s_i/τ_s) with q' = softmax((t' − c)/τ_t) of the partner.

    Caron et al. (2021), eq. 3. The centre c is the mean of the targets of this batch; the released code averages it
    over batches, with a momentum of 0.9. From small outputs a mode grows only if the agreement of partners along it is
    above τ_t/τ_s: sharpening is what makes the student leave the start.

    Parameters
    ----------
    predictions : array (2n, d)
        Outputs s of the student, views in the order x_1 … x_n, x'_1 … x'_n.
    targets : array (2n, d)
        Outputs t of the teacher for the same views in the same order. No gradient flows into them.
    temperature, target_temperature : float
        Temperatures τ_s of the student and τ_t of the teacher; 0.1 and 0.04 in the released code.

    Raises
    ------
    ConfigError
        If a temperature is not positive.
    """
    check_setting("temperature", temperature, Scale)
    check_setting("target_temperature", target_temperature, Scale)
    teacher = jax.lax.stop_gradient(targets)
    shares = jax.nn.softmax((teacher - teacher.mean(axis=0)) / target_temperature, axis=1)
    return -jnp.vdot(partners(shares), jax.nn.log_softmax(predictions / temperature, axis=1)) / len(predictions)


@of_embeddings
def latent_prediction(predictions: Embedding, targets: Embedding) -> Float[jax.Array, ""]:
    """Mean square (1/2nd) Σ_i ‖p_i − t'_i‖² between predictions and the partners' targets, as I-JEPA has it.

    The released code of I-JEPA (Assran et al. 2023) normalises the targets layer by layer and takes the smooth absolute
    value; without both this is the loss of the linear theory (Tian et al. 2021; Littwin et al. 2024).

    Parameters
    ----------
    predictions : array (2n, d)
        Predictions p of the online network, views in the order x_1 … x_n, x'_1 … x'_n.
    targets : array (2n, d)
        Embeddings t of the target network for the same views in the same order. No gradient flows into them.
    """
    return jnp.square(predictions - partners(jax.lax.stop_gradient(targets))).mean()
