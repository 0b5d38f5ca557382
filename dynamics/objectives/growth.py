"""Linear phase of every objective: which functions grow first from a small start, and how fast.

Near zero every loss below is L(F) = L(0) − tr FᵀBF + …, so the flow dF/dt = −K̃∇L is dF/dt = 2K̃BF: the eigenpairs of
K̃B are what is learned and 2 × eigenvalue the rate of its amplitude (`dynamics.flow.growth_modes`). One function an
objective gives B (N, N) for a relation graph G (N, N); for two views G = J, the swap of the two halves.

| objective | B for two views, N = 2n | grows as Barlow Twins |
|---|---|---|
| Barlow Twins, any λ | 2J/N | – |
| quadratic VICReg | 2[(1 − γ)I + γJ]/N | at γ = 1 |
| VICReg, hinge | αI/(2√ε N) − 2γ(I − J)/N, on centred functions | never |
| InfoNCE, dot products, all | H J H/(τN) | on centred functions, 2τ times slower |
| SimCLR squared | 2J | N times faster |
| spectral contrastive | 2J/N | yes |
| generalised spectral, λ | 2[(λ − 1)I + J]/N | at λ = 1 |

Losses by cosine, and Barlow Twins with normalised dimensions, are singular at zero and have no linear phase.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.objectives.graph import Graph, laplacian
from dynamics.support.compiled import compile_once
from dynamics.support.precision import double_precision

GrowthMatrix = Float[np.ndarray, "views views"]


def barlow_twins_growth(graph: Graph) -> GrowthMatrix:
    """B = 2G/Σ_ij G_ij, whatever the weight λ of the off-diagonal terms, which are of fourth order."""
    G = np.asarray(graph, np.float64)
    return 2 * G / G.sum()


def vicreg_squared_growth(graph: Graph, weight: float = 1.0, center: bool = True) -> GrowthMatrix:
    """B = (2/N)(H − γL) with the Laplacian L = D_G − G and H = I − 11ᵀ/N, or I without centring.

    For two views without centring it is proportional to (1 − γ)I + γJ, which in feature space is (1 − γ)Σ + γΓ: the Γ
    of Barlow Twins at γ = 1.
    """
    return 2 * (_centring(len(graph), center) - weight * laplacian(graph)) / len(graph)


def vicreg_growth(
    graph: Graph, variance_weight: float = 25.0, invariance_weight: float = 25.0, epsilon: float = 1e-4
) -> GrowthMatrix:
    """B = αH/(2√ε N) − 2γL/N while all variances are far below ε; for √ε < 1, else the hinge is never active."""
    pull = variance_weight / (2 * epsilon**0.5) if epsilon < 1 else 0.0
    return (pull * _centring(len(graph)) - 2 * invariance_weight * laplacian(graph)) / len(graph)


def infonce_growth(
    graph: Graph, temperature: float = 1.0, candidates: Literal["partners", "others", "all"] = "all"
) -> GrowthMatrix:
    """B = (G/Σ_ij G_ij − A)/τ, dot products; A averages over anchors and their candidates.

    A = sym(w qᵀ) with w = D_G1/Σ_ij G_ij and q uniform over `all` views; `others` leave the diagonal out, and
    `partners` (two views) keep the two off-diagonal blocks.
    """
    G = np.asarray(graph, np.float64)
    N, w = len(G), G.sum(axis=1) / G.sum()
    allowed = np.ones((N, N))
    if candidates == "others":
        allowed -= np.eye(N)
    elif candidates == "partners":
        half = np.arange(N) < N // 2
        allowed = (half[:, None] != half[None, :]).astype(float)
    A = w[:, None] * allowed / allowed.sum(axis=1, keepdims=True)
    return (G / G.sum() - (A + A.T) / 2) / temperature


def simclr_squared_growth(graph: Graph) -> GrowthMatrix:
    """B = 2G for SimCLR with squares in place of the cross-entropy."""
    return 2 * np.asarray(graph, np.float64)


def spectral_contrastive_growth(graph: Graph) -> GrowthMatrix:
    """B = 2G/Σ_ij G_ij, that of Barlow Twins; the two part only when the modes saturate."""
    return barlow_twins_growth(graph)


def generalised_spectral_growth(graph: Graph, weight: float = 1.0) -> GrowthMatrix:
    """B = 2[(λ − 1)D_G + G]/Σ_ij G_ij: in whitened coordinates a mode grows from zero if 1 − μ < λ."""
    G = np.asarray(graph, np.float64)
    return 2 * ((weight - 1) * np.diag(G.sum(axis=1)) + G) / G.sum()


def growth_of(objective, num_views: int) -> GrowthMatrix:
    """B = −½ ∂²L/∂F² at zero of any loss that treats all directions of the outputs alike, by automatic differentiation.

    Parameters
    ----------
    objective : callable
        Loss of embeddings (N, d), smooth at zero.
    num_views : int
        N.
    """
    with double_precision():
        return -0.5 * np.asarray(_hessian(objective)(jnp.zeros(num_views)))


@compile_once(maxsize=16)
def _hessian(objective):
    return jax.jit(jax.hessian(lambda f: objective(f[:, None])))


def _centring(num_views: int, center: bool = True) -> np.ndarray:
    return np.eye(num_views) - (1 / num_views if center else 0.0)
