"""Leading modes against the dense formula, SciPy and scikit-learn."""

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from sklearn.decomposition import KernelPCA
from timing import Row, compare, median

from dynamics.kernels import gram, infinite_kernel
from dynamics.modes import contrastive_modes, swap
from dynamics.modes.gram_product import gram_product
from dynamics.modes.lanczos import BLOCK, leading_modes
from dynamics.networks import MLP

MODES = 50
TOLERANCES = (1e-10, 1e-6)  # the default; and one at which eigenvalues, whose error is its square, are as good


def crops(pairs: int, side: int = 32) -> np.ndarray:
    """Two crops of each of so many images with a spectrum like photographs', array (2n, side, side, 3)."""
    rng = np.random.default_rng(0)
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(side + 8), np.fft.fftfreq(side + 8)))
    amplitude = 1 / np.maximum(frequencies, 1 / (side + 8))
    noise = rng.normal(size=(pairs, side + 8, side + 8, 3))
    scenes = np.fft.ifft2(np.fft.fft2(noise, axes=(1, 2)) * amplitude[None, :, :, None], axes=(1, 2)).real
    scenes = ((scenes - scenes.mean()) / scenes.std()).astype(np.float32)
    views = []
    for _ in range(2):
        corners = rng.integers(0, 9, size=(pairs, 2))
        views += [scene[i : i + side, j : j + side] for scene, (i, j) in zip(scenes, corners, strict=True)]
    return np.stack(views)


def dense_formula(K: np.ndarray) -> np.ndarray:
    """Eigenvalues of K̃^{1/2} J K̃^{1/2}/2n (Simon et al. 2023, Prop. 4.1), the largest first."""
    eigenvalues, U = scipy.linalg.eigh(K)
    root = (U * np.sqrt(np.maximum(eigenvalues, 0))) @ U.T
    size = len(K)
    gamma, _ = scipy.linalg.eigh(root @ swap(root) / size, subset_by_index=(size - MODES, size - 1))
    return gamma[::-1]


def against_dense(quick: bool) -> list[Row]:
    """Limit: K̃ once for every product, at the speed of a copy."""
    rows, speed = [], copy_speed()
    for pairs in (500, 1000) if quick else (500, 1000, 2000):
        K = gram(infinite_kernel(MLP(depth=3)), crops(pairs))
        products = [0]

        multiply, _ = gram_product(K)

        def counted(Q, multiply=multiply, products=products):
            products[0] += 1
            return multiply(Q)

        expected = dense_formula(K)
        for tolerance in TOLERANCES:
            products[0] = 0
            found = leading_modes(counted, MODES, num_pairs=pairs, block=BLOCK, tolerance=tolerance)
            error = np.abs(found.eigenvalues / expected - 1).max()
            calls = {
                "Lanczos": lambda K=K, tolerance=tolerance: leading_modes(K, MODES, tolerance=tolerance),
                "dense formula K̃^½JK̃^½ (SciPy)": lambda K=K: dense_formula(K),
                "contrastive_modes (pivoted Cholesky)": lambda K=K: contrastive_modes(K, num_modes=MODES),
            }
            what = f"{MODES} modes to a residual of {tolerance:.0e}, n = {pairs}"
            (row, *others) = compare(what, calls, 3)
            least = products[0] * K.nbytes / speed
            limit = f"{least / row.ours:.0%} is copying K̃ {products[0]}×; eigenvalues differ by {error:.0e}"
            rows += [Row(row.what, row.ours, row.peer, row.theirs, row.ratio, limit), *others]
    return rows


def against_kernel_pca(quick: bool) -> list[Row]:
    """Identical views, where contrastive modes are kernel PCA."""
    n = 500 if quick else 1000
    x = crops(n)[:n]
    K = gram(infinite_kernel(MLP(depth=3)), x)
    twice = np.tile(K, (2, 2))

    def peer(solver):
        return KernelPCA(MODES, kernel="precomputed", eigen_solver=solver, random_state=0).fit(K)

    reference = peer("arpack").eigenvalues_ / n
    error = np.abs(leading_modes(twice, MODES, center=True).eigenvalues / reference - 1).max()
    inexact = np.abs(peer("randomized").eigenvalues_ / n / reference - 1).max()
    calls = {
        "Lanczos": lambda: leading_modes(twice, MODES, center=True),
        "KernelPCA, arpack": lambda: peer("arpack"),
        "KernelPCA, randomized": lambda: peer("randomized"),
    }
    notes = (f"eigenvalues differ by {error:.0e}", f"its eigenvalues are off by {inexact:.0e}")
    rows = compare(f"{MODES} modes of n = {n} identical views (ours on all 2n)", calls, 3)
    return [Row(r.what, r.ours, r.peer, r.theirs, r.ratio, note) for r, note in zip(rows, notes, strict=True)]


def copy_speed() -> float:
    """Bytes a second that are read while a large array is copied."""
    source = np.ones(2**26)
    target = np.empty_like(source)
    return source.nbytes / median(lambda: np.copyto(target, source))
