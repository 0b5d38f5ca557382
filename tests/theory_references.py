"""Independent references for the tests of the theory, in NumPy: nothing here is taken from the package."""

import numpy as np


def swap_matrix(n):
    """J (2n, 2n), which exchanges the two halves."""
    return np.kron([[0.0, 1.0], [1.0, 0.0]], np.eye(n))


def features_with_spectrum(gamma, n, rng):
    """Φ (2n, m) with ΦᵀJΦ/2n = diag(γ), for any signed γ of length m ≤ n: the mode functions of K̃ = ΦΦᵀ.

    In sums and differences of partners J is diagonal, ΦᵀJΦ = SᵀS − AᵀA, so S = Q diag(√(2nγ + b²)) and
    A = Q' diag(b) will do for orthonormal Q, Q' and any large enough b.
    """
    gamma = np.asarray(gamma, float)
    m = gamma.size
    b_squared = np.maximum(0.0, -2 * n * gamma) + rng.uniform(0.1, 0.5, m) * np.abs(gamma).max()
    S = np.linalg.qr(rng.normal(size=(n, m)))[0] * np.sqrt(2 * n * gamma + b_squared)
    A = np.linalg.qr(rng.normal(size=(n, m)))[0] * np.sqrt(b_squared)
    return np.concatenate([S + A, S - A]) / np.sqrt(2)


def random_gram(n, rng, extra=6):
    """A full-rank Gram matrix (2n, 2n) whose pairs correlate."""
    x = rng.normal(size=(n, 2 * n + extra))
    psi = np.concatenate([x, x]) + 0.7 * rng.normal(size=(2 * n, 2 * n + extra))
    return psi @ psi.T / psi.shape[1]


def correlation(F):
    """C = FᵀJF/2n."""
    n = len(F) // 2
    return F.T @ swap_matrix(n) @ F / (2 * n)


def velocity(K, F):
    """DF/dt = (2/n) K̃ J F (I − C) of Barlow Twins with λ = 1 (Simon et al. 2023)."""
    n = len(F) // 2
    return 2 / n * K @ swap_matrix(n) @ F @ (np.eye(F.shape[1]) - correlation(F))


def gradient_descent(K, F, learning_rate, steps):
    """Explicit Euler steps of the flow: full-batch gradient descent seen in function space."""
    for _ in range(steps):
        F = F + learning_rate * velocity(K, F)
    return F


def descending_eigenvalues(F):
    return np.linalg.eigvalsh(correlation(F))[::-1]


def random_rotation(d, rng):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]
