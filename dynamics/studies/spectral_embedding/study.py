"""Balestriero & LeCun (2022), Contrastive and Non-Contrastive SSL Recover Global and Local Spectral Embedding Methods.

Closed-form optima against the classical methods they are said to be, kernel flows from a small start against the closed
forms, ranks, and what the relation teaches a downstream task. The paper's recommendations differ between its versions
(arXiv 2205.11508 and NeurIPS 2022); claims name the version. Sizes and data are choices made here, and no figure of the
paper is reproduced.
"""

from functools import partial
from pathlib import Path

import numpy as np
import scipy.linalg

from dynamics.flow import growth_modes, objective_flow
from dynamics.objectives import barlow_twins, simclr_squared, vicreg, vicreg_squared
from dynamics.objectives.graph import laplacian
from dynamics.objectives.growth import barlow_twins_growth, vicreg_squared_growth
from dynamics.optima import (
    Optimum,
    barlow_twins_normalised_optimum,
    barlow_twins_optimum,
    free_space,
    kernel_space,
    linear_space,
    simclr_squared_optimum,
    vicreg_squared_optimum,
)
from dynamics.studies.claims import Claim
from dynamics.studies.spectral_embedding.figures import flows_figure, twins_figure
from dynamics.studies.spectral_embedding.relation_probe import (
    HIGH_WEIGHTS,
    SMALL_WEIGHTS,
    Probes,
    probe_relations,
    probes_figure,
)
from dynamics.support import files
from dynamics.support.precision import double_precision
from dynamics.support.progress import progress_bar
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import Relation, load_images, load_pairs

PAPER = "Balestriero & LeCun 2022"
HIGH, SMALL = (tuple(f"VICReg {weight}" for weight in weights) for weights in (HIGH_WEIGHTS, SMALL_WEIGHTS))
SIMCLR, BARLOW = ("SimCLR",), ("Barlow Twins",)


def run(
    out: Path,
    *,
    data_dir: Path | None = None,
    full: bool = False,
    seed: int = 0,
    num_images: int = 150,
    num_seeds: int = 8,
) -> list[Claim]:
    """Test the claims and draw the figures.

    Parameters
    ----------
    out : Path
        Folder for figures (PNG and PDF) and the accuracies of all probes (JSON).
    data_dir : Path, optional
        Folder with the official MNIST files: adds the downstream part on MNIST.
    full : bool
        MNIST (downloaded if there is no `data_dir`) with 1,500 images. Takes minutes.
    seed : int
        Seeds the choice of images, starts and random tasks.
    num_images : int
        Digits on which closed forms and classical methods are compared.
    num_seeds : int
        Repetitions of the downstream part.
    """
    out = Path(out)
    digits = load_images("digits")
    chosen = np.random.default_rng(seed).permutation(len(digits))[:num_images]
    x = digits.images[chosen].reshape(num_images, -1).astype(np.float64)
    claims, pictures = _twins(x, digits.labels[chosen], seed)
    files.save_figure(twins_figure(pictures, digits.labels[chosen]), out / "twins")
    flows, flow_claims = _flows(x[:24], seed)
    sweep, rank_claims = _ranks(x[:30], seed)
    files.save_figure(flows_figure(flows, sweep), out / "flows")
    claims += flow_claims + rank_claims + _corrections(seed)
    sizes = {"digits": ({"low": 100, "full": 500}, 500)}
    if full or data_dir is not None:
        sizes["mnist"] = ({"low": 100, "full": 1500 if full else 800}, 1000)
    for dataset, (images, num_test) in sizes.items():
        probes = probe_relations(
            dataset, data_dir=data_dir, images=images, num_test=num_test, num_seeds=num_seeds, seed=seed
        )
        files.save_figure(probes_figure(probes), out / f"downstream_{dataset}")
        files.save_json(out / f"downstream_{dataset}.json", probes.table())
        claims += _downstream(probes, num_seeds)
    return claims


# ---------------------------------------------------------------- method, twin, agreement


