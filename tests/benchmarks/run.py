"""One command for all measurements: `uv run python tests/benchmarks/run.py [--quick] [--only NAME] [--large PAIRS]`.

Prints the table of docs/benchmarks.md: ours, peer, ratio, and how far the machine's limit is; then the exponents with
which the cost grows. `--figure FILE` draws the curves, `--large 20000 [--data-dir FOLDER]` runs the large case alone.
"""

import argparse
import os
import platform
from pathlib import Path

import bench_flow
import bench_kernels
import bench_large
import bench_modes
import jax
import timing
from matplotlib import pyplot as plt

SECTIONS = {
    "fully-connected": bench_kernels.fully_connected,
    "convolutional": bench_kernels.convolutional,
    "modes": bench_modes.against_dense,
    "kernel-pca": bench_modes.against_kernel_pca,
    "flow": bench_flow.against_raw_weights,
    "training": bench_flow.against_training,
}
CURVES = {"kernels": bench_kernels.exponents, "modes": bench_modes.exponents, "flow": bench_flow.exponents}


def draw(curves, path):
    figure, axes = plt.subplots(2, -(-len(curves) // 2), figsize=(10, 5.5), layout="constrained")
    for ax, (name, (sizes, times)) in zip(axes.ravel(), curves.items(), strict=False):
        ax.loglog(sizes, times, "o-")
        what, against = name.rsplit(", ", 1)
        ax.set(title=f"{what}\nexponent {timing.exponent(sizes, times):.2f}", ylabel=against.split(" against ")[0])
        ax.set_xlabel(against.split(" against ")[1])
        ax.title.set_fontsize(8)
    for ax in axes.ravel()[len(curves) :]:
        ax.set_axis_off()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repetitions")
    parser.add_argument("--only", choices=[*SECTIONS, "exponents"], action="append")
    parser.add_argument("--large", type=int, metavar="PAIRS", help="the large case alone")
    parser.add_argument("--data-dir", type=Path, help="folder with the files of CIFAR-10, for --large")
    parser.add_argument("--figure", type=Path, help="where to draw the curves")
    settings = parser.parse_args()
    device = jax.devices()[0]
    print(
        f"{device.device_kind} ({device.platform}), {os.cpu_count()} cores, {platform.machine()}, "
        f"JAX {jax.__version__}\n"
    )
    if settings.large:
        print(bench_large.large(settings.large, settings.data_dir))
        return
    wanted = settings.only or [*SECTIONS, "exponents"]
    rows = []
    for name in SECTIONS:
        if name in wanted:
            rows += SECTIONS[name](settings.quick)
            print(timing.table(rows[-1:]) if len(rows) == 1 else timing.table(rows).splitlines()[-1], flush=True)
    print("\n" + timing.table(rows))
    if "exponents" in wanted:
        curves = {}
        for measure in CURVES.values():
            curves |= measure(settings.quick)
        print("\n" + "\n".join(f"- {name}: exponent {timing.exponent(*curve):.2f}" for name, curve in curves.items()))
        if settings.figure:
            draw(curves, settings.figure)


if __name__ == "__main__":
    main()
