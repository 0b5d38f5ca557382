"""Common sayings about the optima that hold only with restrictions; each claim states the restriction."""

from functools import partial

import numpy as np

from dynamics.flow import growth_modes
from dynamics.objectives import vicreg
from dynamics.objectives.graph import laplacian
from dynamics.objectives.growth import barlow_twins_growth, vicreg_squared_growth
from dynamics.optima import (
    barlow_twins_normalised_optimum,
    free_space,
    linear_space,
    vicreg_squared_optimum,
)
from dynamics.studies.claims import Claim
from dynamics.support.precision import double_precision
from dynamics.views import Relation


def correction_claims(seed: int) -> list[Claim]:
    """The basis of Barlow Twins, the hinge of VICReg, and when VICReg grows as Barlow Twins does."""
    rng = np.random.default_rng(seed)
    N, rho = 40, np.array([0.95, 0.85, 0.75])
    basis = np.linalg.qr(np.c_[np.ones(N), rng.normal(size=(N, 6))])[0][:, 1:] * np.sqrt(N)
    even, odd = basis[:, :3] * np.sqrt((1 + rho) / 2), basis[:, 3:] * np.sqrt((1 - rho) / 2)
    views, J = np.concatenate([even + odd, even - odd]), Relation.pairs(N).dense()
    optimum = barlow_twins_normalised_optimum(linear_space(views), J, 3)
    G = Relation.time_adjacency(12, periodic=True).dense()
    lam = np.linalg.eigvalsh(laplacian(G))[1:]
    weight = 0.15 / lam[0]
    squares = vicreg_squared_optimum(free_space(12), G, 2, weight)
    hinge = partial(vicreg, variance_weight=1.0, covariance_weight=1.0, invariance_weight=weight, epsilon=0.0, graph=G)
    roots = np.minimum(1.0, 1 / (4 * weight * lam[:2]))
    better = squares.embeddings / np.sqrt((squares.embeddings**2).mean(axis=0)) * roots
    with double_precision():
        saved = float(hinge(squares.embeddings)) - float(hinge(better))
    K = np.cov(rng.normal(size=(2 * N, 3 * N))) + np.cov(views)
    rates = [growth_modes(K, B).rates for B in (barlow_twins_growth(J), vicreg_squared_growth(J, 1.0, center=False))]
    return [
        Claim.at_least(
            "Barlow Twins: the canonical basis is not the optimum (loss above it, correlations .95 .85 .75)",
            "contrary to “Barlow Twins = CCA”; same span, other basis",
            bound=1e-3,
            measured=((1 - rho) ** 2).sum() - optimum.loss,
        ),
        Claim.at_least(
            "VICReg with the hinge: the optimum of the squares is not its optimum (loss above a better one)",
            "contrary to “VICReg = Laplacian eigenmaps” for the hinge; a ring of 12",
            bound=1e-3,
            measured=saved,
        ),
        Claim.equals(
            "quadratic VICReg with weight 1, uncentred, grows as Barlow Twins does (largest difference of rates)",
            "(1 − λ)Σ + λΓ at λ = 1",
            expected=0.0,
            measured=np.abs(rates[0] - rates[1]).max() / rates[0].max(),
            tolerance=1e-12,
        ),
    ]
