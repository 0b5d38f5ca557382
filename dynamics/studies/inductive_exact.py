"""Exact part of the study of inductive bias: spectra, laws, the loss mode by mode, explicit minimisers, bounds."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from dynamics.flow import logistic_energy, selection_rates, whitened_flow
from dynamics.function_classes import (
    Linear,
    PatchConvolution,
    ReLUUnits,
    Tabular,
    eigenfunction_bound,
    implementable_clusters_bound,
    linear_head_error,
    lipschitz_constant,
    restricted_gap,
)
from dynamics.function_classes import explicit as written
from dynamics.function_classes.relu import Units
from dynamics.objectives import generalised_spectral, spectral_contrastive
from dynamics.objectives.generalised_spectral import minimum, shrinkage
from dynamics.precision import double_precision
from dynamics.progress import progress_bar
from dynamics.restricted import RestrictedModes, pair_moments, restricted_modes
from dynamics.studies.claims import Claim
from dynamics.views import (
    PairDistribution,
    PlacedPatch,
    SeparatedManifolds,
    SignedCube,
    cluster_relation,
    cross_cluster_mass,
)

PAPER = "HaoChen & Ma 2022"
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
    slow = 3  # modes beyond have died out to rounding
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
            measured=np.abs(rates / selection_rates(mu, 2) - 1)[: slow - 2 + 1].max(),
            tolerance=0.02,
        ),
    ]


def _descent(phi: np.ndarray, start: np.ndarray, times: np.ndarray) -> np.ndarray:
    """B at the times, by plain descent in float64, Richardson-extrapolated to zero learning rate."""
    with double_precision():
        features = jnp.asarray(phi)
        slope = jax.grad(lambda B: generalised_spectral(features @ B.T, 1.0))

        @partial(jax.jit, static_argnums=1)
        def advance(B: jax.Array, steps: int, rate: float) -> jax.Array:
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


# ---------------------------------------------------------------- explicit minimisers


def explicit_minimisers(seed: int) -> list[Claim]:
    """Every construction of Section 5: its loss, and the error of a linear head on it."""
    key = jax.random.key(seed)
    with double_precision():
        corners = jnp.asarray(CUBE.corners())
        cube_views = _both_views(CUBE, key, jnp.tile(corners, (4, 1)), jnp.tile(jnp.arange(64), 4))
        places = jnp.tile(jnp.arange(RING.num_clusters), 32)
        noise = 2.0 * jax.random.bernoulli(key, shape=(len(places), RING.dim)) - 1
        ring_views = _both_views(RING, key, RING.place(noise, places), places)
        ring_classes = np.tile(np.asarray(RING.classes(places)), 2)
        blind = RING.num_clusters // 2 - 1
        found = {
            "ReLU": ReLUUnits().apply(written.cube_relu_minimiser(CUBE), cube_views),
            "convolution": PatchConvolution(RING.size).apply(written.patch_convolution_minimiser(RING), ring_views),
            "ReLU, misled": ReLUUnits().apply(written.placed_relu_minimiser(RING, blind), ring_views),
            "readout": _signs_by_readout(cube_views[:, CUBE.signal :]),
        }
        losses = {name: float(generalised_spectral(F)) for name, F in found.items()}
        # the bias as printed, for the finest label: r = 2^s classes
        printed = written.cube_relu_minimiser(CUBE)
        printed = Units(printed.weights, printed.biases * (CUBE.num_classes - 1) / (CUBE.signal - 1))
        losses["printed"] = float(generalised_spectral(ReLUUnits().apply(printed, cube_views)))
    cube_classes = np.tile(np.arange(64), 8) % CUBE.num_classes
    x_1 = np.asarray(cube_views)[:, :1]
    k_1, k_4 = 2 ** (CUBE.dim - 1), 2 ** (CUBE.dim - CUBE.signal)
    corners_, circles = np.arange(64), np.arange(CIRCLES.num_clusters)
    misled_1, misled_4 = written.misled_cube_minimiser(CUBE, k_1), written.misled_cube_minimiser(CUBE, k_4, 2)
    manifold = written.manifold_minimiser(CIRCLES)
    misled_7 = written.misled_manifold_minimiser(CIRCLES, CIRCLES.num_clusters // 2)
    points = np.asarray(CIRCLES.views(key, 2000)[0])
    circle_of = np.asarray(CIRCLES.views(key, 2000)[2])
    kappa = lipschitz_constant(points, manifold[circle_of])
    needed = np.sqrt(2 * CIRCLES.num_manifolds) / CIRCLES.separation
    return [
        _zero("Thm 5.6: 2^s ReLU units √k h with bias −√k(s − 1)", losses["ReLU"]),
        _known("Thm 5.6: and they tell every label", found["ReLU"], cube_classes, 0.0, 1e-10),
        _zero("Thm 5.12: 2^s filters of a convolution, bias √k/(γ − 1)(−s − (γ − 1)(s − 1))", losses["convolution"]),
        _known("Thm 5.12: and they tell every label", found["convolution"], ring_classes, 0.0, 1e-10),
        Claim.at_most(
            "Thm 5.12: these filters respond √k e_patch exactly (largest difference)",
            PAPER,
            bound=1e-12,
            measured=np.abs(np.asarray(found["convolution"]) - 2 * np.eye(4)[ring_classes]).max(),
        ),
        _zero("Thm 5.9: √r e of the manifold", _table_loss(manifold)),
        Claim.at_most(
            f"Thm 5.9: which is Lipschitz with √(2r)/γ = {needed:.4g} (steepest slope among 2,000 views)",
            PAPER,
            bound=needed * (1 + 1e-6),
            measured=kappa,
        ),
        _zero(
            f"Thm 5.3, universal, misled: 2^((d−1)/2) e of all signs but the label's, k = {k_1}", _table_loss(misled_1)
        ),
        Claim.at_least(
            "Thm 5.3: a linear head on it is no better than none (error, label ±1)",
            PAPER,
            bound=1 - 1e-12,
            measured=linear_head_error(misled_1, CUBE.corners()[:, :1]),
        ),
        _zero(f"Thm 5.6, universal, misled: functions of the other d − s signs, k = {k_4}", _table_loss(misled_4)),
        Claim.at_least(
            "Thm 5.6: its error for a two-valued label, one-hot",
            PAPER,
            bound=0.5 - 1e-12,
            measured=linear_head_error(misled_4, np.eye(2)[corners_ % 2]),
        ),
        _zero(f"Thm 5.9, universal, misled: single arcs, k = {misled_7.shape[1]}", _table_loss(misled_7)),
        Claim.at_least(
            "Thm 5.9: its error",
            PAPER,
            bound=0.5 - 1e-12,
            measured=linear_head_error(misled_7, np.eye(4)[circles // CIRCLES.pieces]),
        ),
        _zero(f"Thm 5.12, ReLU units, misled: single patches at single places, k = {blind}", losses["ReLU, misled"]),
        _known(
            "Thm 5.12: its error is 1 − k/(d 2^s), more than ½",
            found["ReLU, misled"],
            ring_classes,
            1 - blind / RING.num_clusters,
            1e-9,
        ),
        _zero(
            "two ReLU layers with a readout, misled: relu(2x + 1) − relu(2x − 1) − 1 = sgn x, i > s", losses["readout"]
        ),
        Claim.at_least(
            "so a network with a readout falls under the lower bound (error, label x_1)",
            "not in the paper, whose ReLU class has no output layer",
            bound=0.95,  # 512 views: a chance correlation of a few per mille
            measured=linear_head_error(np.asarray(found["readout"]), x_1),
        ),
        Claim.at_least(
            "misprint in Thm 5.6: with the bias −√k(r − 1), r = 2^s labels, the loss is not 0",
            f"{PAPER}, as printed",
            bound=0.1,
            measured=losses["printed"],
        ),
        Claim.at_least(
            "misprint in Thm 5.3: without the root, 2^(d−1) e, the loss is not 0",
            PAPER,
            bound=0.1,
            measured=_table_loss(misled_1 * np.sqrt(k_1)),
        ),
        Claim.at_least(
            "misprint in Thm 5.9: without √r, e of the manifold, the loss is not 0",
            PAPER,
            bound=0.1,
            measured=_table_loss(manifold / np.sqrt(CIRCLES.num_manifolds)),
        ),
    ]


def _both_views(distribution: PairDistribution, key: jax.Array, x: jax.Array, cluster: jax.Array) -> jax.Array:
    first, second = jax.random.split(key)
    return jnp.concatenate([distribution.augment(first, x, cluster), distribution.augment(second, x, cluster)])


def _signs_by_readout(x: jax.Array) -> jax.Array:
    """Two units a coordinate and a readout give its sign wherever |x| ≥ ½."""
    return jax.nn.relu(2 * x + 1) - jax.nn.relu(2 * x - 1) - 1


def _table_loss(table: np.ndarray) -> float:
    """L_1 of a function that is constant on clusters of equal probability."""
    return float(np.square(table.T @ table / len(table) - np.eye(table.shape[1])).sum())


def _zero(what: str, loss: float) -> Claim:
    return Claim.at_most(f"{what}: loss", PAPER, bound=1e-10, measured=loss)


def _known(what: str, F: jax.Array, classes: np.ndarray, expected: float, tolerance: float) -> Claim:
    error = linear_head_error(np.asarray(F), np.eye(classes.max() + 1)[classes])
    return Claim.equals(f"{what} (error)", PAPER, expected=expected, measured=error, tolerance=tolerance)


# ---------------------------------------------------------------- bounds


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
    """Minimisers that use all the slope they may inside of each manifold: v = u_i ± w_i on its two arcs.

    With w_i in random directions, and UᵀU/r = I − WᵀW/r so that the loss is zero.
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
        if _table_loss(table) < 1e-20 and lipschitz_constant(points, table[arc]) <= kappa:
            worst = max(worst, linear_head_error(table, e))
    return worst, 2 * r * r * kappa**2 * rho**2
