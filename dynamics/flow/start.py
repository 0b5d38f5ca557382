"""Where a flow starts: the function before training in the coordinates of the modes, and what lies outside of them.

F = Φa + R with Φ = φ(X̃). A flow of a frozen kernel K̃ = ΦΦᵀ moves a alone, da/dt = 4(γa + b) M, and R stays; but the
gradient sees both,

    C = FᵀJF/2n = aᵀγa + aᵀb + bᵀa + C_R ,    b = ΦᵀJR/2n ,    C_R = RᵀJR/2n .

R is not zero where the kernel has a rank below 2n (identical views, fewer features than views) and the function before
training is not one of this kernel's functions.
"""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dynamics.errors import DataError
from dynamics.modes.contrastive import ContrastiveModes, swap
from dynamics.typing import Array, Embedding

_SMALL = 0.01  # share of the squared norm of a start that may lie outside of the modes without a word


class Start(NamedTuple):
    """The function before training, split into what a flow moves and what it leaves as it is.

    Parameters
    ----------
    coordinates : array (m, d)
        Mode coordinates a, which the flow moves.
    source : array (m, d)
        The term b, by which the rest of the function drives the modes.
    constant : array (d, d)
        The part C_R of C that never changes.
    remainder : array (2n, d)
        The part R of the function that never changes.
    """

    coordinates: Float[np.ndarray, "modes dim"]
    source: Float[np.ndarray, "modes dim"]
    constant: Float[np.ndarray, "dim dim"]
    remainder: Float[np.ndarray, "views dim"]


def start_of(modes: ContrastiveModes, initial_embeddings: Embedding, *, complete: bool = True) -> Start:
    """Split the function before training (2n, d) into mode coordinates and the rest, with a warning if that is large.

    The mean of the function is left out where the modes are those of centred embeddings. With `complete` false, for
    modes that were cut off on purpose, there is no warning.

    Raises
    ------
    DataError
        If an embedding is not finite, or their number is not 2n.
    """
    F = finite_start(initial_embeddings, 2 * modes.num_pairs)
    if modes.offset.any():  # modes of centred embeddings, whose mean the objective does not see
        F = F - F.mean(axis=0)
    a = modes.coordinates(F)
    R = F - modes.on_views @ a
    # Where the modes are complete, R is rounding, and rounding of the start must not drive modes with γ ≈ 0.
    R = np.where(np.abs(R).max(initial=0.0) <= 1e-12 * np.abs(F).max(initial=0.0), 0.0, R)
    total, outside = float(np.square(F).sum()), float(np.square(R).sum())
    if complete and outside > _SMALL * total:
        warnings.warn(
            f"{outside / total:.0%} of the squared norm of the initial embeddings lies outside of the kernel's "
            f"{len(modes)} modes; the flow leaves this part as it is.",
            stacklevel=3,
        )
    return Start(a, modes.on_views.T @ swap(R) / len(F), R.T @ swap(R) / len(F), R)


def finite_start(initial_embeddings: Embedding, views: int | None = None) -> Float[Array, "views dim"]:
    """Return the function before training in float64.

    Parameters
    ----------
    initial_embeddings : array (2n, d)
        Embeddings F(0) before training.
    views : int, optional
        Number of rows that the embeddings should have.

    Raises
    ------
    DataError
        If the embeddings are not a matrix with that number of rows, or an entry is not finite.
    """
    F = np.asarray(initial_embeddings, np.float64)
    if F.ndim != 2 or (views is not None and len(F) != views):
        raise DataError(
            f"initial_embeddings has shape {F.shape}; give one row for each of the {views or '2n'} views and one "
            "column for each output."
        )
    if not np.isfinite(F).all():
        row = int(np.flatnonzero(~np.isfinite(F).all(axis=1))[0])
        raise DataError(f"initial_embeddings is not finite in row {row}; a flow needs a finite start.")
    return F
