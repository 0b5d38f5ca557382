"""Losses as plain functions, one file each.

All take the embeddings F (2n, d) of the views in the order x_1 … x_n, x'_1 … x'_n; with `graph=G` (N, N), a relation
graph in place of pairs, embeddings (N, d) in the order of its rows. BYOL and SimSiam take predictions and targets.
`dynamics.objectives.registry` lists the objectives of practical recipes by name, and `growth_matrix` says how any of
them grows from a small start.

**Conventions.** One name stands for many losses, and a weight tuned for one of them means nothing in another. The
table says what the losses here are and how public code differs. It was read from the sources of the repositories; Z
and Z' are the halves of F, n is the number of pairs and d that of dimensions.

| loss | weights | statistics and normalisation | ε | scale |
|---|---|---|---|---|
| `barlow_twins` (Simon et al. 2023) | λ = 1 | none, not centred, C symmetrised | – | sum over d² entries |
| `barlow_twins_normalised` | λ = 0.0051 | each half by its mean and its variance with 1/n | on the variance | same |
| – facebookresearch/barlowtwins | 0.0051 | same (BatchNorm without scale and shift), C with 1/n | 1e-5 | same |
| – solo-learn | 0.005 | same | 1e-5 | × 0.025 |
| – lightly | 0.005 | variance with 1/(n − 1), C with 1/n: its diagonal ends at (n − 1)/n | none | same |
| `vicreg` (Balestriero & LeCun 2022) | 25, 1, 25 | all views together, 1/2n | 1e-4 | sums over d and d² |
| `vicreg_released` (Bardes et al. 2022) | 25, 1, 25 | each half, 1/(n − 1) | 1e-4 | variances /2d, the others /d |
| – facebookresearch/vicreg, lightly | 25, 1, 25 | same | 1e-4 | same |
| – solo-learn | 25, 1, 25 | same | 1e-4 | variance term twice ours |
| `nt_xent` | τ = 0.5 | cosine; all other 2n − 1 views as candidates | – | mean over 2n anchors |
| – google-research/simclr | τ is a flag | same | 1e-12 | mean over each half, summed: twice ours |
| – lightly; solo-learn | τ = 0.5; 0.1 | same | 1e-12 | same |
| `spectral_contrastive` | none | none; E⁻ over all pairs of views, a view with itself too | – | means |
| – jhaochenz96/spectral_contrastive_learning | μ = 1 | norms clipped at √μ; E⁻ over Z × Z', i ≠ j | – | means / μ |
| `byol` | τ_base = 0.996 | cosine | 1e-12, squared norm | both directions summed, mean over n |
| – google-deepmind/deepmind-research | a setting | same | 1e-12, squared norm | same |
| – solo-learn | a setting | same | 1e-8 or 1e-12 | one direction, 2 − 2 cos |
| `simsiam` | none | cosine | 1e-12, squared norm | mean over 2n |
| – facebookresearch/simsiam | none | same | 1e-8, norm | same |
| – lightly, solo-learn | none | same | 1e-8, norm | one direction |
| `sigreg`, `lejepa` (Balestriero & LeCun 2025) | 0.02 | each half; knots on [0, 3] | – | SIGReg × n, distance /4nd |
| – rbalestr-lab/lejepa, minimal example | 0.02 | same | – | same |
| – rbalestr-lab/lejepa, package | a setting | all views together, 1024 slices | – | × views, on all devices |
| `visreg` (Wu et al. 2026) | 0.9; 1, 1, 1 | each half, 1/n | 1e-6, deviation | means over n, d and slices |
| – HaiyuWu/visreg | same | same; distance from the mean of global views | same | same |
| `mmcr` (Yerxa et al. 2023) | none | centroids of unit vectors | 1e-12, squared norm | sum of singular values |
| – lightly | 0.005 for the views' own norms | not normalised, with a moving network | – | same |
| `dino` (Caron et al. 2021) | τ = 0.1, 0.04 | centre of this batch | – | mean over 2n |
| – facebookresearch/dino | 0.1, 0.04 | centre averaged over batches (0.9) | – | same, over all pairs of views |
| `latent_prediction` (Assran et al. 2023) | τ_base = 0.996 | none | – | mean over 2n and d |
| – facebookresearch/ijepa | 0.996, rising | targets normalised; smooth absolute value | – | mean over tokens |

The ε of PyTorch functions (`normalize` 1e-12, `cosine_similarity` 1e-8, `BatchNorm1d` 1e-5) are the defaults documented
there. ε decides what a small start is: embeddings far below it are not normalised.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynamics.objectives.capacity import mmcr
    from dynamics.objectives.contrastive import infonce, infonce_expansion, nt_xent, nt_xent_dot
    from dynamics.objectives.correlation import (
        barlow_twins,
        barlow_twins_normalised,
        correlation_loss,
        cross_correlation,
    )
    from dynamics.objectives.distillation import dino, latent_prediction
    from dynamics.objectives.equivalence import Equivalent, equivalent_weights
    from dynamics.objectives.escape import Escape, direction_growth, escape_law
    from dynamics.objectives.growth import growth_matrix
    from dynamics.objectives.heads import Head
    from dynamics.objectives.predictor import byol, moving_average, simsiam, target_decay
    from dynamics.objectives.registry import (
        OBJECTIVES,
        Objective,
        Setting,
        embedding_loss,
        get_objective,
        objective_loss,
    )
    from dynamics.objectives.sketched import lejepa, sigreg
    from dynamics.objectives.spectral import simclr_squared, spectral_contrastive
    from dynamics.objectives.variance import vicreg, vicreg_released, vicreg_squared
    from dynamics.objectives.wasserstein import visreg
    from dynamics.objectives.weighted_spectral import generalised_spectral

# Names are loaded when they are first used, so that the command line lists objectives without importing JAX. No file
# of this folder may have the name of a loss: the file would take the place of the loss.
_FILES = {
    "capacity": ("mmcr",),
    "contrastive": ("infonce", "infonce_expansion", "nt_xent", "nt_xent_dot"),
    "correlation": ("barlow_twins", "barlow_twins_normalised", "correlation_loss", "cross_correlation"),
    "distillation": ("dino", "latent_prediction"),
    "equivalence": ("Equivalent", "equivalent_weights"),
    "escape": ("Escape", "direction_growth", "escape_law"),
    "growth": ("growth_matrix",),
    "heads": ("Head",),
    "predictor": ("byol", "moving_average", "simsiam", "target_decay"),
    "registry": ("OBJECTIVES", "Objective", "Setting", "embedding_loss", "get_objective", "objective_loss"),
    "sketched": ("lejepa", "sigreg"),
    "spectral": ("simclr_squared", "spectral_contrastive"),
    "variance": ("vicreg", "vicreg_released", "vicreg_squared"),
    "wasserstein": ("visreg",),
    "weighted_spectral": ("generalised_spectral",),
}
_FILE_OF = {name: file for file, names in _FILES.items() for name in names}

__all__ = [
    "OBJECTIVES",
    "Equivalent",
    "Escape",
    "Head",
    "Objective",
    "Setting",
    "barlow_twins",
    "barlow_twins_normalised",
    "byol",
    "correlation_loss",
    "cross_correlation",
    "dino",
    "direction_growth",
    "embedding_loss",
    "equivalent_weights",
    "escape_law",
    "generalised_spectral",
    "get_objective",
    "growth_matrix",
    "infonce",
    "infonce_expansion",
    "latent_prediction",
    "lejepa",
    "mmcr",
    "moving_average",
    "nt_xent",
    "nt_xent_dot",
    "objective_loss",
    "sigreg",
    "simclr_squared",
    "simsiam",
    "spectral_contrastive",
    "target_decay",
    "vicreg",
    "vicreg_released",
    "vicreg_squared",
    "visreg",
]


def __getattr__(name: str) -> Any:
    if name in _FILE_OF:
        return getattr(import_module(f"dynamics.objectives.{_FILE_OF[name]}"), name)
    raise AttributeError(f"module 'dynamics.objectives' has no attribute {name!r}")
