"""Linear phase of every objective: which functions grow first from a small start, and how fast.

Near zero the losses below are L(F) = L(0) − tr FᵀBF + …, so the flow dF/dt = −K̃∇L is dF/dt = 2K̃BF: the eigenpairs of
K̃B are what is learned, and the amplitude of each grows at the rate 2 × eigenvalue (`dynamics.flow.growth_modes`).
`growth_matrix` gives B (N, N) of any objective, for a relation graph G (N, N) or for two views, where G = J is the swap
of the two halves. H = I − 11ᵀ/N removes the mean over all views, H₂ that over each half.

| objective | B for two views, N = 2n | grows as Barlow Twins |
|---|---|---|
| Barlow Twins, any λ | 2J/N | – |
| Barlow Twins, normalised | 2 H₂JH₂/(εN), while variances are far below ε | on centred functions, 1/ε times faster |
| quadratic VICReg | 2[(1 − γ)I + γJ]/N | at γ = 1 |
| VICReg, hinge | αH/(2√ε N) − 2γ(I − J)/N, while variances are far below ε | never |
| VICReg, released | μH₂/(4√ε d(n − 1)) − λ(I − J)/(nd), while variances are far below ε | never |
| InfoNCE, dot products, all | H J H/(τN) | on centred functions, 2τ times slower |
| SimCLR squared | 2J | N times faster |
| spectral contrastive | 2J/N | yes |
| generalised spectral, λ | 2[(λ − 1)I + J]/N | at λ = 1 |
| SIGReg | (C₁H₂ − (C₂ − C₁)(I − H₂))/(2d) | never |
| LeJEPA, λ | λ × SIGReg − (1 − λ)(I − J)/(4nd) | never |
| DINO, teacher as young as the student | [HJH/τ_t − I/τ_s]/(4ndτ_s), on outputs whose sum is zero | where τ_t ≪ τ_s |

C₁ = 1.546 and C₂ = 2.432 are the constants of SIGReg (`dynamics.objectives.sketched`), whose matrix has no 1/N: its
statistic is multiplied by the number of pairs. Losses by cosine are singular at zero and have no linear phase.

>>> growth_matrix("barlow-twins", 4)
array([[0. , 0. , 0.5, 0. ],
       [0. , 0. , 0. , 0.5],
       [0.5, 0. , 0. , 0. ],
       [0. , 0.5, 0. , 0. ]])
"""

import inspect
from functools import partial
from pkgutil import resolve_name
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.objectives.graph import Graph, laplacian
from dynamics.objectives.registry import Loss, get_objective, objective_loss
from dynamics.objectives.sketched import curvatures
from dynamics.support.compiled import compile_once
from dynamics.support.precision import double_precision

GrowthMatrix = Float[np.ndarray, "views views"]


def growth_matrix(objective: Loss | str, graph: Graph | int, *, dim: int = 1, **settings: float | int) -> GrowthMatrix:
    """B of an objective, from its closed form where it has one and by automatic differentiation elsewhere.

    Parameters
    ----------
    objective : callable or str
        Name of one of `dynamics.objectives.OBJECTIVES`; or a loss of embeddings (N, d) that is smooth at zero and
        treats all directions of the outputs alike.
    graph : array (N, N) or int
        Relation G between the views, for a loss that takes one; or the number of views N = 2n of plain pairs.
    dim : int
        Number of outputs d. It matters only for losses that are divided by it, such as the released VICReg and LeJEPA.
    **settings : float or int
        Settings of the loss. Those that are left out have the values of its source.

    Returns
    -------
    array (N, N)
        The matrix B, in units of the loss over squared embeddings.

    Raises
    ------
    ConfigError
        If the number of views is odd, or there is no such objective or setting, or the objective has no linear phase,
        or a relation is given to one that is for pairs only.
    """
    if isinstance(graph, int) and (graph < 2 or graph % 2):
        raise ConfigError(f"growth_matrix: there are {graph} views; give an even number, two for each pair.")
    if not isinstance(objective, str):
        return growth_of(partial(objective, **settings), graph, dim)
    loss, record = objective_loss(objective, **settings), get_objective(objective)
    if record.no_growth or (record.takes_targets and record.growth is None):
        reason = record.no_growth or "It is a loss of predictions and targets, not of embeddings alone."
        raise ConfigError(f"Objective {objective} has no growth matrix. {reason}")
    if record.growth is None:
        return growth_of(loss, graph, dim)
    closed_form = resolve_name(record.growth) if isinstance(record.growth, str) else record.growth
    values = {name: setting.default for name, setting in record.settings.items()} | settings
    if "dim" in inspect.signature(closed_form).parameters:
        values["dim"] = dim
    return closed_form(_swap(graph) if isinstance(graph, int) else graph, **values)


def barlow_twins_growth(graph: Graph, off_diagonal: float = 1.0) -> GrowthMatrix:
    """B = 2G/Σ_ij G_ij, whatever the weight λ of the off-diagonal terms, which are of fourth order."""
    del off_diagonal
    G = np.asarray(graph, np.float64)
    return 2 * G / G.sum()


def vicreg_squared_growth(graph: Graph, weight: float = 1.0, center: bool = True) -> GrowthMatrix:
    """B = (2/N)(H − γL) with the Laplacian L = D_G − G and H = I − 11ᵀ/N, or I without centring.

    For two views without centring it is proportional to (1 − γ)I + γJ, which in feature space is (1 − γ)Σ + γΓ: the Γ
    of Barlow Twins at γ = 1.
    """
    return 2 * (_centring(len(graph), center) - weight * laplacian(graph)) / len(graph)


