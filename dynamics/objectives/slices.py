"""Slices: directions onto which embeddings are projected, one number a view, by losses that compare distributions.

A training draws fresh slices for every step, with a key. Without a key there is one fixed set: whole orthonormal
frames, whose directions sum to a multiple of the identity, so that no dimension of the outputs is preferred. They are
turned until they are spread evenly, so that few of them stand for all directions also where embeddings are no longer
small. A flow needs the same loss at every time: that of VISReg takes these, and those of SIGReg and LeJEPA the mean
over all directions (`dynamics.objectives.sphere`).

>>> import numpy as np
>>> A = directions(3, count=4)
>>> A.shape, np.allclose(A @ A.T, 2 * np.eye(3), atol=1e-6)
((3, 6), True)
"""

from functools import lru_cache
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

from dynamics.objectives.door import check_setting
from dynamics.support.bounds import Bounds

SLICES = Bounds(2, 10**6, whole=True)
"""How many slices there may be: one direction says nothing of the others."""

Slices = Float[jax.Array, "dim slices"]


def directions(dim: int, count: int, key: Key[jax.Array, ""] | None = None, dtype: Any = jnp.float32) -> Slices:
    """Unit vectors (d, S) onto which embeddings are projected.

    Parameters
    ----------
    dim : int
        Number of outputs d.
    count : int
        Number S of slices; without a key, that of the whole frames that hold so many.
    key : jax key, optional
        Key from which independent uniform directions are drawn. Without one the slices are the fixed frames.
    dtype : dtype
        Type of the numbers.

    Raises
    ------
    ConfigError
        If there are fewer than two slices.
    """
    check_setting("slices", count, Annotated[int, SLICES])
    if key is None:
        return jnp.asarray(_frames(dim, -(-count // dim)), dtype)
    drawn = jax.random.normal(key, (dim, count), dtype)
    return drawn / jnp.linalg.norm(drawn, axis=0)


@lru_cache(maxsize=16)
def _frames(dim: int, frames: int) -> Float[np.ndarray, "dim slices"]:
    """Columns of that many orthogonal matrices, always the same, which repel each other unless they are many.

    Each step turns every frame against the gradient of Σ_ij cosh(s ⟨a_i, a_j⟩), whose minimum spreads the even moments
    of the directions evenly, and projects it onto the orthogonal matrices again.
    """
    A = np.linalg.qr(np.random.default_rng(0).normal(size=(frames, dim, dim)))[0]
    for step in range(_TURNS if dim * frames <= _FEW else 0):
        flat = np.concatenate(list(A), axis=1)
        forces = np.sinh(_SHARPNESS * flat.T @ flat)
        slope = (flat @ forces).reshape(dim, frames, dim).swapaxes(0, 1) / np.abs(forces).sum(axis=1).max()
        left, _, right = np.linalg.svd(A - slope * (1 - step / _TURNS))
        A = left @ right
    return np.concatenate(list(A), axis=1)


_TURNS, _SHARPNESS, _FEW = 300, 4.0, 256  # of more directions random ones will do, and turning them takes long
