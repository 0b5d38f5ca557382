"""Losses as plain functions, one file each.

All take the embeddings F (2n, d) of the views in the order x_1 … x_n, x'_1 … x'_n; with `graph=G` (N, N), a relation
graph in place of pairs, embeddings (N, d) in the order of its rows.
"""

from dynamics.objectives.barlow_twins import (
    barlow_twins,
    barlow_twins_normalised,
    correlation_loss,
    cross_correlation,
)
from dynamics.objectives.generalised_spectral import generalised_spectral
from dynamics.objectives.infonce import infonce, infonce_expansion, nt_xent
from dynamics.objectives.spectral import simclr_squared, spectral_contrastive
from dynamics.objectives.vicreg import vicreg, vicreg_squared

__all__ = [
    "barlow_twins",
    "barlow_twins_normalised",
    "correlation_loss",
    "cross_correlation",
    "generalised_spectral",
    "infonce",
    "infonce_expansion",
    "nt_xent",
    "simclr_squared",
    "spectral_contrastive",
    "vicreg",
    "vicreg_squared",
]
