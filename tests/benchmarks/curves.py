"""How the cost grows with the number of pairs, pixels and dimensions and with the range of the spectrum."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import jax.numpy as jnp
import matplotlib
import numpy as np
from bench_kernels import images
from bench_modes import MODES, crops
from matplotlib import pyplot as plt
from timing import exponent, processor_seconds

from dynamics.drawing.axes import label_log_axis, legend_above
from dynamics.drawing.trajectories import style
from dynamics.flow import kernel_flow
from dynamics.kernels import gram, infinite_kernel
from dynamics.modes import ContrastiveModes
from dynamics.modes.lanczos import leading_modes
from dynamics.networks import MLP, ResNet
from dynamics.support.files import save_figure, save_json

PAIRS, PIXELS, DIMENSIONS, RANGE = "pairs n", "pixels", "dimensions d", "γ₁ / γ_d"


@dataclass(frozen=True)
class Curve:
    """Seconds of processor time against sizes; `exponent` is the slope of their logarithms."""

    against: str
    what: str
    sizes: list[float]
    seconds: list[float]

    @property
    def exponent(self) -> float:
        return exponent(self.sizes, self.seconds)

    def __str__(self) -> str:
        span = f"{self.sizes[0]:g} … {self.sizes[-1]:g}"
        return f"| {self.what} | {self.against} | {span} | {self.exponent:.2f} |"


def measure(quick: bool) -> list[Curve]:
    return [*_pairs(quick), *_pixels(quick), *_flow(quick)]


def _pairs(quick: bool) -> list[Curve]:
    kernel, sizes = infinite_kernel(MLP(depth=3)), [250, 500, 1000] if quick else [250, 500, 1000, 2000]
    evaluation, solution = [], []
    for pairs in sizes:
        x = crops(pairs)
        evaluation.append(processor_seconds(lambda x=x: gram(kernel, x, dtype="float32")))
        K = gram(kernel, x)
        solution.append(processor_seconds(lambda K=K: leading_modes(K, MODES)))
    return [
        Curve(PAIRS, "fully connected Gram matrix, float32", sizes, evaluation),
        Curve(PAIRS, f"{MODES} modes, float64", sizes, solution),
    ]


def _pixels(quick: bool) -> list[Curve]:
    """Seconds a pair of views."""
    rng, curves = np.random.default_rng(0), []
    for head, sides, views in (("flatten", [4, 8, 16, 32], 64), ("pool", [4, 8, 12] if quick else [4, 8, 16], 8)):
        kernel, times = infinite_kernel(ResNet(head=head)), []
        for side in sides:
            x = jnp.asarray(images(views, side, rng))
            times.append(processor_seconds(lambda k=kernel, x=x: k(x, x)) / views**2)
        curves.append(Curve(PIXELS, f"ResNet-{head} kernel, a pair of views", [side**2 for side in sides], times))
    return curves


def _flow(quick: bool) -> list[Curve]:
    """Modes with prescribed eigenvalues."""
    rng, views, m = np.random.default_rng(0), 256, 100
    Q = np.linalg.qr(rng.normal(size=(views, m)))[0]

    def flow(gamma: np.ndarray, dim: int) -> float:
        modes = ContrastiveModes(gamma, Q, Q, np.zeros(m))
        F0 = 1e-4 * Q @ rng.normal(size=(m, dim))
        times = np.linspace(0, 3 / gamma[dim - 1], 50)
        return processor_seconds(lambda: kernel_flow(modes, F0, times))

    dims = [4, 8, 16, 32]
    ratios = [10.0, 30.0, 100.0, 300.0] if quick else [10.0, 30.0, 100.0, 300.0, 1000.0]
    return [
        Curve(DIMENSIONS, "flow, γ₁/γ_d = 10", dims, [flow(10.0 ** (-np.arange(m) / (d - 1)), d) for d in dims]),
        Curve(RANGE, "flow, d = 4", ratios, [flow(ratio ** (-np.arange(m) / 3), 4) for ratio in ratios]),
    ]


def table(curves: list[Curve]) -> str:
    return "\n".join(["| what | against | range | exponent |", "|---|---|---|---:|", *map(str, curves)])


def save(curves: list[Curve], path: Path, machine: str) -> None:
    """Numbers and figure: PATH.json, PATH.png, PATH.pdf."""
    save_json(path.with_suffix(".json"), {"machine": machine, "curves": [asdict(curve) for curve in curves]})
    with style():
        save_figure(draw(curves), path)


def load(path: Path) -> tuple[list[Curve], str]:
    content = json.loads(path.with_suffix(".json").read_text())
    return [Curve(**curve) for curve in content["curves"]], content["machine"]


def _set(text: str) -> str:
    """The same with its symbols typeset."""
    return text.replace("γ₁", r"$\gamma_1$").replace("γ_d", r"$\gamma_d$")


def draw(curves: list[Curve]) -> plt.Figure:
    """One panel for everything that the cost grows with; dotted the fitted power."""
    panels = list(dict.fromkeys(curve.against for curve in curves))
    figure, axes = plt.subplots(1, len(panels), figsize=(2.7 * len(panels), 2.8), squeeze=False)
    for ax, against in zip(axes[0], panels, strict=True):
        shown = [curve for curve in curves if curve.against == against]
        for curve, color in zip(shown, ("#1d4ed8", "#c2410c"), strict=False):
            sizes, seconds = np.array(curve.sizes), np.array(curve.seconds)
            ax.plot(sizes, seconds, "o-", ms=4, color=color, label=_set(f"{curve.what}: {curve.exponent:.2f}"))
            fit = np.exp(np.log(seconds).mean() + curve.exponent * (np.log(sizes) - np.log(sizes).mean()))
            ax.plot(sizes, fit, ":", color=color, lw=1)
        ax.set(xscale="log", yscale="log", xlabel=_set(against))
        label_log_axis(ax.yaxis, *ax.get_ylim())
        sizes = max((curve.sizes for curve in shown), key=len)
        ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
        ax.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        legend_above(ax, 1, fontsize=6, title="exponent", title_fontsize=6)
    axes[0, 0].set_ylabel("seconds of processor time")
    return figure
