"""Infinite-width kernels against neural-tangents and against the arithmetic that cannot be avoided."""

import jax
import jax.numpy as jnp
import numpy as np
from timing import Row, compare, median

from dynamics.kernels import gram, infinite_kernel
from dynamics.kernels.expectations import EXPECTATIONS
from dynamics.networks import MLP, ConvNet, ResNet


def images(count, side, rng, channels=3):
    return rng.normal(size=(count, side, side, channels)).astype(np.float32)


def fully_connected(quick: bool) -> list[Row]:
    """X Xᵀ of the same views is the matmul limit."""
    rng, rows = np.random.default_rng(0), []
    product = jax.jit(lambda X: X @ X.T)
    fused, peer = (infinite_kernel(MLP(depth=3), backend=name) for name in ("fused", "neural-tangents"))
    repetitions = 5 if quick else 15
    for views in (2000,) if quick else (2000, 4000):
        x = rng.normal(size=(views, 3072)).astype(np.float32)
        X = jnp.asarray(x)
        peers = {"X Xᵀ": lambda X=X: product(X), "neural-tangents, jitted": lambda X=X: peer(X, X)}
        what = f"fully connected NTK, depth 3, N = {views}, d = 3072, float32"
        rows += compare(f"{what}: `gram`", {"gram": lambda x=x: gram(fused, x, dtype="float32")} | peers, repetitions)
        rows += compare(f"{what}: one call", {"fused": lambda X=X: fused(X, X)} | peers, repetitions)
    return [Row(r.what, r.ours, r.peer, r.theirs, r.ratio, _matmul(r, rows)) for r in rows]


def _matmul(row: Row, rows: list[Row]) -> str:
    fraction = next(r.ratio for r in rows if r.what == row.what and r.peer == "X Xᵀ")
    return f"{fraction:.0%} of the matmul's speed"


def convolutional(quick: bool) -> list[Row]:
    """Limit: the activations' arithmetic alone, on arrays that stay in the cache."""
    rng, rows = np.random.default_rng(0), []
    cost = _expectation_seconds("relu")
    # how many activations at the full and at half the resolution
    cases = [
        ("ConvNet-Flatten NTK, depth 3", ConvNet(depth=3), 1, {8: 256, 16: 128}, [(3, 1)]),
        ("ResNet-Flatten NTK, 2 stages", ResNet(), 1, {8: 128, 16: 64}, [(3, 1), (2, 2)]),
        ("ConvNet-pool NTK, depth 3", ConvNet(depth=3, head="pool"), 2, {8: 24, 16: 8}, [(3, 1)]),
        ("ResNet-pool NTK, 2 stages", ResNet(head="pool"), 2, {8: 24, 16: 8}, [(3, 1), (2, 2)]),
    ]
    for name, architecture, power, sizes, activations in cases:
        for side, count in sizes.items():
            if quick and side > 8:
                continue
            x = jnp.asarray(images(count, side, rng))
            fused, peer = (infinite_kernel(architecture, backend=b) for b in ("fused", "neural-tangents"))
            calls = {"fused": lambda f=fused, x=x: f(x, x), "neural-tangents, jitted": lambda f=peer, x=x: f(x, x)}
            what = f"{name}, {side}×{side}, {count} × {count} views, float32"
            (row,) = compare(what, calls, 3 if power == 2 else 7)
            entries = sum(number * (side / shrunk) ** (2 * power) for number, shrunk in activations)
            least = cost * entries * count**2
            limit = f"{least / row.ours:.0%} is arithmetic of activations"
            rows.append(Row(row.what, row.ours, row.peer, row.theirs, row.ratio, limit))
    return rows


def _expectation_seconds(kind: str) -> float:
    """Seconds an entry of one activation, NNGP and NTK, with everything in the cache."""
    φ = EXPECTATIONS[kind]
    k, s = jnp.full((64, 512), 0.3, jnp.float32), jnp.ones(512, jnp.float32)

    @jax.jit
    def many(k, t):
        def step(_, state):
            k, t = state
            φφ, dφdφ = φ.pair(k, s, s, s, s)
            return φφ, t * dφdφ

        return jax.lax.fori_loop(0, 100, step, (k, t))

    return median(lambda: many(k, k), 9) / (100 * k.size)
