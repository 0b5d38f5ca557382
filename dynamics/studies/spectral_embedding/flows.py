"""Kernel flows from a small start against the closed forms of the optima."""

from functools import partial

import numpy as np

from dynamics.flow import growth_modes, objective_flow
from dynamics.objectives import barlow_twins, simclr_squared, vicreg_squared
from dynamics.objectives.graph import laplacian
from dynamics.objectives.growth import barlow_twins_growth
from dynamics.optima import (
    Optimum,
    barlow_twins_optimum,
    kernel_space,
    simclr_squared_optimum,
    vicreg_squared_optimum,
)
from dynamics.studies.claims import Claim
from dynamics.studies.spectral_embedding import PAPER
from dynamics.studies.spectral_embedding.spans import sine, spectrum
from dynamics.support.progress import progress_bar
from dynamics.trajectories.trajectory import Trajectory


def flow_claims(x: np.ndarray, seed: int) -> tuple[dict[str, tuple[Trajectory, np.ndarray]], list[Claim]]:
    """Follow the flows from a small start to the closed forms, for a Gaussian kernel plus the identity."""
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
            center = name == "VICReg"
            found, expected = spectrum(F, center), spectrum(optimum.embeddings, center)
            flows[name] = flow, expected
            claims += _arrival(name, N, F, optimum, np.abs(found - expected).max() / expected.max())
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
    d = F.shape[1]
    chosen = "d given" if name == "SimCLR" else "of d = 2, 3, 4 the one below which the gap is widest"
    source = f"{PAPER}, closed forms; {N} digits, small random start; {chosen}; bounds of this project"
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
            measured=sine(F, optimum.embeddings, center),
        ),
    ]
