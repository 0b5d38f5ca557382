"""What the study compares: spans of embeddings, and their spectra."""

import numpy as np
from jaxtyping import Float

from dynamics.typing import Embedding


def sine(A: Float[np.ndarray, "views a"], B: Float[np.ndarray, "views b"], center: bool = True) -> float:
    """Sine of the largest principal angle between the spans of the columns, which are centred if asked for."""
    Q, R = (np.linalg.qr(M - M.mean(axis=0) if center else M)[0] for M in (A, B))
    return float(np.linalg.norm(Q - R @ (R.T @ Q), 2))


def spectrum(F: Embedding, center: bool) -> Float[np.ndarray, " dim"]:
    """Eigenvalues of the covariance, or of the second moments if it is not to be centred; the largest first."""
    F = F - F.mean(axis=0) if center else F
    return np.linalg.eigvalsh(F.T @ F / len(F))[::-1]
