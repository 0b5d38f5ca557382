"""Every optimum against the classical method that it is said to be."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from dynamics.objectives.graph import laplacian
from dynamics.optima import (
    Optimum,
    barlow_twins_normalised_optimum,
    free_space,
    linear_space,
    simclr_squared_optimum,
    vicreg_squared_optimum,
)
from dynamics.studies.claims import Claim
from dynamics.studies.spectral_embedding import PAPER
from dynamics.studies.spectral_embedding.spans import sine
from dynamics.views import Relation, load_pairs


class Twins(NamedTuple):
    """An optimum of self-supervised learning, a classical embedding (N, k), and whether they should be the same."""

    optimum: Optimum
    classical: Float[np.ndarray, "views k"]
    same: bool = True


def find_twins(
    x: Float[np.ndarray, "views features"], labels: Int[np.ndarray, " views"], seed: int
) -> dict[str, Twins]:
    """Both embeddings of every statement, by scikit-learn's own implementation of the classical method if it has one.

    Parameters
    ----------
    x : array (N, m)
        Images as vectors.
    labels : array (N,)
        Digits that the images show.
    seed : int
        Seed of the pairs of views for canonical correlation analysis.
    """
    from sklearn.decomposition import PCA

    reduced = PCA(20, random_state=0).fit_transform(x)
    squared = ((x[:, None] - x) ** 2).sum(axis=-1)
    return {
        **_eigenmaps(x, squared),
        **_linear_projections(x, reduced, labels),
        **_scalings(x, squared),
        **_canonical_correlations(len(x), seed),
    }


def _eigenmaps(x: np.ndarray, squared: np.ndarray) -> dict[str, Twins]:
    """VICReg on free embeddings, with and without equal degrees."""
    from sklearn.manifold import SpectralEmbedding

    def eigenmap(G: np.ndarray) -> np.ndarray:
        return SpectralEmbedding(2, affinity="precomputed", eigen_solver="arpack", eigen_tol=1e-12).fit_transform(G)

    N = len(x)
    free = free_space(N)
    neighbours = Relation.nearest_neighbours(x, 8).dense()
    similar = _equal_degrees(np.exp(-squared / np.quantile(squared, 0.02)) * (1 - np.eye(N)))
    L = laplacian(neighbours)
    optimum = vicreg_squared_optimum(free, neighbours, 2, 0.1 / np.linalg.eigvalsh(L)[2])
    return {
        "VICReg, equal degrees = scikit-learn's SpectralEmbedding": Twins(
            vicreg_squared_optimum(free, similar, 2, 0.1), eigenmap(similar)
        ),
        "VICReg, nearest neighbours ≠ scikit-learn's SpectralEmbedding, which divides by the degree": Twins(
            optimum, eigenmap(neighbours), same=False
        ),
        "VICReg, nearest neighbours = Laplacian eigenmaps without division by the degree": Twins(
            optimum, scipy.linalg.eigh(L, subset_by_index=(1, 2))[1]
        ),
    }


def _linear_projections(x: np.ndarray, reduced: np.ndarray, labels: np.ndarray) -> dict[str, Twins]:
    """VICReg on linear functions of the leading principal components."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    linear = linear_space(reduced)
    neighbours = Relation.nearest_neighbours(x, 8).dense()
    per_class = Relation.labels(labels, per_class=True).dense()
    H = np.eye(len(x)) - 1 / len(x)
    locality, scatter = reduced.T @ laplacian(neighbours) @ reduced, reduced.T @ H @ reduced
    return {
        "VICReg, linear, nearest neighbours = locality preserving projections": Twins(
            vicreg_squared_optimum(linear, neighbours, 2, 0.01),
            reduced @ scipy.linalg.eigh(locality, scatter)[1][:, :2],
        ),
        "VICReg, linear, labels = scikit-learn's LinearDiscriminantAnalysis": Twins(
            vicreg_squared_optimum(linear, per_class, 2, 0.5),
            LinearDiscriminantAnalysis(solver="eigen", n_components=2).fit(reduced, labels).transform(reduced),
        ),
    }


def _scalings(x: np.ndarray, squared: np.ndarray) -> dict[str, Twins]:
    """SimCLR on free embeddings, with geodesic and with Gaussian similarity."""
    from sklearn.decomposition import KernelPCA
    from sklearn.manifold import Isomap

    N = len(x)
    free, H = free_space(N), np.eye(N) - 1 / N
    isomap = Isomap(n_neighbors=8, n_components=2).fit(x)
    inner = np.exp(-squared / np.median(squared))
    return {
        "SimCLR, geodesic similarity = scikit-learn's Isomap": Twins(
            simclr_squared_optimum(free, -H @ isomap.dist_matrix_**2 @ H / 2, 2), isomap.embedding_
        ),
        "SimCLR, Gaussian similarity = scikit-learn's KernelPCA (classical scaling)": Twins(
            simclr_squared_optimum(free, H @ inner @ H, 2), KernelPCA(2, kernel="precomputed").fit_transform(inner)
        ),
    }


def _canonical_correlations(num_pairs: int, seed: int) -> dict[str, Twins]:
    """Barlow Twins on linear functions of two views of every digit."""
    from sklearn.cross_decomposition import CCA
    from sklearn.decomposition import PCA

    pairs = load_pairs("digits", num_pairs=num_pairs, seed=seed)
    views = PCA(10, random_state=0).fit_transform(pairs.stacked.reshape(2 * num_pairs, -1).astype(np.float64))
    J = Relation.pairs(num_pairs).dense()
    return {
        "Barlow Twins, normalised, linear, two views = scikit-learn's CCA": Twins(
            barlow_twins_normalised_optimum(linear_space(views), J, 2),
            CCA(2, max_iter=100_000, tol=1e-14).fit_transform(views, J @ views)[0],
        )
    }


def _equal_degrees(G: np.ndarray) -> np.ndarray:
    """Rescale rows and columns alike until all degrees are one."""
    for _ in range(3000):
        root = np.sqrt(G.sum(axis=1))
        G = G / root[:, None] / root
    return G


def twin_claims(twins: Mapping[str, Twins], num_images: int) -> list[Claim]:
    """One claim a statement: that both embeddings span the same space, or that they do not."""
    claims = []
    for name, twin in twins.items():
        angle, source = sine(twin.optimum.embeddings, twin.classical), f"{PAPER}; {num_images} digits"
        claim = f"{name} (sine of the largest angle)"
        if twin.same:
            claims.append(Claim.at_most(claim, source, bound=1e-6, measured=angle))
        else:
            claims.append(Claim.at_least(claim, f"not in the paper; {num_images} digits", bound=1e-2, measured=angle))
    return claims


def twin_pictures(twins: Mapping[str, Twins]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs of embeddings in two dimensions for the figure, by "method|classical method"."""
    shown = {
        "VICReg, neighbours|Laplacian eigenmaps": "without division by the degree",
        "VICReg, linear, labels|linear discriminant analysis": "LinearDiscriminantAnalysis",
        "SimCLR, geodesics|Isomap": "Isomap",
    }
    pictures = {}
    for title, words in shown.items():
        (twin,) = (pair for name, pair in twins.items() if words in name)
        pictures[title] = twin.optimum.embeddings, twin.classical
    return pictures
