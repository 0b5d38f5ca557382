"""n = 20,000 pairs: fully connected tangent kernel and 50 modes, with their time and memory."""

import resource
import sys
import time
from pathlib import Path

import numpy as np
from bench_modes import crops

from dynamics import load_pairs
from dynamics.kernels import gram, infinite_kernel
from dynamics.modes_iterative import leading_modes, mode_residuals
from dynamics.networks import MLP


def large(pairs: int, data_dir: Path | None) -> str:
    if data_dir is None:
        views, source = crops(pairs), "synthetic images"
    else:
        views = load_pairs("cifar10", data_dir=data_dir, num_pairs=pairs).stacked.astype(np.float32)
        source = "CIFAR-10"
    start = time.perf_counter()
    K = gram(infinite_kernel(MLP(depth=3)), views, dtype="float32", progress=sys.stderr.isatty())
    evaluated = time.perf_counter()
    modes = leading_modes(K, 50)
    solved = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    residual = (mode_residuals(K, modes) / modes.eigenvalues).max()
    return (
        f"n = {len(views) // 2:,} pairs of {source}, fully connected NTK of depth 3, float32 Gram of "
        f"{K.nbytes / 2**30:.1f} GiB: Gram {evaluated - start:.0f} s, 50 modes {solved - evaluated:.0f} s, "
        f"peak {peak:.1f} GiB; γ₁ = {modes.eigenvalues[0]:.4g}, γ₅₀ = {modes.eigenvalues[-1]:.4g}, "
        f"largest relative residual {residual:.0e}"
    )
