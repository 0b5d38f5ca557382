"""Whether modes generalise: how far the partners of pairs that were left out agree on them.

>>> import numpy as np
>>> shared = np.random.default_rng(0).normal(size=(200, 1)) * [3.0, 0.0]  # partners share the first of two features
>>> views = np.concatenate([shared + np.random.default_rng(seed).normal(size=(200, 2)) for seed in (1, 2)])
>>> agreement = held_out_agreement(views, 1)
>>> agreement.round(1), generalise(agreement, num_pairs=200)
(array([0.9]), True)
"""

import numpy as np
from jaxtyping import Float

from dynamics.modes.contrastive import contrastive_modes_from_features
from dynamics.typing import Array

FOLDS = 4
"""The pairs are divided into so many parts, and each part is left out once."""

STANDARD_ERRORS = 2.0
"""A mean agreement below so many of its standard errors may be chance."""


def held_out_agreement(
    features: Float[Array, "views features"], dim: int, *, center: bool = False, seed: int = 0
) -> Float[np.ndarray, " dim"]:
    """Correlation of each mode between the two views of pairs that the mode was not fitted to.

    The pairs are divided into `FOLDS` parts. Each part is left out once; the modes are solved for on the others and
    evaluated on the views of the part. For a linear kernel and many pairs this is the correlation of partners along the
    mode. For partners that have nothing in common it is 0 up to about 1/√n, however large their γ_j are.

    Parameters
    ----------
    features : array (2n, p)
        Features ψ of the views in the order x_1 … x_n, x'_1 … x'_n. `ContrastiveModes.on_views` are features of the
        kernel if they hold all of its modes.
    dim : int
        Number of modes, the strongest ones.
    center : bool
        Whether the modes are those of the centred kernel.
    seed : int
        Seed of the division into parts.

    Returns
    -------
    array (dim,)
        From −1 to 1. NaN for modes that the parts do not have, and everywhere if there are too few pairs to leave some
        out.
    """
    Psi = np.asarray(features, np.float64)
    n = len(Psi) // 2
    if n < 2 * FOLDS:
        return np.full(dim, np.nan)
    agreement = np.zeros(dim)
    order = np.random.default_rng(seed).permutation(n)
    for part in np.array_split(order, FOLDS):
        rest = np.setdiff1d(order, part)
        fitted, held_out = Psi[np.append(rest, rest + n)], Psi[np.append(part, part + n)]
        one, other = np.split(_mode_functions(fitted, held_out, dim, center), 2)
        agreement += 2 * (one * other).sum(axis=0) / (np.square(one) + np.square(other)).sum(axis=0) / FOLDS
    return agreement


def generalise(agreement: Float[np.ndarray, " dim"], num_pairs: int) -> bool | None:
    """Whether partners of held-out pairs agree on the modes more than by chance; None where that is not known.

    By chance each of the d correlations is 0 up to 1/√n, and so their mean up to 1/√(n d). A single mode of few pairs
    can seldom be told from chance, where all of them together can.
    """
    known = agreement[np.isfinite(agreement)]
    if not known.size:
        return None
    return bool(known.mean() > STANDARD_ERRORS / (num_pairs * known.size) ** 0.5)


def _mode_functions(fitted: np.ndarray, held_out: np.ndarray, dim: int, center: bool) -> np.ndarray:
    """Functions of the modes of the fitted views on the views held out, (held_out, dim); NaN beyond their number."""
    modes = contrastive_modes_from_features(fitted, num_modes=dim, center=center)
    values = modes.functions(held_out @ fitted.T)[:, : modes.num_positive]
    return np.pad(values, ((0, 0), (0, dim - values.shape[1])), constant_values=np.nan)
