"""The step of bench_training in PyTorch: channels last, the same network, loss, optimiser and kind of views."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Basic block of ResNet-18."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(x), inplace=True)


def network(width: float, hidden: int, dim: int) -> nn.Module:
    """ResNet-18 with the CIFAR stem and the projector."""
    channels = [round(64 * 2**stage * width) for stage in range(4)]
    layers = [nn.Conv2d(3, channels[0], 3, 1, 1, bias=False), nn.BatchNorm2d(channels[0]), nn.ReLU(inplace=True)]
    inputs = channels[0]
    for stage, outputs in enumerate(channels):
        for block in range(2):
            layers.append(Block(inputs, outputs, 2 if stage and not block else 1))
            inputs = outputs
    head = [nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)]
    head += [nn.Linear(hidden, dim, bias=False)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)


def training_step(
    images: np.ndarray, width: float, batch: int, hidden: int, dim: int, threads: int
) -> Callable[[], float]:
    """One update a call."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    data = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    model = network(width, hidden, dim).to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)

    def step() -> float:
        chosen = data[torch.randperm(len(data))[:batch]]
        x = torch.cat([views(chosen), views(chosen)])
        x = ((x - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)
        optimiser.zero_grad(set_to_none=True)
        loss = barlow_twins(model(x))
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def barlow_twins(F: torch.Tensor, weight: float = 0.0051) -> torch.Tensor:
    z, y = ((half - half.mean(0)) / (half.var(0, unbiased=False) + 1e-5).sqrt() for half in F.chunk(2))
    error = (z.T @ y / len(z) - torch.eye(F.shape[1], device=F.device)).square()
    diagonal = error.diagonal().sum()
    return diagonal + weight * (error.sum() - diagonal)


def views(x: torch.Tensor) -> torch.Tensor:
    """SimCLR's views for CIFAR-10: resized crop, flip, jitter, grey. One order of the colour changes for the batch."""
    n, _, size, _ = x.shape
    area = size**2 * torch.empty(n, 10).uniform_(0.08, 1)
    ratio = torch.empty(n, 10).uniform_(math.log(3 / 4), math.log(4 / 3)).exp()
    height, width = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    fits = (height <= size) & (width <= size)
    first = fits.int().argmax(1, keepdim=True)
    found = fits.any(1)
    height = torch.where(found, height.gather(1, first)[:, 0], torch.tensor(float(size)))
    width = torch.where(found, width.gather(1, first)[:, 0], torch.tensor(float(size)))
    top, left = (torch.rand(n) * (size - height + 1)).floor(), (torch.rand(n) * (size - width + 1)).floor()
    x = torch.einsum("nip,ncpq,njq->ncij", _resize(height, top, size), x, _resize(width, left, size)).clamp(0, 1)
    x = torch.where((torch.rand(n) < 0.5)[:, None, None, None], x.flip(3), x)
    jittered = x
    for change in torch.randperm(4).tolist():
        jittered = _change(jittered, change)
    x = torch.where((torch.rand(n) < 0.8)[:, None, None, None], jittered, x)
    return torch.where((torch.rand(n) < 0.2)[:, None, None, None], _luma(x).expand_as(x), x)


def _resize(extent: torch.Tensor, start: torch.Tensor, size: int) -> torch.Tensor:
    """Weights (n, out, in) of an antialiased cubic resize (Keys, a = −1/2) of a window to `size` pixels."""
    scale = extent[:, None, None] / size
    centre = start[:, None, None] + (torch.arange(size)[None, :, None] + 0.5) * scale - 0.5
    t = (torch.arange(size)[None, None, :] - centre).abs() / scale.clamp(min=1)
    near, far = ((1.5 * t - 2.5) * t) * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    weights = torch.where(t < 1, near, torch.where(t < 2, far, torch.zeros(())))
    return weights / weights.sum(2, keepdim=True)


def _factor(n: int, strength: float) -> torch.Tensor:
    return torch.empty(n, 1, 1, 1).uniform_(1 - strength, 1 + strength)


def _luma(x: torch.Tensor) -> torch.Tensor:
    return 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]


def _change(x: torch.Tensor, which: int) -> torch.Tensor:
    n = len(x)
    if which == 0:
        return (x * _factor(n, 0.4)).clamp(0, 1)
    if which in (1, 2):
        towards = _luma(x) if which == 2 else _luma(x).mean((1, 2, 3), keepdim=True)
        return (towards + _factor(n, 0.4) * (x - towards)).clamp(0, 1)
    red, green, blue = x.unbind(1)
    value = x.amax(1)
    chroma = value - x.amin(1)
    safe = torch.where(chroma > 0, chroma, 1.0)
    sextant = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turn = torch.empty(n, 1, 1).uniform_(-0.1, 0.1)
    channels = []
    for offset in (5, 3, 1):
        k = (offset + sextant + 6 * turn).remainder(6)
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, 1)