def _twins(x: np.ndarray, labels: np.ndarray, seed: int) -> tuple[list[Claim], dict[str, tuple]]:
    """Every optimum against the classical method, in scikit-learn's own implementation where there is one."""
    from sklearn.cross_decomposition import CCA
    from sklearn.decomposition import PCA, KernelPCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.manifold import Isomap, SpectralEmbedding

    N = len(x)
    H = np.eye(N) - 1 / N
    neighbours = Relation.nearest_neighbours(x, 8).dense()
    squared = ((x[:, None] - x) ** 2).sum(axis=-1)
    similar = _equal_degrees(np.exp(-squared / np.quantile(squared, 0.02)) * (1 - np.eye(N)))
    reduced = PCA(20, random_state=0).fit_transform(x)
    per_class = Relation.labels(labels, per_class=True).dense()
    isomap = Isomap(n_neighbors=8, n_components=2).fit(x)
    pairs = load_pairs("digits", num_pairs=N, seed=seed)
    views = PCA(10, random_state=0).fit_transform(pairs.stacked.reshape(2 * N, -1).astype(np.float64))
    J = Relation.pairs(N).dense()
    inner = np.exp(-squared / np.median(squared))

    def eigenmap(G: np.ndarray) -> np.ndarray:
        return SpectralEmbedding(2, affinity="precomputed", eigen_solver="arpack", eigen_tol=1e-12).fit_transform(G)

    free, linear = free_space(N), linear_space(reduced)
    gap = 0.1 / np.linalg.eigvalsh(laplacian(neighbours))[2]
    L, scatter = laplacian(neighbours), reduced.T @ H @ reduced
    projections = reduced @ scipy.linalg.eigh(reduced.T @ L @ reduced, scatter)[1][:, :2]
    rows = {
        "VICReg, equal degrees = scikit-learn's SpectralEmbedding": (
            vicreg_squared_optimum(free, similar, 2, 0.1),
            eigenmap(similar),
        ),
        "VICReg, nearest neighbours = scikit-learn's SpectralEmbedding (which divides by the degree)": (
            vicreg_squared_optimum(free, neighbours, 2, gap),
            eigenmap(neighbours),
        ),
        "VICReg, nearest neighbours = Laplacian eigenmaps without division by the degree": (
            vicreg_squared_optimum(free, neighbours, 2, gap),
            scipy.linalg.eigh(L, subset_by_index=(1, 2))[1],
        ),
        "VICReg, linear, nearest neighbours = locality preserving projections": (
            vicreg_squared_optimum(linear, neighbours, 2, 0.01),
            projections,
        ),
        "VICReg, linear, labels = scikit-learn's LinearDiscriminantAnalysis": (
            vicreg_squared_optimum(linear, per_class, 2, 0.5),
            LinearDiscriminantAnalysis(solver="eigen", n_components=2).fit(reduced, labels).transform(reduced),
        ),
        "SimCLR, geodesic similarity = scikit-learn's Isomap": (
            simclr_squared_optimum(free, -H @ isomap.dist_matrix_**2 @ H / 2, 2),
            isomap.embedding_,
        ),
        "SimCLR, Gaussian similarity = scikit-learn's KernelPCA (classical scaling)": (
            simclr_squared_optimum(free, H @ inner @ H, 2),
            KernelPCA(2, kernel="precomputed").fit_transform(inner),
        ),
        "Barlow Twins, normalised, linear, two views = scikit-learn's CCA": (
            barlow_twins_normalised_optimum(linear_space(views), J, 2),
            CCA(2, max_iter=100_000, tol=1e-14).fit_transform(views, J @ views)[0],
        ),
    }
    claims = [
        Claim.at_most(
            f"{name} (sine of the largest angle)",
            f"{PAPER}; {N} digits",
            bound=1e-6,
            measured=_sine(optimum.embeddings, twin),
        )
        for name, (optimum, twin) in rows.items()
    ]
    names = {"Laplacian eigenmaps": 2, "linear discriminant analysis": 4, "Isomap": 5}
    methods = ("VICReg, neighbours", "VICReg, linear, labels", "SimCLR, geodesics")
    pairs_of = [list(rows.values())[i] for i in names.values()]
    pictures = {
        f"{method}|{twin}": (optimum.embeddings, other)
        for method, twin, (optimum, other) in zip(methods, names, pairs_of, strict=True)
    }
    return claims, pictures


# ---------------------------------------------------------------- flows


