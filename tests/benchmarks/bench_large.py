"""What only a large machine or much patience did before: Gram matrices and modes of many pairs, pooled kernels."""

import resource
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from bench_kernels import images
from bench_modes import MODES, crops
from timing import median

from dynamics.kernels import TiledGram, gram, infinite_kernel
from dynamics.modes.lanczos import leading_modes, mode_residuals
from dynamics.networks import MLP, ResNet
from dynamics.views import load_images, make_pairs
from dynamics.views.presets import default_augmentation
from dynamics.views.written import get_augmentation


def fully_connected(pairs: int, data_dir: Path | None) -> str:
    """Tangent kernel and leading modes, with their time and memory."""
    if data_dir is None:
        views, source = crops(pairs), "synthetic images"
    else:
        views, source = photographs(pairs, data_dir), "CIFAR-10"
    speed = matmul_speed()
    start = time.perf_counter()
    K = TiledGram(infinite_kernel(MLP(depth=3)), views, dtype="float32", progress=sys.stderr.isatty())
    evaluated = time.perf_counter()
    modes = leading_modes(K, MODES)
    solved = time.perf_counter()
    residual = (mode_residuals(K, modes) / modes.eigenvalues).max()
    least = len(views) ** 2 * views[0].size / speed  # half of the products x·y, two operations each
    return (
        f"n = {len(views) // 2:,} pairs of {source}, fully connected NTK of depth 3, float32, half of the matrix in "
        f"{K.nbytes / 2**30:.1f} GiB: Gram {evaluated - start:.0f} s ({least / (evaluated - start):.0%} of "
        f"the speed of a matmul, {speed / 1e12:.2g} TFLOP/s), {MODES} modes {solved - evaluated:.0f} s, "
        f"peak {peak_memory()}; "
        f"γ₁ = {modes.eigenvalues[0]:.4g}, γ₅₀ = {modes.eigenvalues[-1]:.4g}, largest relative residual {residual:.0e}"
    )


def pooled(views: int, side: int) -> str:
    """Residual kernel with global average pooling, O(pixels²) a pair of views."""
    x = images(views, side, np.random.default_rng(0))
    kernel = infinite_kernel(ResNet(head="pool"))
    clock = [time.perf_counter()]
    gram(kernel, x, dtype="float32", progress=lambda done, total: clock.append(time.perf_counter()))
    tiles = len(clock) - 1
    seconds = (clock[-1] - clock[1]) * tiles / (tiles - 1) if tiles > 1 else float("nan")
    return (
        f"{views} views of {side}×{side}, ResNet-pool NTK, float32: {clock[-1] - clock[0]:.1f} s, {seconds:.1f} s "
        f"without compilation, {2 * seconds / (views * (views + 1)) * 1e3:.3g} ms a pair of views, peak {peak_memory()}"
    )


def matmul_speed() -> float:
    """Operations a second of X Xᵀ in full float32."""
    size = 2048 if jax.default_backend() == "cpu" else 8192
    X = jnp.asarray(np.random.default_rng(0).normal(size=(size, 3072)), jnp.float32)
    product = jax.jit(lambda X: jnp.matmul(X, X.T, precision="highest"))
    return 2 * size**2 * 3072 / median(lambda: product(X), 9)


def peak_memory() -> str:
    """Of the process, and of the accelerator where there is one."""
    host = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB"
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" not in statistics:
        return host
    return f"{host} and {statistics['peak_bytes_in_use'] / 2**30:.1f} GiB on the device"


def photographs(pairs: int, data_dir: Path) -> np.ndarray:
    """Two views of each of so many images of CIFAR-10, training images first and test images if they are too few."""
    found = load_images("cifar10", data_dir).images
    if len(found) < pairs:
        found = np.concatenate([found, load_images("cifar10", data_dir, split="test").images])
    views = get_augmentation(default_augmentation("cifar10"), found.shape[1:])
    return make_pairs(found, views, jax.random.key(0), num_pairs=pairs).stacked.astype(np.float32)
