"""n = 20,000 pairs: fully connected tangent kernel and 50 modes, with their time and memory."""

import resource
import sys
import time
from pathlib import Path

import jax
import numpy as np
from bench_modes import crops

from dynamics.kernels import TiledGram, infinite_kernel
from dynamics.modes_iterative import leading_modes, mode_residuals
from dynamics.networks import MLP
from dynamics.views import load_images, make_pairs
from dynamics.views.presets import default_preset, get_preset


def large(pairs: int, data_dir: Path | None) -> str:
    if data_dir is None:
        views, source = crops(pairs), "synthetic images"
    else:
        views, source = photographs(pairs, data_dir), "CIFAR-10"
    start = time.perf_counter()
    K = TiledGram(infinite_kernel(MLP(depth=3)), views, dtype="float32", progress=sys.stderr.isatty())
    evaluated = time.perf_counter()
    modes = leading_modes(K, 50)
    solved = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    residual = (mode_residuals(K, modes) / modes.eigenvalues).max()
    return (
        f"n = {len(views) // 2:,} pairs of {source}, fully connected NTK of depth 3, float32 tiles of "
        f"{K.nbytes / 2**30:.1f} GiB: Gram {evaluated - start:.0f} s, 50 modes {solved - evaluated:.0f} s, "
        f"peak {peak:.1f} GiB; γ₁ = {modes.eigenvalues[0]:.4g}, γ₅₀ = {modes.eigenvalues[-1]:.4g}, "
        f"largest relative residual {residual:.0e}"
    )


def photographs(pairs: int, data_dir: Path) -> np.ndarray:
    """Two views of each of so many images of CIFAR-10, training images first and test images if they are too few."""
    images = load_images("cifar10", data_dir).images
    if len(images) < pairs:
        images = np.concatenate([images, load_images("cifar10", data_dir, split="test").images])
    views = get_preset(default_preset("cifar10"), images.shape[1:])
    return make_pairs(images, views, jax.random.key(0), num_pairs=pairs).stacked.astype(np.float32)
