"""Spectra, average errors and the loss mode by mode in the study of inductive bias: all exact."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from dynamics.flow import logistic_energy, selection_rates, whitened_flow
from dynamics.function_classes import (
    Linear,
    Tabular,
)
from dynamics.modes.restricted import RestrictedModes, pair_moments, restricted_modes
from dynamics.objectives import generalised_spectral, spectral_contrastive
from dynamics.objectives.weighted_spectral import minimum, shrinkage
from dynamics.studies.claims import Claim
from dynamics.studies.inductive_bias import PAPER
from dynamics.support.precision import double_precision
from dynamics.support.progress import progress_bar
from dynamics.views import (
    PairDistribution,
    PlacedPatch,
    SeparatedManifolds,
    SignedCube,
)

CUBE = SignedCube(dim=6, signal=2)
RING = PlacedPatch(dim=10, size=2, loudness=2.0)
CIRCLES = SeparatedManifolds(num_manifolds=4, pieces=4, diameter=0.01, separation=1.0)
SAMPLE = 200_000  # pairs for a sampled spectrum

Law = dict[int, tuple[float, float]]
"""k -> mean error over random minimisers, and its standard error."""


# ---------------------------------------------------------------- spectra


def spectra(seed: int) -> list[Claim]:
    """Which modes a class has on the cube of Example 5.1."""
    claims = []
    for low, mu, name in ((0.5, 27 / 28, "27/28"), (0.0, 3 / 4, "3/4")):
        cube = SignedCube(6, 2, low, 1.0)
        exact = restricted_modes(Linear().exact_moments(*cube.coordinate_moments())).eigenvalues
        with double_precision():
            views = cube.pairs(SAMPLE, jax.random.key(seed)).stacked
            sampled = restricted_modes(Linear().moments(views)).eigenvalues
        source = f"{PAPER}, Example 5.1 with τ ~ U[{low:g}, 1]; d = 6, s = 2"
        claims += [
            Claim.equals(
                f"linear class: agreement {name} on all d − s coordinates that the augmentation rescales (exact)",
                source,
                expected=0.0,
                measured=np.abs(exact - np.repeat([1, mu], [2, 4])).max(),
                tolerance=1e-12,
            ),
            Claim.equals(
                f"linear class: mean agreement on these coordinates, from {SAMPLE:,} pairs",
                source,
                expected=mu,
                measured=sampled[2:].mean(),
                tolerance=0.002,
            ),
        ]
    biased = restricted_modes(Linear(bias=True).exact_moments(*CUBE.coordinate_moments())).eigenvalues
    table, graph, _ = _fine_table(CUBE, views_per_cluster=4)
    universal = restricted_modes(table.moments(np.arange(len(graph))[:, None], graph)).eigenvalues
    source = f"{PAPER}, Example 5.1; d = 6, s = 2"
    return [
        *claims,
        Claim.equals(
            "a bias adds the constant: modes with agreement 1 are s + 1",
            source,
            expected=3,
            measured=(biased > 1 - 1e-12).sum(),
            tolerance=0,
        ),
        Claim.equals(
            "universal class: 2^d modes with agreement 1",
            f"{source}, 4 views of each corner",
            expected=64,
            measured=(universal > 1 - 1e-9).sum(),
            tolerance=0,
        ),
        Claim.at_most(
            "universal class: and all others 0 (largest size)",
            f"{source}, 4 views of each corner",
            bound=1e-9,
            measured=np.abs(universal[64:]).max(),
        ),
    ]


def _fine_table(distribution: PairDistribution, views_per_cluster: int) -> tuple[Tabular, np.ndarray, np.ndarray]:
    """A universal class on some views of every cluster, their graph (any two of a cluster), and their clusters."""
    clusters = np.repeat(np.arange(distribution.num_clusters), views_per_cluster)
    graph = (clusters[:, None] == clusters).astype(float)
    return Tabular(lambda x: np.asarray(x)[:, 0], len(clusters)), graph, clusters


# ---------------------------------------------------------------- average errors


def average_errors(seed: int, cube: SignedCube) -> dict[str, Law]:
    """Mean error of the label x_1 over what the exact flow of L_1 learns from random starts.

    Modes of equal agreement are not told apart, so a random part of them is learned: (1 − k/D)₊ of a label in a space
    of D such modes is lost.
    """
    s, d = cube.signal, cube.dim
    linear = np.repeat([1, 27 / 28], [s, d - s])
    label_first = np.eye(1, d, 0)[0]
    table = np.repeat([1.0, 0.0], [2**d, 2**d])
    x_1 = cube.corners()[:, 0] / np.sqrt(2**d)
    # class -> agreements, the label in the basis of the modes, numbers of outputs, random starts
    cases = {
        "linear": (linear, label_first, range(1, s + 2), 400),
        "linear with bias": (np.r_[1.0, linear], np.r_[0.0, label_first], range(1, s + 3), 400),
        "universal": (table, np.r_[x_1, np.zeros(2**d)], (4, 16, 32, 48, 64), 12),
    }
    laws: dict[str, Law] = {}
    with progress_bar("average errors", total=sum(len(ks) for _, _, ks, _ in cases.values())) as done:
        for number, (name, (mu, label, ks, starts)) in enumerate(cases.items()):
            rng = np.random.default_rng([seed, number])
            laws[name] = {}
            for k in ks:
                errors = []
                for _ in range(starts):
                    B = whitened_flow(mu, 0.1 * rng.normal(size=(k, len(mu))), np.array([80.0]))[0]
                    rows = np.linalg.svd(B, full_matrices=False)[2]
                    errors.append(1 - np.square(rows @ label).sum())
                laws[name][k] = float(np.mean(errors)), float(np.std(errors) / np.sqrt(starts))
                done(sum(map(len, laws.values())))
    return laws


def law(name: str, k: int, cube: SignedCube) -> float:
    """(1 − k/D)₊ with D = s, s + 1 and 2^d."""
    D = {"linear": cube.signal, "linear with bias": cube.signal + 1, "universal": 2**cube.dim}[name]
    return max(0.0, 1 - k / D)


def law_claims(laws: dict[str, Law], cube: SignedCube, how: str) -> list[Claim]:
    """One claim a class: the largest deviation from its law."""
    formulas = {"linear": "(1 − k/s)₊", "linear with bias": "(1 − k/(s+1))₊", "universal": "1 − k/2^d"}
    claims = []
    for name, errors in laws.items():
        off = {k: abs(mean - law(name, k, cube)) for k, (mean, _) in errors.items()}
        claims.append(
            Claim.equals(
                f"{name}: mean error for a label of unit variance is {formulas[name]}, k = "
                f"{', '.join(map(str, errors))} (largest deviation)",
                f"{PAPER}, Example 5.1, random minimiser; d = {cube.dim}, s = {cube.signal}; {how}",
                expected=0.0,
                measured=max(off.values()),
                tolerance=0.04,
            )
        )
    return claims


# ---------------------------------------------------------------- the loss, mode by mode


def loss_mode_by_mode(seed: int) -> list[Claim]:
    """Minimum, shrinkage, identity, growth and selection on a random linear class."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(100, 6))
    views = np.concatenate([x, x + rng.normal(size=x.shape) * np.geomspace(0.1, 3, 6)])
    modes = restricted_modes(pair_moments(views))
    mu, weights, dim = modes.eigenvalues, (0.15, 0.5, 1.0, 10.0), 4
    F = rng.normal(size=(200, 5))
    with double_precision():
        identity = generalised_spectral(jnp.asarray(F), 1.0) - spectral_contrastive(jnp.asarray(F)) - 5
    gaps, shrunk = [], []
    for weight in weights:
        value, W = _minimised(views, dim, weight, rng)
        gaps.append(abs(value - minimum(mu, dim, weight)))
        energies = np.linalg.eigvalsh((views @ W).T @ (views @ W) / 200)[::-1]
        shrunk.append(np.abs(energies - shrinkage(mu, weight)[:dim]).max())
    source = f"{PAPER}, L_λ on 6 linear features, k = 4, λ = {', '.join(f'{w:g}' for w in weights)}"
    return [
        Claim.equals(
            "L_1 is the spectral contrastive loss plus k (difference)",
            PAPER,
            expected=0.0,
            measured=float(identity),
            tolerance=1e-12,
        ),
        Claim.at_most(
            "minimum Σ δ − δ²/4λ, and λ where δ ≥ 2λ: L-BFGS finds no other (largest difference)",
            source,
            bound=1e-5,
            measured=max(gaps),
        ),
        Claim.at_most(
            "its modes have the energies (1 − (1 − μ)/λ)₊ (largest difference)",
            source,
            bound=1e-3,
            measured=max(shrunk),
        ),
        *_growth_and_selection(modes, views, rng),
    ]


