"""Positive relations beyond pairs: which views are partners, as a sparse matrix of weights.

>>> from dynamics.views.relation import Relation
>>> relation = Relation.views(num_images=3, num_views=2)
>>> relation.dense()[0].tolist(), relation.degree.tolist()
([0.0, 0.0, 0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0])

Objectives and optima take `relation.dense()` as their `graph`.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse
import scipy.spatial
from jaxtyping import Float, Shaped

from dynamics.errors import DataError
from dynamics.support.one_line import one_line
from dynamics.typing import Array


@dataclass(frozen=True, eq=False)
class Relation:
    """A relation graph on N views: G_ij > 0 says that i and j are partners, and how much it counts.

    Parameters
    ----------
    weights : sparse or dense array (N, N)
        G, symmetric, not negative, zero on the diagonal; kept as `scipy.sparse.csr_array` in float64.
    source : str
        Text that says where the relation comes from, for messages and captions.

    Raises
    ------
    DataError
        If the matrix is not square, not finite, not symmetric, has negative entries or entries on the diagonal, or is
        zero.
    """

    weights: Array | scipy.sparse.sparray | scipy.sparse.spmatrix
    source: str = "relation"

    __repr__ = one_line

    def __post_init__(self) -> None:
        try:
            G = scipy.sparse.csr_array(self.weights, dtype=np.float64, copy=True)
        except (TypeError, ValueError) as error:
            raise DataError(f"{self.source}: is no matrix of numbers ({error}).") from error
        if G.ndim != 2 or G.shape[0] != G.shape[1]:
            raise DataError(f"{self.source}: has shape {G.shape}; a relation among N views is (N, N).")
        G.sum_duplicates()
        G.eliminate_zeros()
        if not np.isfinite(G.data).all():
            raise DataError(f"{self.source}: has NaN or infinite weights; remove or repair them.")
        if (G.data < 0).any():
            raise DataError(f"{self.source}: has the negative weight {G.data.min():.3g}; partners have positive ones.")
        if G.diagonal().any():
            raise DataError(
                f"{self.source}: relates {np.count_nonzero(G.diagonal())} views to themselves; "
                "set the diagonal to zero."
            )
        if G.nnz == 0:
            raise DataError(f"{self.source}: relates no two views, so there is nothing to learn from it.")
        asymmetry = abs(G - G.T).max() / G.data.max()
        if asymmetry > 1e-12:
            raise DataError(
                f"{self.source}: is not symmetric (relative difference {asymmetry:.1e}); give (G + Gᵀ)/2 if that is "
                "what you mean."
            )
        object.__setattr__(self, "weights", G)

    def __len__(self) -> int:
        """Return the number of views N."""
        return self.weights.shape[0]

    @property
    def degree(self) -> Float[np.ndarray, " views"]:
        """Row sums of G."""
        return np.asarray(self.weights.sum(axis=1)).ravel()

    @property
    def num_components(self) -> int:
        """Number of connected parts, which is how often the Laplacian has the eigenvalue 0."""
        return int(scipy.sparse.csgraph.connected_components(self.weights, directed=False)[0])

    def laplacian(self) -> scipy.sparse.csr_array:
        """Laplacian L = D_G − G, which is positive semi-definite with L1 = 0."""
        return scipy.sparse.csr_array(scipy.sparse.diags_array(self.degree) - self.weights)

    def dense(self) -> Float[np.ndarray, "views views"]:
        """G as a dense array, for objectives and optima."""
        return self.weights.toarray()

    @staticmethod
    def pairs(num_pairs: int) -> "Relation":
        """Two views of each of n images in the order x_1 … x_n, x'_1 … x'_n: G = J."""
        return Relation.views(num_pairs, 2)

    @staticmethod
    def views(num_images: int, num_views: int) -> "Relation":
        """V views of each of n images, all partners of each other, ordered as all first views, then all second, ….

        Raises
        ------
        DataError
            If there is no image, or fewer than two views.
        """
        if num_images < 1 or num_views < 2:
            raise DataError(
                f"{num_views} views of {num_images} images relate nothing; give at least 2 views of at least 1 image."
            )
        blocks = np.ones((num_views, num_views)) - np.eye(num_views)
        G = scipy.sparse.kron(blocks, scipy.sparse.eye_array(num_images))
        return Relation(G, f"{num_views} views of {num_images} images")

    @staticmethod
    def labels(labels: Shaped[np.ndarray, " views"], *, per_class: bool = False) -> "Relation":
        """Views with the same label are partners.

        Parameters
        ----------
        labels : array (N,)
            Labels of the views, of any type whose values can be compared.
        per_class : bool
            Whether views within a class of N_c views have the weight 1/N_c instead of 1, so that all classes count by
            their size. XᵀLX is then the within-class scatter of linear discriminant analysis. (The diagonal of G is
            left out, since L does not depend on it.)
        """
        _, which, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
        weights = 1.0 / counts[which] if per_class else np.ones(len(which))
        member = scipy.sparse.csr_array((np.ones(len(which)), (np.arange(len(which)), which)))
        G = (scipy.sparse.diags_array(weights) @ member @ member.T).tolil()
        G.setdiag(0)
        return Relation(_symmetrised(G), f"labels, {len(counts)} classes")

    @staticmethod
    def nearest_neighbours(inputs: Shaped[Array, "views ..."], k: int) -> "Relation":
        """Two views are partners if one is among the k nearest of the other, by Euclidean distance of the inputs.

        Raises
        ------
        DataError
            If k is not between 1 and N − 1.
        """
        x = np.asarray(inputs, np.float64).reshape(len(inputs), -1)
        if not 1 <= k < len(x):
            raise DataError(f"{k} nearest neighbours among {len(x)} views: give between 1 and {len(x) - 1}.")
        # of equal points any may come first, so the point itself is removed by its number and not by its place
        nearest = scipy.spatial.KDTree(x).query(x, k + 1)[1]
        left = np.repeat(np.arange(len(x)), k + 1)
        kept = left != nearest.ravel()
        rank = np.arange(k + 1) < k + (nearest == np.arange(len(x))[:, None]).any(axis=1)[:, None]
        kept &= rank.ravel()
        G = scipy.sparse.csr_array((np.ones(kept.sum()), (left[kept], nearest.ravel()[kept])), shape=(len(x), len(x)))
        return Relation(G.maximum(G.T), f"{k} nearest neighbours of {len(x)} views")

    @staticmethod
    def time_adjacency(length: int, window: int = 1, *, periodic: bool = False) -> "Relation":
        """Frames of a sequence are partners if they are at most `window` frames apart.

        Raises
        ------
        DataError
            If the window is not between 1 and length − 1, or covers a periodic sequence more than once.
        """
        if not 1 <= window < length or (periodic and 2 * window >= length):
            raise DataError(f"A window of {window} does not fit a sequence of {length} frames.")
        frames = np.arange(length)
        apart = np.abs(frames[:, None] - frames)
        if periodic:
            apart = np.minimum(apart, length - apart)
        return Relation(scipy.sparse.csr_array((apart >= 1) & (apart <= window)), f"time, window {window}")


def _symmetrised(G: scipy.sparse.sparray) -> scipy.sparse.csr_array:
    G = scipy.sparse.csr_array(G)
    return (G + G.T) / 2
