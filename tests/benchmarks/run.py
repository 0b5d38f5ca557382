"""One command for all measurements: `uv run python tests/benchmarks/run.py [--quick] [--only NAME]`.

Prints the table of docs/benchmarks.md: ours, peer, ratio, and how far the machine's limit is; then the exponents with
which the cost grows. It measures whatever device JAX has. Other measurements alone:

--large PAIRS [--data-dir DIR]       Gram matrix and modes of many pairs, of CIFAR-10 if its files are there
--pooled VIEWS [--side PIXELS]       residual kernel with pooling
--accelerator [--data-dir DIR]       the table, 50,000 pairs, and 200 pooled views of 32×32
--commands SIMULATE TRAIN            two command lines, the forecast's against the training's
--out FOLDER [--redraw]              where to put the curves of cost: cost.json, .png and .pdf
"""

import argparse
import os
import platform
from pathlib import Path

import bench_flow
import bench_kernels
import bench_large
import bench_modes
import bench_saving
import curves
import jax
import timing

from dynamics.support.compilation_cache import keep_compiled

SECTIONS = {
    "fully-connected": bench_kernels.fully_connected,
    "convolutional": bench_kernels.convolutional,
    "modes": bench_modes.against_dense,
    "kernel-pca": bench_modes.against_kernel_pca,
    "flow": bench_flow.against_raw_weights,
    "training": bench_flow.against_training,
    "saving": bench_saving.against_compression,
    "moving-kernel": bench_flow.moving_kernel_against_training,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repetitions")
    parser.add_argument("--only", choices=[*SECTIONS, "exponents"], action="append")
    parser.add_argument("--large", type=int, metavar="PAIRS")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder with the files of CIFAR-10")
    parser.add_argument("--pooled", type=int, metavar="VIEWS")
    parser.add_argument("--side", type=int, default=32, metavar="PIXELS")
    parser.add_argument("--accelerator", action="store_true")
    parser.add_argument("--commands", nargs=2, metavar=("SIMULATE", "TRAIN"))
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    parser.add_argument("--redraw", action="store_true")
    settings = parser.parse_args()
    if settings.redraw:
        curves.save(*_with_path(settings.out / "cost"))
        return
    keep_compiled()
    machine = _machine()
    print(machine + "\n")
    alone = not settings.accelerator
    if settings.accelerator:
        settings.large, settings.pooled = settings.large or 50_000, settings.pooled or 200
        _table(settings, machine)
    if settings.large:
        print(bench_large.fully_connected(settings.large, settings.data_dir), flush=True)
    if settings.pooled:
        print(bench_large.pooled(settings.pooled, settings.side), flush=True)
    if settings.commands:
        print(timing.table([bench_flow.against_command(*settings.commands)]))
    if alone and not (settings.large or settings.pooled or settings.commands):
        _table(settings, machine)


def _table(settings: argparse.Namespace, machine: str) -> None:
    wanted = settings.only or [*SECTIONS, "exponents"]
    rows = []
    for name in SECTIONS:
        if name in wanted:
            new = SECTIONS[name](settings.quick)
            rows += new
            print("\n".join(timing.table(new).splitlines()[0 if rows == new else 2 :]), flush=True)
    if "exponents" in wanted:
        measured = curves.measure(settings.quick)
        print("\n" + curves.table(measured))
        if settings.out:
            curves.save(measured, settings.out / "cost", machine)


def _machine() -> str:
    device = jax.devices()[0]
    number = f"{jax.device_count()} × {device.device_kind}" if device.platform != "cpu" else f"{os.cpu_count()} cores"
    return f"{number}, {platform.machine()}, JAX {jax.__version__}"


def _with_path(path: Path) -> tuple[list[curves.Curve], Path, str]:
    measured, machine = curves.load(path)
    return measured, path, machine


if __name__ == "__main__":
    main()
