"""Training at the field's scale on one accelerator: images/s and peak memory against what the device can do.

    uv run python tests/benchmarks/bench_accelerator.py            # ResNet-18 on 32×32, ResNet-50 on 96×96
    uv run python tests/benchmarks/bench_accelerator.py --tiny     # shows that it works, on a CPU
    uv run python tests/benchmarks/bench_accelerator.py --torch-python PYTHON   # torch.compile beside it

The whole update is timed, augmentation and optimiser included, on synthetic images of the shapes of CIFAR-10 and
STL-10 (the time does not depend on what they show). The ideal is the longest of: the operations that XLA counts for the
update at the speed of the device's own large matrix product in the same precision, and the bytes that it counts at the
speed of the device's own copy. Both speeds are measured here.
"""

import argparse
import subprocess
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from bench_training import check_torch
from timing import median

from dynamics.recipe.config import Recipe, recipe_preset
from dynamics.recipe.preparation import PreparedRecipe, prepare, recipe_encoder

CASES = {
    "ResNet-18, 32×32": {"network": "resnet18", "stem": "cifar", "batch": 512},
    "ResNet-50, 96×96": {"network": "resnet50", "stem": "imagenet", "batch": 256},
}
SIDES = {"ResNet-18, 32×32": 32, "ResNet-50, 96×96": 96}
TINY = {"network": "resnet10", "width": 0.0625, "batch": 8, "projector": (16,), "dim": 4}
REPETITIONS = 10


def matmul_ceiling(dtype: jnp.dtype, size: int) -> float:
    """Operations per second of a square matrix product, in the precision that convolutions get by default."""
    a, product = jnp.ones((size, size), dtype), jax.jit(jnp.matmul)
    return 2 * size**3 / median(lambda: product(a, a), REPETITIONS)


def copy_ceiling(size: int) -> float:
    """Bytes per second read and written by x + 1 of `size` float32 numbers."""
    x, add = jnp.ones(size, jnp.float32), jax.jit(lambda x: x + 1)
    return 8 * size / median(lambda: add(x), REPETITIONS)


def synthetic(recipe: Recipe, side: int, count: int) -> PreparedRecipe:
    """The recipe on random images of a given size, so that no data set is needed."""
    from dynamics.recipe import preparation as practical
    from dynamics.views import Images

    pixels = np.random.default_rng(0).uniform(size=(count, side, side, 3)).astype(np.float32)
    load, practical.load_images = practical.load_images, lambda *_, **__: Images(pixels, None, "synthetic")
    try:
        return prepare(recipe, jax.devices()[:1])
    finally:
        practical.load_images = load


def measure(name: str, recipe: Recipe, side: int, steps: int, matmul: float, copy: float) -> str:
    """One row of the table."""
    prepared = synthetic(recipe, side, 4 * recipe.batch)
    state, images = prepared.state, prepared.images
    compiled = jax.jit(prepared.update, donate_argnums=0).lower(state, images).compile()
    cost = compiled.cost_analysis() or {}
    cost = cost[0] if isinstance(cost, list) else cost
    memory = compiled.memory_analysis()

    def update() -> dict[str, jax.Array]:
        nonlocal state
        state, metrics = compiled(state, images)
        return metrics

    took = median(update, steps)
    ideal = max(cost.get("flops", 0.0) / matmul, cost.get("bytes accessed", 0.0) / copy)
    bound = "arithmetic" if cost.get("flops", 0.0) / matmul >= ideal else "memory"
    stats = jax.devices()[0].memory_stats() or {}
    peak = stats.get("peak_bytes_in_use") or memory.temp_size_in_bytes + memory.argument_size_in_bytes
    return (
        f"| {name}, {recipe.precision}, batch {recipe.batch} | {recipe.batch / took:,.0f} | {1e3 * took:.1f} ms | "
        f"{1e3 * ideal:.1f} ms ({bound}) | {ideal / took:.0%} | {peak / 2**30:.2f} GiB |"
    )


def peer(python: str, name: str, recipe: Recipe, side: int, steps: int) -> str:
    """A row of the same network under torch.compile, channels last, without augmentation, in a process of its own."""
    head = recipe_encoder(recipe).projector_head
    script = Path(__file__).with_name("bench_accelerator_torch.py")
    settings = {"depth": recipe.network.removeprefix("resnet"), "stem": recipe.stem, "side": side, "steps": steps}
    settings |= {"batch": recipe.batch, "precision": recipe.precision, "dim": head.dim}
    flags = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    flags += ["--projector", *map(str, head.hidden)]
    done = subprocess.run([python, str(script), *flags], capture_output=True, text=True)
    if done.returncode:
        return f"| {name}, torch.compile | failed: {done.stderr.strip().splitlines()[-1]} | | | | |"
    took = float(done.stdout.split()[-1])
    what = f"{name}, {recipe.precision}, batch {recipe.batch}, torch.compile"
    return f"| {what} | {recipe.batch / took:,.0f} | {1e3 * took:.1f} ms | | | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="tiny networks and matrices")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--torch-python", help="a Python whose PyTorch sees the card")
    arguments = parser.parse_args()
    if arguments.torch_python:
        check_torch(arguments.torch_python)
    device = jax.devices()[0]
    size, copied = (512, 2**20) if arguments.tiny else (8192, 2**28)
    copy = copy_ceiling(copied)
    matmul = {name: matmul_ceiling(jnp.dtype(name), size) for name in ("float32", "bfloat16")}
    print(f"{device.device_kind} ({device.platform}), JAX {jax.__version__}")
    print(
        f"ceilings: matmul {matmul['float32'] / 1e12:.3g} TFLOP/s in float32 (default precision), "
        f"{matmul['bfloat16'] / 1e12:.3g} in bfloat16; copy {copy / 1e9:.3g} GB/s\n"
    )
    print("| update | images/s | time | ideal | ideal / time | peak memory |\n|---|---:|---:|---:|---:|---:|")
    for name, settings in CASES.items():
        for precision in matmul:
            recipe = replace(recipe_preset("gpu"), precision=precision, augmentation="simclr", **settings)
            side, steps = SIDES[name], arguments.steps
            if arguments.tiny:
                recipe, side, steps = replace(recipe, **TINY), 16, 2
            print(measure(name, recipe, side, steps, matmul[precision], copy), flush=True)
            if arguments.torch_python:
                print(peer(arguments.torch_python, name, recipe, side, steps), flush=True)


if __name__ == "__main__":
    main()
