"""The kernel after training against the embeddings: how much of what was learned lies among its strongest modes."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float

from dynamics.modes import ContrastiveModes, contrastive_modes_from_features
from dynamics.recipe.comparison import tangent_modes
from dynamics.studies.claims import Claim
from dynamics.studies.statistics import half_width, lower_end
from dynamics.studies.stepwise import PAPER
from dynamics.studies.stepwise.practical import LOSSES, PracticalRun
from dynamics.studies.stepwise.three_losses import chosen, setting
from dynamics.training.minibatch import BATCH_STATS, deinterleave
from dynamics.trajectories.metrics import span_overlap

TANGENT_PAIRS = 48
"""Pairs of the probe batch on which tangent kernels are evaluated, each with a backward pass for every output."""


def readout_features(run: PracticalRun) -> Float[np.ndarray, "views features"]:
    """Inputs of the last layer of the trained network on the probe batch, centred, with its batch statistics."""
    encoder, state = run.prepared.encoder, run.state
    variables = {"params": state.params, BATCH_STATS: state.model_state[BATCH_STATS]}
    h, _ = encoder.apply(variables, run.prepared.probe, train=True, method="readout_features", mutable=[BATCH_STATS])
    h = np.asarray(deinterleave(h), np.float64)
    return h - h.mean(axis=0)


def top_functions(features: Float[np.ndarray, "views features"], dim: int) -> Float[np.ndarray, "views dim"]:
    """The d strongest contrastive modes of the conjugate kernel of centred features, on their views."""
    modes = contrastive_modes_from_features(features)
    return features @ (features.T @ modes.duals[:, :dim])


def kernel_claims(runs: Sequence[PracticalRun]) -> list[Claim]:
    """Overlaps of embeddings with kernels after training, within each method and across methods."""
    small = {loss: chosen(runs, loss, "small") for loss in LOSSES}
    features = {loss: [readout_features(run) for run in found] for loss, found in small.items()}
    learned = {loss: [_final(run) for run in found] for loss, found in small.items()}
    dim = learned["barlow-twins"][0].shape[1]
    width = features["barlow-twins"][0].shape[1]

    def overlaps(kernel_of: str, embeddings_of: str) -> np.ndarray:
        pairs = zip(features[kernel_of], learned[embeddings_of], strict=True)
        return np.array([span_overlap(F, top_functions(h, dim), dim) for h, F in pairs])

    same = setting(runs, "barlow-twins")
    claims = []
    for loss, name in LOSSES.items():
        within = overlaps(loss, loss)
        claims.append(
            Claim.at_least(
                f"{name}: the embeddings are mostly the strongest modes of the kernel of the last layer after training "
                f"(overlap of the top-{dim} subspaces; chance {dim / width:.2f} among the {width} features)",
                f"{PAPER}, kernel after training; {setting(runs, loss)}; the bound, half of them, is this project's",
                bound=0.5,
                measured=within.mean(),
                interval=half_width(within),
            )
        )
    across = np.mean([overlaps(a, b) for a in LOSSES for b in LOSSES if a != b], axis=0)
    chance = dim / learned["barlow-twins"][0].shape[0]
    claims.append(
        Claim.at_least(
            "across methods: the modes of one method's kernel after training tell what another method has learned "
            f"(overlap {across.mean():.2f} less the {chance:.2f} of chance, lower end of the 95 % interval)",
            f"{PAPER}, kernel after training, across methods; {same}; same weights at the start",
            bound=0.0,
            measured=lower_end(across - chance),
        )
    )
    tangent = np.array([tangent_overlap(run) for run in small["barlow-twins"]])
    claims.append(
        Claim.at_least(
            "Barlow Twins: the embeddings are mostly the strongest modes of the tangent kernel after training (overlap "
            f"of the top-{dim} subspaces on {TANGENT_PAIRS} pairs; chance {dim / (2 * TANGENT_PAIRS):.2f})",
            f"{PAPER}, kernel after training; {same}; the bound, half of them, is this project's",
            bound=0.5,
            measured=tangent.mean(),
            interval=half_width(tangent),
        )
    )
    return claims


def tangent_overlap(run: PracticalRun, pairs: int = TANGENT_PAIRS) -> float:
    """Overlap of the embeddings with the modes of the tangent kernel after training, on the first pairs."""
    prepared, p = run.prepared, len(run.prepared.probe) // 2
    pairs = min(pairs, p)
    modes: ContrastiveModes = tangent_modes(prepared, run.state, jax.device_get(prepared.probe[: 2 * pairs]))
    F = _final(run)[np.r_[0:pairs, p : p + pairs]]
    functions = modes.on_views[:, : F.shape[1]]
    return span_overlap(F - F.mean(axis=0), functions - functions.mean(axis=0), F.shape[1])


def _final(run: PracticalRun) -> Float[np.ndarray, "views dim"]:
    """Embeddings of the probe batch at the end, centred."""
    assert run.trajectory.embeddings is not None
    F = run.trajectory.embeddings[-1].astype(np.float64)
    return F - F.mean(axis=0)