def vicreg_released_growth(
    graph: Graph,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
    invariance_weight: float = 25.0,
    epsilon: float = 1e-4,
    dim: int = 1,
) -> GrowthMatrix:
    """B = μH₂/(4√ε d(n − 1)) − λ(I − J)/(nd), while variances are far below ε; the covariances are of fourth order."""
    del covariance_weight
    n = _number_of_pairs("vicreg", graph) // 2
    if n < 2 or epsilon == 0:
        raise ConfigError("Objective vicreg grows exponentially only with two pairs at least and `epsilon` above 0.")
    halves = np.kron(np.eye(2), _centring(n))
    agreement = np.eye(2 * n) - _swap(2 * n)
    return (variance_weight * halves / (4 * epsilon**0.5 * (n - 1)) - invariance_weight * agreement / n) / dim


def infonce_growth(
    graph: Graph, temperature: float = 1.0, candidates: Literal["partners", "others", "all"] = "all"
) -> GrowthMatrix:
    """B = (G/Σ_ij G_ij − A)/τ for dot products, where A averages over anchors and their candidates.

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


def infonce_dot_growth(graph: Graph, temperature: float = 1.0) -> GrowthMatrix:
    """B of `dynamics.objectives.nt_xent_dot`, whose candidates are all views but the anchor."""
    return infonce_growth(graph, temperature, "others")


def sigreg_growth(graph: Graph, slices: int = 256, knots: int = 17, dim: int = 1) -> GrowthMatrix:
    """B = (C₁H₂ − (C₂ − C₁)(I − H₂))/(2d): centred functions grow, all at one rate of the kernel, and means decay.

    It does not depend on the number of slices, because they prefer no dimension of the outputs; with a fresh draw at
    every step that holds on average.
    """
    del slices
    num_views = _number_of_pairs("sigreg", graph)
    growing, shrinking = curvatures(knots)
    halves = np.kron(np.eye(2), _centring(num_views // 2))
    return (growing * np.eye(num_views) - shrinking * (np.eye(num_views) - halves)) / (2 * dim)


def lejepa_growth(graph: Graph, weight: float = 0.02, slices: int = 256, knots: int = 17, dim: int = 1) -> GrowthMatrix:
    """B = λ B_SIGReg − (1 − λ)(I − J)/(4nd) = λ B_SIGReg − (1 − λ)(I − J)/(2Nd)."""
    num_views = _number_of_pairs("lejepa", graph)
    invariance = (np.eye(num_views) - _swap(num_views)) / (2 * num_views * dim)
    return weight * sigreg_growth(graph, slices, knots, dim) - (1 - weight) * invariance


def dino_growth(graph: Graph, temperature: float = 0.1, target_temperature: float = 0.04, dim: int = 1) -> GrowthMatrix:
    """B = [HJH/τ_t − I/τ_s]/(2Ndτ_s) on outputs whose sum is zero, for a teacher that is as young as the student.

    The sum of a view's outputs does not change the softmax and never moves. A teacher of age T, its targets following
    dt/dt = (s − t)/T, slows the growth (`dynamics.objectives.escape`).
    """
    num_views = _number_of_pairs("dino", graph)
    H = _centring(num_views)
    agreement = H @ _swap(num_views) @ H / target_temperature
    return (agreement - np.eye(num_views) / temperature) / (2 * num_views * dim * temperature)


NEARBY = 1e-3
"""Size of embeddings at which a loss that is smooth at zero still has its second derivative of there."""


def growth_of(objective: Loss, graph: Graph | int, dim: int = 1) -> GrowthMatrix:
    """B = −½ ∂²L/∂F² at zero by automatic differentiation, for a loss that treats all directions of outputs alike.

    Parameters
    ----------
    objective : callable
        Loss of embeddings (N, d), smooth at zero.
    graph : array (N, N) or int
        Relation G, handed to the loss as `graph`; or the number of views N.
    dim : int
        Number of outputs d.

    Raises
    ------
    ConfigError
        If the loss is singular at zero.
    """
    with double_precision():
        if isinstance(graph, int):
            num_views = graph
        else:
            num_views, objective = len(graph), partial(objective, graph=jnp.asarray(graph))
        second_derivative = _hessian(objective, dim)
        hessian = np.asarray(second_derivative(jnp.zeros(num_views)))
        nearby = np.asarray(second_derivative(jnp.linspace(0.5, 1.0, num_views) * NEARBY))
    # a cosine has a second derivative at zero only because of the ε in its norm, and another one beside it
    if not np.isfinite(hessian).all() or np.abs(nearby - hessian).max() > 0.5 * np.abs(hessian).max():
        raise ConfigError("The loss is singular where all embeddings are zero, so it has no growth matrix.")
    return -0.5 * hessian


@compile_once(maxsize=16)
def _hessian(objective: Loss, dim: int) -> Loss:
    """Second derivative of the loss with respect to the first output."""
    return jax.jit(jax.hessian(lambda f: objective(jnp.zeros((len(f), dim), f.dtype).at[:, 0].set(f))))


def _swap(num_views: int) -> GrowthMatrix:
    """J (N, N), the relation of the two views of each image."""
    return np.roll(np.eye(num_views), num_views // 2, axis=0)


def _number_of_pairs(objective: str, graph: Graph) -> int:
    """Number N of views of a relation that says no more than which views are pairs."""
    G = np.asarray(graph)
    if len(G) % 2 or not np.array_equal(G, _swap(len(G))):
        raise ConfigError(f"Objective {objective} is a loss of pairs; give the number of views in place of a relation.")
    return len(G)


def _centring(num_views: int, center: bool = True) -> np.ndarray:
    return np.eye(num_views) - (1 / num_views if center else 0.0)
