"""A step of self-supervised training on a CPU against PyTorch, and what recording costs.

    uv run python tests/benchmarks/bench_training.py --torch-python /path/to/python   # with PyTorch, if not this one
    uv run python tests/benchmarks/bench_training.py --only recorder

ResNet-18 with the CIFAR stem and batch normalisation, projector, crop, flip and colour jitter on the way, Barlow Twins
with standardised embeddings, SGD with momentum and weight decay; batch 128 (256 views) of 32×32 images, widths 1, 1/2
and 1/4. Each library in a process of its own, which keep silent while the other works; they take turns, step by step,
and what counts is the median of the ratios of neighbouring steps, since a busy machine is busy for both.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np

CLASSES = {"jax": "bench_training_jax", "torch": "bench_training_torch"}
HIDDEN, DIM, IMAGES = 512, 128, 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["step", "recorder"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--widths", type=float, nargs="+", default=[1.0, 0.5, 0.25])
    parser.add_argument("--pairs", type=int, default=10, help="timed steps of each, in turns")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--torch-python", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--worker", choices=CLASSES, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.worker:
        work(settings)
        return
    if settings.only != "step":
        recorder_cost(settings)
    if settings.only != "recorder":
        check_torch(settings.torch_python)
        print("| width | dynamics, s a step | PyTorch, s a step | dynamics / PyTorch, median (quartiles) |")
        print("|---|---|---|---|")
        for width in settings.widths:
            print(against_torch(settings, width), flush=True)


def check_torch(python: str) -> None:
    """End with one sentence if there is no PyTorch to compare with."""
    found = shutil.which(python) is not None
    if not found or subprocess.run([python, "-c", "import torch"], capture_output=True).returncode:
        sys.exit(f"{python} has no PyTorch to compare with; name one that has with --torch-python.")


def against_torch(settings: argparse.Namespace, width: float) -> str:
    """One row of the table: both workers by turns."""
    workers = {
        name: Worker(sys.executable if name == "jax" else settings.torch_python, name, width, settings)
        for name in CLASSES
    }
    for worker in workers.values():
        for _ in range(3):
            worker.step()
    times = {name: [] for name in workers}
    for turn in range(settings.pairs):
        for name in sorted(workers, reverse=turn % 2 == 1):  # neither is always the first
            times[name].append(workers[name].step())
    for worker in workers.values():
        worker.close()
    ours, theirs = np.array(times["jax"]), np.array(times["torch"])
    low, middle, high = np.percentile(ours / theirs, [25, 50, 75])
    return f"| {width:g} | {np.median(ours):.3f} | {np.median(theirs):.3f} | {middle:.2f} ({low:.2f}–{high:.2f}) |"


class Worker:
    """A process that does one training step whenever it is asked to."""

    def __init__(self, python: str, name: str, width: float, settings: argparse.Namespace):
        command = [python, __file__, "--worker", name, "--widths", str(width), "--batch", str(settings.batch)]
        command += ["--threads", str(settings.threads)]
        # threads that wait must not take the core that the other library works on
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(settings.threads)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def step(self) -> float:
        """Seconds of one step."""
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def work(settings: argparse.Namespace) -> None:
    """The worker's side: a step for every line that comes in, its seconds on a line that goes out."""
    path = os.path.join(os.path.dirname(__file__), CLASSES[settings.worker] + ".py")
    spec = importlib.util.spec_from_file_location(CLASSES[settings.worker], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    images = np.random.default_rng(0).uniform(size=(IMAGES, 32, 32, 3)).astype(np.float32)
    step = module.training_step(images, settings.widths[0], settings.batch, HIDDEN, DIM, settings.threads)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(time.perf_counter() - start, flush=True)


def recorder_cost(settings: argparse.Namespace) -> None:
    """Share of the time of training that records take at the default cadence, in a run of the steps at hand."""
    import bench_training_jax

    for width in settings.widths:
        print(bench_training_jax.recorder_share(width, settings.batch, HIDDEN, DIM), flush=True)


if __name__ == "__main__":
    main()