def _minimised(views: np.ndarray, dim: int, weight: float, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    p = views.shape[1]
    with double_precision():
        X = jnp.asarray(views)
        evaluate = jax.jit(jax.value_and_grad(lambda w: generalised_spectral(X @ w.reshape(p, dim), weight)))
        found = scipy.optimize.minimize(
            lambda w: tuple(np.asarray(part, np.float64) for part in evaluate(w)),
            rng.normal(size=p * dim),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 5000, "maxfun": 10000, "ftol": 1e-15, "gtol": 1e-10},
        )
    return float(found.fun), found.x.reshape(p, dim)


def _growth_and_selection(modes: RestrictedModes, views: np.ndarray, rng: np.random.Generator) -> list[Claim]:
    """Plain descent on L_1, extrapolated to zero learning rate, against the two phases."""
    mu, phi = modes.eigenvalues, modes.functions(views)
    aligned = np.diag(np.sqrt([1e-3, 1e-2, 1e-3, 1e-2, 1e-3, 1e-2]))
    times = np.array([0.5, 1.0, 2.0])
    a = np.square(np.diagonal(_descent(phi, aligned, times), axis1=1, axis2=2))
    start = 0.1 * rng.normal(size=(2, 6))
    late = np.array([6.0, 7.0])
    # the row space as a graph over the two modes that will be kept: what the others have beside the second
    others = [np.linalg.lstsq(B[:, :2], B[:, 2:], rcond=None)[0][1] for B in _descent(phi, start, late)]
    rates = -np.log(np.abs(others[1] / others[0]))
    seen = 2  # the modes after these have died out to rounding
    return [
        Claim.at_most(
            "aligned modes grow logistically, da/dt = 8λ a (a* − a) (largest difference from descent)",
            f"{PAPER}, flow of L_1 in whitened coordinates",
            bound=1e-3,
            measured=np.abs(a - logistic_energy(mu, np.square(np.diagonal(aligned)), times)).max(),
        ),
        Claim.equals(
            "with fewer outputs than modes, a mode left out falls at the rate 2(δ_j − δ_k) (largest relative error)",
            f"{PAPER}, slow selection after growth, k = 2",
            expected=0.0,
            measured=np.abs(rates / selection_rates(mu, 2) - 1)[:seen].max(),
            tolerance=0.02,
        ),
    ]


def _descent(phi: np.ndarray, start: np.ndarray, times: np.ndarray) -> np.ndarray:
    """B at the times, by plain descent in float64, Richardson-extrapolated to zero learning rate."""
    with double_precision():
        features = jnp.asarray(phi)
        slope = jax.grad(lambda B: generalised_spectral(features @ B.T, 1.0))

        @partial(jax.jit, static_argnums=1)
        def advance(B: jax.Array, steps: int, rate: jax.Array | float) -> jax.Array:
            return jax.lax.fori_loop(0, steps, lambda _, B: B - rate * slope(B), B)

        paths = []
        for rate in (0.01, 0.005):
            B, now, path = jnp.asarray(start), 0.0, []
            for time in times:
                B = advance(B, round((time - now) / rate), rate)
                now = time
                path.append(np.asarray(B))
            paths.append(np.array(path))
    return 2 * paths[1] - paths[0]