def _flows(x: np.ndarray, seed: int) -> tuple[dict[str, tuple[Trajectory, np.ndarray]], list[Claim]]:
    """From a small start to the closed forms, with the kernel of Gaussian similarity plus the identity."""
    N = len(x)
    rng = np.random.default_rng(seed)
    squared = ((x[:, None] - x) ** 2).sum(axis=-1)
    width = np.median(squared)
    G = np.exp(-6 * squared / width) * (1 - np.eye(N)) * rng.uniform(0.2, 1.0, size=(N, N))
    G = (G + G.T) / 2
    K = np.exp(-squared / width) + np.eye(N)
    space = kernel_space(K)
    lam = np.linalg.eigvalsh(laplacian(G))[1:]
    d = 2 + int((lam[2:5] / lam[1:4]).argmax())  # the widest gap among the first, so that the subspace is well defined
    weight = 0.5 / lam[d - 1]
    cases = {
        "VICReg": (
            partial(vicreg_squared, weight=weight, graph=G),
            vicreg_squared_optimum(space, G, d, weight),
            60 * N / (4 * weight * (lam[d] - lam[d - 1])),
            1e-3,
        ),
        "SimCLR": (
            partial(simclr_squared, graph=G),
            simclr_squared_optimum(space, G, 2),
            60 / (4 * np.diff(np.linalg.eigvalsh(G)[::-1][1:3])[0] * -1),
            1e-3,
        ),
    }
    flows, claims = {}, []
    with progress_bar("flows", total=len(cases) + 1) as done:
        for name, (objective, optimum, end, alpha) in cases.items():
            dim = optimum.weights.shape[1]
            flow, F = _follow(K, G, objective, alpha * rng.normal(size=(N, dim)), end)
            spectrum = _moments(F, center=name == "VICReg"), _moments(optimum.embeddings, center=name == "VICReg")
            flows[name] = flow, spectrum[1]
            claims += _arrival(name, N, F, optimum, np.abs(spectrum[0] - spectrum[1]).max() / spectrum[1].max())
            done(len(claims) // 2)
        gamma = growth_modes(K, barlow_twins_growth(G)).rates / 4
        dim = 2 + int((gamma[1:4] / gamma[2:5]).argmax())
        optimum = barlow_twins_optimum(space, G, dim)
        start = 1e-14 * rng.normal(size=(N, dim))
        objective = partial(barlow_twins, graph=G)
        flow, F = _follow(K, G, objective, start, (np.log(1e14) + 10) / (4 * gamma[dim - 1]) * 1.5)
        flows["Barlow Twins"] = flow, np.ones(dim)
        claims += _arrival("Barlow Twins", N, F, optimum, np.abs(flow.eigenvalues[-1] - 1).max())
        done(len(cases) + 1)
    return flows, claims


def _follow(
    K: np.ndarray, G: np.ndarray, objective: partial, start: np.ndarray, end: float
) -> tuple[Trajectory, np.ndarray]:
    times = end * np.linspace(0, 1, 800) ** 3  # most happens early
    flow = objective_flow(K, start, times, objective, graph=G, embedding_times=times)
    return flow, flow.embeddings[-1]


def _arrival(name: str, N: int, F: np.ndarray, optimum: Optimum, error: float) -> list[Claim]:
    d, source = F.shape[1], f"{PAPER}, closed forms; {N} digits, small random start"
    center = name == "VICReg"
    return [
        Claim.at_most(
            f"{name}: the kernel flow ends at the eigenvalues of the closed form (d = {d}, relative error)",
            source,
            bound=1e-6,
            measured=error,
        ),
        Claim.at_most(
            f"{name}: and in its subspace (sine of the largest angle)",
            source,
            bound=1e-4,
            measured=_sine(F, optimum.embeddings, center),
        ),
    ]


# ---------------------------------------------------------------- ranks


def _ranks(x: np.ndarray, seed: int) -> tuple[dict[str, np.ndarray], list[Claim]]:
    """VICReg's rank follows its weight, SimCLR's that of the relation; with both, what a linear probe can fit."""
    N = len(x)
    G = Relation.nearest_neighbours(x, 5).dense()
    lam = np.linalg.eigvalsh(laplacian(G))[1:]
    weights = np.geomspace(0.5 / lam[-1], 2 / lam[0], 7)
    rng = np.random.default_rng(seed)
    found = []
    with progress_bar("ranks", total=len(weights)) as done:
        for i, weight in enumerate(weights):
            Z = _minimised(partial(vicreg_squared, weight=weight, graph=G), N, N - 1, rng)
            found.append(int((_moments(Z, center=True) > 1e-4).sum()))
            done(i + 1)
    expected = [(lam < 1 / weight).sum() for weight in weights]
    positive = int((np.linalg.eigvalsh(G) > 1e-9).sum())
    Z = _minimised(partial(simclr_squared, graph=G), N, N, rng)
    classes = np.repeat(range(3), 10)
    labels = Relation.labels(classes).dense()
    optima = {
        "VICReg, weight 0.02": vicreg_squared_optimum(free_space(30), labels, 29, 0.02),
        "VICReg, weight 0.2": vicreg_squared_optimum(free_space(30), labels, 29, 0.2),
        "SimCLR": simclr_squared_optimum(free_space(30), labels, 29),
    }
    tasks = rng.integers(0, 2, size=(30, 200)).astype(float)
    aligned = (classes[:, None] == range(3)).astype(float)
    claims = [
        Claim.equals(
            f"VICReg: a numerical minimum has rank #{{λ < 1/weight}}, {expected[0]} … {expected[-1]} over "
            f"{len(weights)} weights (largest difference)",
            f"{PAPER}, rank; {N} digits, nearest neighbours",
            expected=0.0,
            measured=float(np.abs(np.subtract(found, expected)).max()),
            tolerance=0.0,
        ),
        Claim.equals(
            "SimCLR: a numerical minimum has as many dimensions as the relation has positive eigenvalues",
            f"{PAPER}, rank; {N} digits, nearest neighbours",
            expected=float(positive),
            measured=float((_moments(Z, center=False) * N > 1e-3).sum()),
            tolerance=0.0,
        ),
    ]
    source = "30 views, three classes of ten, d = 29"
    for (name, optimum), rank in zip(optima.items(), (29, 2, 3), strict=True):
        claims.append(Claim.equals(f"{name}: rank", source, expected=rank, measured=optimum.rank, tolerance=0.0))
    small, *fixed = optima.values()
    claims += [
        Claim.at_most(
            "aligned task: all three fit it (largest training error of a linear probe)",
            source,
            bound=1e-9,
            measured=max(_training_error(optimum.embeddings, aligned) for optimum in optima.values()),
        ),
        Claim.at_most(
            "random binary tasks: VICReg of full rank fits them by heart (mean training error over 200)",
            source,
            bound=1e-9,
            measured=_training_error(small.embeddings, tasks),
        ),
        Claim.equals(
            "random binary tasks: those of rank ≤ 3 leave ¼(1 − 3/30) (mean training error over 200)",
            source,
            expected=0.225,
            measured=np.mean([_training_error(optimum.embeddings, tasks) for optimum in fixed]),
            tolerance=0.01,
        ),
    ]
    return {"weights": weights, "found": np.array(found), "eigenvalues": lam}, claims


# ---------------------------------------------------------------- where slogans need care


def _corrections(seed: int) -> list[Claim]:
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


# ---------------------------------------------------------------- downstream


def _downstream(probes: Probes, num_seeds: int) -> list[Claim]:
    """The recommendations of both versions, one row for every method that a version recommends."""
    everything = {HIGH, SMALL, SIMCLR, BARLOW}
    recommended = (
        ("arXiv (a)", "aligned", "low", (HIGH,)),
        ("NeurIPS (a)", "aligned", "low", (HIGH, SIMCLR)),
        ("arXiv (b)", "misaligned", "full", (SMALL,)),
        ("NeurIPS (b)", "misaligned", "full", (SMALL, BARLOW)),
    )
    claims = []
    for space in ("linear", "kernel"):
        for version, relation, data, methods in recommended:
            rivals = everything - set(methods)
            if version == "arXiv (b)":
                rivals = {SIMCLR, BARLOW}  # the comparison that it makes
            for method in methods:
                names, mean, low = probes.advantage(space, relation, data, method, sum(sorted(rivals), ()))
                claims.append(
                    Claim.at_least(
                        f"{version}, {relation} relation, {data} data, {space} functions: {names} tests better, "
                        f"{mean:+.3f} (lower end of the 95 % interval)",
                        f"{PAPER}, recommendation {version[-3:]}, {version[:-4]} version; "
                        f"{probes.images[data]} {probes.name} images, {num_seeds} seeds",
                        bound=0.001,  # a tie is no advantage
                        measured=low,
                    )
                )
    return claims


# ---------------------------------------------------------------- helpers


def _equal_degrees(G: np.ndarray) -> np.ndarray:
    """Rescale rows and columns alike until all degrees are one."""
    for _ in range(3000):
        root = np.sqrt(G.sum(axis=1))
        G = G / root[:, None] / root
    return G


def _sine(A: np.ndarray, B: np.ndarray, center: bool = True) -> float:
    """Sine of the largest principal angle between the spans of the columns."""
    Q, R = (np.linalg.qr(M - M.mean(axis=0) if center else M)[0] for M in (A, B))
    return float(np.linalg.norm(Q - R @ (R.T @ Q), 2))


def _moments(F: np.ndarray, center: bool) -> np.ndarray:
    """Eigenvalues of the covariance, or of the second moments, descending."""
    F = F - F.mean(axis=0) if center else F
    return np.linalg.eigvalsh(F.T @ F / len(F))[::-1]


def _training_error(Z: np.ndarray, Y: np.ndarray) -> float:
    """Mean squared error of the best linear fit with intercept on the training views."""
    design = np.c_[np.ones(len(Z)), Z]
    return float(np.mean((Y - design @ np.linalg.lstsq(design, Y, rcond=1e-9)[0]) ** 2))


def _minimised(objective: partial, num_views: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Embeddings that L-BFGS finds from a random start."""
    import jax
    import jax.numpy as jnp
    import scipy.optimize

    with double_precision():
        evaluate = jax.jit(jax.value_and_grad(lambda z: objective(z.reshape(num_views, dim))))

        def loss(z: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = evaluate(jnp.asarray(z))
            return float(value), np.asarray(gradient)

        start = rng.normal(size=num_views * dim)
        settings = {"maxiter": 4000, "maxfun": 6000, "ftol": 1e-15, "gtol": 1e-9}
        found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=settings)
    return found.x.reshape(num_views, dim)
