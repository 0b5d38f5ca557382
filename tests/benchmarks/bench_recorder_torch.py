"""What the recorder costs in a PyTorch loop at its default cadence: `python tests/benchmarks/bench_recorder_torch.py`.

It trains the ResNet-18 of `bench_training_torch` at a quarter of its width on random images, and prints the time of the
records, with the embedding of the probe batch, as a share of the time of the loop. It needs PyTorch.
"""

import argparse
import time

import torch
from bench_training_torch import network

from dynamics.callbacks import TorchSpectrum


def share(steps: int, batch: int, probe_views: int, width: float, dim: int) -> float:
    """Share of the loop's wall-clock time that goes to records, which are made while the next step runs."""
    torch.manual_seed(0)
    model = network(width, 256, dim)
    images, probe = torch.randn(2 * batch, 3, 32, 32), torch.randn(probe_views, 3, 32, 32)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    spectrum = TorchSpectrum(model, probe, steps)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model(images).square().mean().backward()
        optimizer.step()

    step()  # what is prepared once does not count
    spectrum.attach(optimizer)
    spectrum.recorder.wait()
    before, began = spectrum.recorder.seconds, time.perf_counter()
    for _ in range(steps):
        step()
    spectrum.recorder.wait()
    return (spectrum.recorder.seconds - before) / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=256, help="pairs in a batch")
    parser.add_argument("--probe", type=int, default=128, help="views in the probe batch")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--dim", type=int, default=64)
    arguments = parser.parse_args()
    found = share(arguments.steps, arguments.batch, arguments.probe, arguments.width, arguments.dim)
    print(f"{100 * found:.2f} % of the loop's time goes to records ({arguments.steps} steps, {vars(arguments)})")


if __name__ == "__main__":
    main()
