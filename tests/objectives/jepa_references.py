"""The losses of the JEPA family written from their papers' formulas, with loops in NumPy and SciPy.

Views come in the order x_1 … x_n, x'_1 … x'_n. Slices are an input; these take the fixed ones of the library.
"""

import numpy as np
import scipy.linalg
import scipy.stats

from dynamics.objectives.slices import directions
from dynamics.support.precision import double_precision


def exact_frames(dim, count):
    """The fixed slices in double precision: float32 would be seen at a tolerance of 1e-12."""
    with double_precision():
        return np.asarray(directions(dim, count, dtype=np.float64))


def epps_pulley(p, knots=17):
    """n ∫ |φ_n(t) − e^{−t²/2}|² e^{−t²/2} dt over [−3, 3], by the trapezoidal rule on both signs of t."""
    t = np.linspace(-3, 3, 2 * knots - 1)
    empirical = np.array([np.mean(np.exp(1j * s * p)) for s in t])
    normal = scipy.stats.norm.pdf(t) * np.sqrt(2 * np.pi)
    return len(p) * np.trapezoid(np.abs(empirical - normal) ** 2 * normal, t)


def reference_sigreg(F, count=256):
    A, n = exact_frames(F.shape[1], count), len(F) // 2
    return np.mean([epps_pulley(half @ a) for half in (F[:n], F[n:]) for a in A.T])


def distance(F):
    n = len(F) // 2
    means = (F[:n] + F[n:]) / 2
    return np.mean([(F[i + k * n, j] - means[i, j]) ** 2 for k in (0, 1) for i in range(n) for j in range(F.shape[1])])


def reference_lejepa(F):
    return 0.02 * reference_sigreg(F) + 0.98 * distance(F)


def visreg_terms(F, A, deviations=None):
    """Scale, centre and shape of both halves; the deviations that standardise may be held fixed."""
    n, terms = len(F) // 2, []
    quantiles = scipy.stats.norm.ppf(np.arange(1, n + 1) / (n + 1))
    for k, half in enumerate((F[:n], F[n:])):
        sigma = half.std(axis=0)
        standard = (half - half.mean(axis=0)) / (sigma if deviations is None else deviations[k])
        shape = np.mean([(np.sort(standard @ a) - quantiles) ** 2 for a in A.T])
        terms.append([np.mean((1 - sigma) ** 2), shape, np.mean(half.mean(axis=0) ** 2)])
    return np.mean(terms, axis=0)


def reference_visreg(F):
    return 0.9 * visreg_terms(F, exact_frames(F.shape[1], 4096)).sum() + 0.1 * distance(F)


def reference_mmcr(F):
    n, units = len(F) // 2, np.array([v / np.sqrt(v @ v) for v in F])
    centroids = (units[:n] + units[n:]) / 2
    return -np.trace(scipy.linalg.sqrtm(centroids.T @ centroids)).real


def reference_dino(F):
    targets, N = np.tanh(F) + 0.1, len(F)
    centred, total = targets - targets.mean(axis=0), 0.0
    for i in range(N):
        q = np.exp(centred[(i + N // 2) % N] / 0.04)
        total -= q / q.sum() @ (F[i] / 0.1 - np.log(np.exp(F[i] / 0.1).sum()))
    return total / N


def reference_latent_prediction(F):
    targets, N = np.tanh(F) + 0.1, len(F)
    return np.mean([np.mean((F[i] - targets[(i + N // 2) % N]) ** 2) for i in range(N)])


REFERENCES_OF_JEPA = {
    "latent-prediction": reference_latent_prediction,
    "dino": reference_dino,
    "mmcr": reference_mmcr,
    "sigreg": reference_sigreg,
    "lejepa": reference_lejepa,
    "visreg": reference_visreg,
}
