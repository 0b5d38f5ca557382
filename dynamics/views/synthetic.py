"""Pairs of vectors whose contrastive spectrum is known: the test bed of the theory.

>>> import jax, numpy as np
>>> pairs = synthetic_pairs([0.5, 0.2, 0.2, -0.1], num_pairs=20, key=jax.random.key(0))
>>> gamma = (pairs.x.T @ pairs.x_prime + pairs.x_prime.T @ pairs.x) / (2 * len(pairs))
>>> np.linalg.eigvalsh(gamma).round(6)
array([-0.1,  0.2,  0.2,  0.5])
"""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Key

from dynamics.errors import DataError
from dynamics.views.pairs import Pairs


def geometric_spectrum(num_modes: int, ratio: float = 0.7) -> Float[np.ndarray, "modes"]:
    """Eigenvalues 1, r, r², …: neighbouring modes stay equally well separated, γ_j/γ_{j+1} = 1/r."""
    return ratio ** np.arange(num_modes)


def synthetic_pairs(
    eigenvalues: Sequence[float] | Float[np.ndarray, "modes"],
    num_pairs: int,
    key: Key[jax.Array, ""],
    *,
    dim: int | None = None,
    noise: float = 0.0,
) -> Pairs:
    r"""Pairs of vectors with exactly the contrastive spectrum asked for, under the linear kernel k(x, y) = x·y.

    With E and F (n×m, orthonormal columns) and an orthogonal Q, the pairs X = √n (E A + F B) Qᵀ and
    X' = √n (E A − F B) Qᵀ have Γ = (1/2n) Σ (x x'ᵀ + x' xᵀ) = Q (A² − B²) Qᵀ, and second moments
    Σ = (1/2n) Σ (x xᵀ + x' x'ᵀ) = Q (A² + B²) Qᵀ. What a pair shares (E, even under the swap of the views) makes
    positive eigenvalues, what differs in it (F, odd) makes negative ones. With fewer positive eigenvalues than pairs
    the views also have mean zero, so that centring does not change the spectrum.

    Parameters
    ----------
    eigenvalues : sequence of m floats
        Signed eigenvalues of Γ, in any order; repeated, negative and zero ones are allowed.
    num_pairs : int
        Number of pairs n, at least the number of positive eigenvalues and at least that of negative ones.
    key : jax key
        Random key from which E, F and Q are drawn.
    dim : int, optional
        Dimension of the vectors, m if None; the dim − m further eigenvalues of Γ are 0.
    noise : float
        Variance ν ≥ 0 that is added to B² in every mode, and to A² so that γ stays. Then Σ = Q (|γ| + 2ν) Qᵀ, so that
        the views of a pair differ in the modes of positive γ too. If it is above 0, both E and F have m columns, and m
        must not exceed n.

    Returns
    -------
    Pairs
        float64 (n, dim).

    Raises
    ------
    DataError
        If an eigenvalue is not finite, all are zero, or they do not fit into `num_pairs` or `dim`.
    """
    gamma = np.asarray(eigenvalues, dtype=np.float64)
    if gamma.ndim != 1 or not np.isfinite(gamma).all() or not gamma.any():
        raise DataError(f"eigenvalues={gamma.tolist()}: give a list of finite numbers that are not all zero.")
    if not (np.isfinite(noise) and noise >= 0):
        raise DataError(f"noise={noise}: a variance is finite and not negative.")
    dim = len(gamma) if dim is None else dim
    if dim < len(gamma):
        raise DataError(f"{len(gamma)} eigenvalues do not fit into vectors of dimension {dim}; raise dim.")
    shared, differing = np.maximum(gamma, 0) + noise, np.maximum(-gamma, 0) + noise
    for what, weights in (("positive", shared), ("negative", differing)):
        if (weights > 0).sum() > num_pairs:
            raise DataError(
                f"{(weights > 0).sum()} {what if noise == 0 else 'noisy'} eigenvalues need as many pairs, "
                f"but num_pairs is {num_pairs}; raise it or give fewer eigenvalues."
            )
    rng = _generator(key)
    even = _columns(num_pairs, shared, rng, zero_mean=True)
    odd = _columns(num_pairs, differing, rng)
    rotation = _orthonormal(rng.normal(size=(dim, len(gamma))))
    x = np.sqrt(num_pairs) * (even + odd) @ rotation.T
    x_prime = np.sqrt(num_pairs) * (even - odd) @ rotation.T
    return Pairs(x, x_prime, f"synthetic, {len(gamma)} prescribed eigenvalues")


def gaussian_pairs(
    signal: Float[np.ndarray, "dim dim"],
    noise: Float[np.ndarray, "dim dim"],
    num_pairs: int,
    key: Key[jax.Array, ""],
) -> Pairs:
    """Pairs x = s + ε, x' = s + ε' of a shared Gaussian signal and independent Gaussian noise.

    E Γ = cov(s) and E Σ = cov(s) + cov(ε); Γ of a finite sample deviates from it by O(n^{−1/2}) and has negative
    eigenvalues where there is no signal, as with images.

    Parameters
    ----------
    signal, noise : float array (dim, dim)
        Covariances of s and of ε, symmetric and positive semi-definite.
    num_pairs : int
        Number of pairs n.
    key : jax key
        Random key from which s, ε and ε' are drawn.

    Returns
    -------
    Pairs
        float64 (n, dim).

    Raises
    ------
    DataError
        If a matrix is no covariance, or there is no pair.
    """
    if num_pairs < 1:
        raise DataError(f"num_pairs={num_pairs}: give at least one pair.")
    rng = _generator(key)
    signal_root, noise_root = _root("signal", signal), _root("noise", noise)
    shared = rng.normal(size=(num_pairs, len(signal))) @ signal_root
    x, x_prime = (shared + rng.normal(size=shared.shape) @ noise_root for _ in range(2))
    return Pairs(x, x_prime, "synthetic, Gaussian signal and noise")


def _generator(key: Key[jax.Array, ""]) -> np.random.Generator:
    """NumPy generator seeded by a JAX key: float64 without touching JAX's precision."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def _columns(
    num_rows: int, weights: Float[np.ndarray, "m"], rng: np.random.Generator, zero_mean: bool = False
) -> Float[np.ndarray, "n m"]:
    """Orthogonal columns of squared norms `weights`, orthogonal to the constant where that leaves room for them."""
    used = np.flatnonzero(weights)
    constant = int(zero_mean and len(used) < num_rows)
    basis = rng.normal(size=(num_rows, len(used) + constant))
    basis[:, :constant] = 1.0
    columns = np.zeros((num_rows, len(weights)))
    columns[:, used] = _orthonormal(basis)[:, constant:] * np.sqrt(weights[used])
    return columns


def _orthonormal(matrix: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """Q of the QR factorisation with positive diagonal, which makes it uniform (Haar) for a Gaussian matrix."""
    q, r = np.linalg.qr(matrix)
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)


def _root(name: str, covariance: Float[np.ndarray, "dim dim"]) -> Float[np.ndarray, "dim dim"]:
    """Symmetric square root."""
    if not np.isfinite(covariance).all() or not np.allclose(covariance, covariance.T):
        raise DataError(f"{name}: is not finite and symmetric, so it is no covariance.")
    values, vectors = np.linalg.eigh(covariance)
    if values[0] < -1e-10 * max(1.0, values[-1]):
        raise DataError(f"{name}: has the negative eigenvalue {values[0]:.3g}, so it is no covariance.")
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
