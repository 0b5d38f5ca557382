"""How many dimensions an optimum has, and what a linear probe can fit on it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from dynamics.objectives import simclr_squared, vicreg_squared
from dynamics.objectives.graph import laplacian
from dynamics.optima import Optimum, free_space, simclr_squared_optimum, vicreg_squared_optimum
from dynamics.studies.claims import Claim
from dynamics.studies.spectral_embedding import PAPER
from dynamics.studies.spectral_embedding.spans import spectrum
from dynamics.support.precision import double_precision
from dynamics.support.progress import progress_bar
from dynamics.views import Relation


def rank_claims(x: np.ndarray, seed: int) -> tuple[dict[str, np.ndarray], list[Claim]]:
    """VICReg's rank follows its weight, SimCLR's that of the relation; with both, what a linear probe can fit.

    Returns
    -------
    sweep : dict of array
        `weights` of VICReg's invariance, the ranks `found` by L-BFGS, and the `eigenvalues` λ of the Laplacian.
    claims : list of Claim
    """
    rng = np.random.default_rng(seed)
    sweep, numerical = _numerical_ranks(x, rng)
    return sweep, [*numerical, *_fits(rng)]


def _numerical_ranks(x: np.ndarray, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], list[Claim]]:
    """Ranks of the minima that L-BFGS finds, without the closed forms."""
    N = len(x)
    G = Relation.nearest_neighbours(x, 5).dense()
    lam = np.linalg.eigvalsh(laplacian(G))[1:]
    weights = np.geomspace(0.5 / lam[-1], 2 / lam[0], 7)
    found = []
    with progress_bar("ranks", total=len(weights)) as done:
        for i, weight in enumerate(weights):
            Z = _minimised(partial(vicreg_squared, weight=weight, graph=G), N, N - 1, rng)
            found.append(int((spectrum(Z, center=True) > 1e-4).sum()))
            done(i + 1)
    expected = [(lam < 1 / weight).sum() for weight in weights]
    positive = int((np.linalg.eigvalsh(G) > 1e-9).sum())
    Z = _minimised(partial(simclr_squared, graph=G), N, N, rng)
    source = f"{PAPER}, rank; {N} digits, nearest neighbours"
    return {"weights": weights, "found": np.array(found), "eigenvalues": lam}, [
        Claim.equals(
            f"VICReg: a numerical minimum has rank #{{λ < 1/weight}}, {expected[0]} … {expected[-1]} over "
            f"{len(weights)} weights (largest difference)",
            source,
            expected=0.0,
            measured=float(np.abs(np.subtract(found, expected)).max()),
            tolerance=0.0,
        ),
        Claim.equals(
            "SimCLR: a numerical minimum has as many dimensions as the relation has positive eigenvalues",
            source,
            expected=float(positive),
            measured=float((spectrum(Z, center=False) * N > 1e-3).sum()),
            tolerance=0.0,
        ),
    ]


def _fits(rng: np.random.Generator) -> list[Claim]:
    """Ranks of three optima for one relation of classes, and the training error of a linear probe on each."""
    classes = np.repeat(range(3), 10)
    labels = Relation.labels(classes).dense()
    optima = {
        "VICReg, weight 0.02": vicreg_squared_optimum(free_space(30), labels, 29, 0.02),
        "VICReg, weight 0.2": vicreg_squared_optimum(free_space(30), labels, 29, 0.2),
        "SimCLR": simclr_squared_optimum(free_space(30), labels, 29),
    }
    tasks = rng.integers(0, 2, size=(30, 200)).astype(float)
    aligned = (classes[:, None] == range(3)).astype(float)
    source = "30 views, three classes of ten, d = 29"
    small, *fixed = optima.values()
    return [
        *(
            Claim.equals(f"{name}: rank", source, expected=rank, measured=optimum.rank, tolerance=0.0)
            for (name, optimum), rank in zip(optima.items(), (29, 2, 3), strict=True)
        ),
        Claim.at_most(
            "aligned task: all three fit it (largest training error of a linear probe)",
            source,
            bound=1e-9,
            measured=max(_training_error(optimum, aligned) for optimum in optima.values()),
        ),
        Claim.at_most(
            "random binary tasks: VICReg of full rank fits them by heart (mean training error over 200)",
            source,
            bound=1e-9,
            measured=_training_error(small, tasks),
        ),
        Claim.equals(
            "random binary tasks: those of rank ≤ 3 leave ¼(1 − 3/30) (mean training error over 200)",
            source,
            expected=0.225,
            measured=np.mean([_training_error(optimum, tasks) for optimum in fixed]),
            tolerance=0.01,
        ),
    ]


def _training_error(optimum: Optimum, Y: np.ndarray) -> float:
    """Mean squared error of the best linear fit with intercept on the training views."""
    Z = optimum.embeddings
    design = np.c_[np.ones(len(Z)), Z]
    return float(np.mean((Y - design @ np.linalg.lstsq(design, Y, rcond=1e-9)[0]) ** 2))


def _minimised(objective: partial, num_views: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Embeddings that L-BFGS finds from a random start."""
    with double_precision():
        evaluate = jax.jit(jax.value_and_grad(lambda z: objective(z.reshape(num_views, dim))))

        def loss(z: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = evaluate(jnp.asarray(z))
            return float(value), np.asarray(gradient)

        start = rng.normal(size=num_views * dim)
        settings = {"maxiter": 4000, "maxfun": 6000, "ftol": 1e-15, "gtol": 1e-9}
        found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=settings)
    return found.x.reshape(num_views, dim)
