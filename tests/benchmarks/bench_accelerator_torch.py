"""The update of bench_accelerator in PyTorch: torch.compile, channels last, autocast, without augmentation.

    PYTHON tests/benchmarks/bench_accelerator_torch.py --depth 18 --side 32 --batch 512 --precision bfloat16

One number: seconds of an update, the median after a warm-up. PYTHON has a PyTorch that sees the card.
"""

import argparse
import time

import torch
from bench_training_torch import Block, barlow_twins
from torch import nn
from torch.nn import functional

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
WARM_UP = 10


class Bottleneck(nn.Module):
    """Block of ResNet-50: 1×1, 3×3 and 1×1 to four times the channels."""

    def __init__(self, inputs: int, channels: int, stride: int):
        super().__init__()
        outputs = 4 * channels
        self.conv1, self.norm1 = nn.Conv2d(inputs, channels, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv3, self.norm3 = nn.Conv2d(channels, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.norm1(self.conv1(x)))
        y = functional.relu(self.norm2(self.conv2(y)))
        return functional.relu(self.norm3(self.conv3(y)) + self.shortcut(x))


def network(depth: int, stem: str, hidden: tuple[int, ...], dim: int) -> nn.Module:
    """ResNet with a projector of the given layers."""
    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False)] if stem == "cifar" else [nn.Conv2d(3, 64, 7, 2, 3, bias=False)]
    layers += [nn.BatchNorm2d(64), nn.ReLU()] + ([] if stem == "cifar" else [nn.MaxPool2d(3, 2, 1)])
    inputs = 64
    for stage, count in enumerate(BLOCKS[depth]):
        channels = 64 * 2**stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            layers.append((Bottleneck if depth == 50 else Block)(inputs, channels, stride))
            inputs = 4 * channels if depth == 50 else channels
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    for width in hidden:
        layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, dim, bias=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, choices=BLOCKS, default=18)
    parser.add_argument("--stem", choices=["cifar", "imagenet"], default="cifar")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--projector", type=int, nargs="+", default=[2048, 2048])
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30)
    settings = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = network(settings.depth, settings.stem, tuple(settings.projector), settings.dim)
    model = torch.compile(model.to(device, memory_format=torch.channels_last))
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    x = torch.rand(2 * settings.batch, 3, settings.side, settings.side, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(WARM_UP + settings.steps):
        _wait(device)
        start = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            F = model(x)
        loss = barlow_twins(F.float())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        _wait(device)
        times.append(time.perf_counter() - start)
    print(sorted(times[WARM_UP:])[settings.steps // 2])


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
