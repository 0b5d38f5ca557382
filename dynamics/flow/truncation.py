"""Leaving modes out of a flow, with a bound on what is lost.

For Barlow Twins with λ = 1, row j of the mode coordinates obeys da_j/dt = 4 γ_j a_j (I − C). Along the flow the largest
eigenvalue of C does not grow beyond 1, and the smallest does not fall: dC/dt = 4[(I − C)M + M(I − C)], M = aᵀγ²a ⪰ 0.
So ‖I − C(t)‖ ≤ g = max(1 − λ_min(C(0)), λ_max(C(0)) − 1) at all times, and ‖a_j(t)‖ ≤ ‖a_j(0)‖ e^{4 γ_j g t}; modes
with γ_j < 0 shrink as long as C ⪯ I. The cut modes contribute at most Σ_j |γ_j| ‖a_j(0)‖² e^{8 γ_j⁺ g t} to C.
"""

from dataclasses import dataclass

import numpy as np

from dynamics.errors import ConfigError
from dynamics.modes.contrastive import ContrastiveModes, swap
from dynamics.support.one_line import one_line
from dynamics.typing import Embedding

_COMPLETE = 1e-8  # relative part of the initial function outside of the modes that is put down to rounding


@dataclass(frozen=True, eq=False)
class Truncation:
    """The modes that are kept, and a bound on what the others contribute.

    Parameters
    ----------
    modes : ContrastiveModes
        The modes that are kept, the first of those given.
    bound : float
        Bound in the trace norm, and so in the spectral norm, on the part of C that lies in the modes left out,
        C − aᵀγa with the a of the kept modes, at all times from 0 to the end. For the kept modes I − C changes by at
        most as much. The bound is infinite if the initial function has a part outside the given modes about which
        nothing is known.
    """

    modes: ContrastiveModes
    bound: float

    __repr__ = one_line


def truncate(
    modes: ContrastiveModes,
    initial_embeddings: Embedding,
    end: float,
    *,
    tolerance: float | None = None,
    num_modes: int | None = None,
    squared_norm: float | None = None,
) -> Truncation:
    """Keep as few modes as lose no more than `tolerance` of C, or a given number of them.

    Parameters
    ----------
    modes : ContrastiveModes
        All modes, or the leading ones.
    initial_embeddings : array (2n, d)
        The network's function before training, on the training views.
    end : float
        Last effective time of the flow.
    tolerance : float, optional
        How much of C may be lost, in the trace norm. All modes are kept if fewer would lose more.
    num_modes : int, optional
        How many modes to keep; give this or `tolerance`.
    squared_norm : float, optional
        Squared RKHS norm of the initial function, summed over outputs. Needed where `modes` are the leading ones only;
        for f = φ(x)·w of explicit features it is at most ‖w‖².

    Raises
    ------
    ConfigError
        If not exactly one of `tolerance` and `num_modes` is given, or the one given is out of range.
    """
    out_of_range = (num_modes is not None and num_modes < 1) or (tolerance is not None and not tolerance > 0)
    if (tolerance is None) == (num_modes is None) or out_of_range:
        raise ConfigError("Give either a positive `tolerance`, or `num_modes` of at least 1.")
    F, gamma, views = np.asarray(initial_embeddings, np.float64), modes.eigenvalues, 2 * modes.num_pairs
    a = modes.coordinates(F)
    remainder = F - modes.on_views @ a
    eigenvalues = np.linalg.eigvalsh(F.T @ swap(F) / views)
    g = max(1 - eigenvalues[0], eigenvalues[-1] - 1)
    growing = np.abs(gamma) if eigenvalues[-1] > 1 else np.maximum(gamma, 0)
    with np.errstate(over="ignore"):
        parts = np.abs(gamma) * (a**2).sum(axis=1) * np.exp(8 * growing * g * end)
        rest = _outside(modes, a, remainder, squared_norm, g * end)
    parts = np.where(np.abs(a).max(axis=1, initial=0.0) > 0, parts, 0)
    lost = np.append(parts[::-1].cumsum()[::-1], 0.0) + rest  # after 0, 1, … modes
    if num_modes is None:
        assert tolerance is not None  # one of the two is given
        enough = np.flatnonzero(lost <= tolerance)
        num_modes = max(1, int(enough[0])) if enough.size else len(modes)
    num_modes = min(num_modes, len(modes))
    kept = slice(num_modes)
    first = ContrastiveModes(gamma[kept], modes.duals[:, kept], modes.on_views[:, kept], modes.offset[kept])
    return Truncation(first, float(lost[num_modes]))


def _outside(
    modes: ContrastiveModes, a: np.ndarray, remainder: np.ndarray, squared_norm: float | None, time: float
) -> float:
    """Bound for the modes that were not given, whose eigenvalues are not above the last that was."""
    rounding = _COMPLETE * np.abs(modes.on_views @ a).max(initial=0.0)
    if np.abs(remainder).max(initial=0.0) <= rounding or len(modes) == 2 * modes.num_pairs:
        return 0.0
    if squared_norm is None:
        return np.inf
    top = max(0.0, float(modes.eigenvalues[-1]))
    positive = top * max(0.0, squared_norm - float((a**2).sum()))  # Σ γ_j ‖a_j‖² over those with γ_j > 0, at the start
    # Σ γ_j ‖a_j‖² over all of them is known, so the negative ones are too
    negative = max(0.0, positive - float((remainder * swap(remainder)).sum()) / len(remainder))
    return positive * float(np.exp(8 * top * time)) + negative
