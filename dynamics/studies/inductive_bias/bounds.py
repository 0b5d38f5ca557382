"""Bounds in the study of inductive bias, against exact minimisers on random cluster graphs and classes."""

import jax
import numpy as np

from dynamics.function_classes import (
    eigenfunction_bound,
    implementable_clusters_bound,
    linear_head_error,
    lipschitz_constant,
    restricted_gap,
)
from dynamics.modes.restricted import RestrictedModes, pair_moments, restricted_modes
from dynamics.objectives.weighted_spectral import shrinkage
from dynamics.studies.claims import Claim
from dynamics.studies.inductive_bias import PAPER
from dynamics.studies.inductive_bias.exact import CIRCLES
from dynamics.support.precision import double_precision
from dynamics.support.progress import progress_bar
from dynamics.views import SeparatedManifolds, cluster_relation, cross_cluster_mass


def bounds(seed: int, repetitions: int = 60) -> tuple[dict[str, np.ndarray], list[Claim]]:
    """Measured errors of exact minimisers against Theorems 3.6 and 4.5, on random cluster graphs and classes.

    The class holds the indicators of the clusters, of their boundaries, and a few random functions.
    """
    rng = np.random.default_rng(seed)
    found = {"error": [], "bound": [], "cross": [], "eigen_error": [], "eigen_bound": []}
    with progress_bar("bounds", total=repetitions) as done:
        for repetition in range(repetitions):
            sizes = rng.integers(8, 20, size=rng.integers(2, 5)).tolist()
            cross = float(10 ** rng.uniform(-3, -1.3))
            relation, clusters = cluster_relation(
                sizes, cross, jax.random.key(int(rng.integers(2**31))), sparsity=0.5, boundary=0.15
            )
            G = relation.dense()
            share = relation.degree / relation.degree.sum()
            indicators = np.eye(len(sizes))[clusters]
            crosses = (G * (clusters[:, None] != clusters)).any(axis=1)
            # what does not know the clusters: waves, and where the edges leave each of them, which tempts most
            waves = np.cos(rng.normal(size=(len(G), 2)) @ rng.normal(size=(2, 3)))
            Psi = np.c_[indicators, indicators * crosses[:, None], waves]
            alpha, beta = cross_cluster_mass(relation, clusters), restricted_gap(Psi, G, clusters)
            P = np.bincount(clusters, share)
            modes = restricted_modes(pair_moments(Psi, graph=G))
            m, weight = len(sizes), 1.01 * alpha / P.min()
            f = modes.functions(Psi)[:, :m] * np.sqrt(shrinkage(modes.eigenvalues, weight)[:m])
            found["error"].append(linear_head_error(f, indicators, share))
            found["bound"].append(implementable_clusters_bound(alpha, beta, P))
            found["cross"].append(alpha)
            _eigenfunctions(found, modes, Psi, indicators[:, :1], share, float(10 ** rng.uniform(-2, 1)))
            done(repetition + 1)
    results = {name: np.array(values) for name, values in found.items()}
    sample = f"{repetitions} random cluster graphs and classes"
    manifold_error, manifold_bound = _worst_lipschitz(seed)
    return results, [
        Claim.at_most(
            "Thm 3.6: error ≤ (α/β) P_max/(P_min − α) (largest error/bound)",
            f"{PAPER}; {sample}, λ just above α/P_min",
            bound=1.0,
            measured=(results["error"] / results["bound"]).max(),
        ),
        Claim.at_most(
            "Thm 4.5: error ≤ 2ζ + 4B²kε + 16B²kφ/λ at ε = 0 (largest error/bound)",
            f"{PAPER}; {sample}, random λ",
            bound=1.0,
            measured=(results["eigen_error"] / results["eigen_bound"]).max(),
        ),
        Claim.at_most(
            "Thm 5.9: no κ-Lipschitz minimiser errs by more than 2rmκ²ρ² (largest error/bound of 200 random ones)",
            f"{PAPER}; 4 circles of 2 arcs",
            bound=1.0,
            measured=manifold_error / manifold_bound,
        ),
    ]


def _eigenfunctions(
    found: dict, modes: RestrictedModes, Psi: np.ndarray, label: np.ndarray, share: np.ndarray, weight: float
) -> None:
    """Theorem 4.5 at the k best modes: B and ζ of the best head on them."""
    k = min(4, len(modes))
    phi = modes.functions(Psi)[:, :k]
    head = phi.T @ (share[:, None] * label)
    residual = float(share @ np.square(label - phi @ head).sum(axis=1))
    f = phi * np.sqrt(shrinkage(modes.eigenvalues, weight)[:k])
    norm = float(np.linalg.norm(head))
    bound = eigenfunction_bound(modes.eigenvalues, k, residual=residual, head_norm=norm, weight=weight)
    found["eigen_error"].append(linear_head_error(f, label, share))
    found["eigen_bound"].append(bound)


def _worst_lipschitz(seed: int, repetitions: int = 200) -> tuple[float, float]:
    """Minimisers that use all the slope they may inside each manifold: v = u_i ± w_i on its two arcs.

    The w_i have random directions, and UᵀU/r = I − WᵀW/r so that the loss is zero.
    """
    halves = SeparatedManifolds(CIRCLES.num_manifolds, 2, CIRCLES.diameter, CIRCLES.separation)
    r, rho = halves.num_manifolds, halves.diameter
    kappa = 2 * np.sqrt(2 * r) / halves.separation
    apart = rho * np.sin(np.pi / 4)  # between the ends of the two quarter arcs of a circle
    with double_precision():
        points, _, arc = (np.asarray(part) for part in halves.views(jax.random.key(seed), 400))
    rng, worst = np.random.default_rng(seed), 0.0
    e = np.eye(r)[np.repeat(range(r), 2)]
    for _ in range(repetitions):
        w = rng.normal(size=(r, r))
        w *= kappa * apart / 2 / np.linalg.norm(w, axis=1, keepdims=True)
        values, Q = np.linalg.eigh(np.eye(r) - w.T @ w / r)
        u = np.sqrt(r) * np.linalg.qr(rng.normal(size=(r, r)))[0] @ (Q * np.sqrt(values)) @ Q.T
        table = (u[:, None] + w[:, None] * np.array([1, -1])[:, None]).reshape(2 * r, r)
        if (
            np.abs(table.T @ table / len(table) - np.eye(r)).max() < 1e-10
            and lipschitz_constant(points, table[arc]) <= kappa
        ):
            worst = max(worst, linear_head_error(table, e))
    return worst, 2 * r * r * kappa**2 * rho**2
