"""How well a practical run can be forecast one dimension ahead: three methods, four variants, three seeds.

    uv run python figures/practical_steps.py [--quick] [--redraw] [--out FOLDER]

Thirty-six small runs of the practical recipe, or those that are asked for: a ResNet-10 of width 1/8 on digits, d = 3,
with the settings that the preset `cpu` has for each method. The variants are batch, group and no normalisation with
fresh views, and batch normalisation with two fixed views of every image. A run that is finished is kept in
practical_steps.json and not made again.

Whenever half of a dimension is learned, the next one is forecast in three ways from what is known then: by the rate at
which its eigenvalue already grows (`growth`), by descent of the readout alone on the features of that moment
(`frozen_features`), and by the reduced model in which readout and features learn together, made anew at that moment
(`relinearised`). The learned subspace is compared with the strongest modes of the conjugate kernel of several moments.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from dynamics.drawing.axes import label_log_axis, legend_above
from dynamics.drawing.trajectories import style
from dynamics.errors import DivergenceError
from dynamics.flow.bilinear import bilinear_descent
from dynamics.flow.readout_network import ReadoutNetwork
from dynamics.flow.reduction import reduced_model
from dynamics.modes import contrastive_modes_from_features
from dynamics.objectives.correlation import cross_correlation
from dynamics.objectives.registry import Loss, get_objective
from dynamics.recipe.config import Recipe, recipe_preset
from dynamics.recipe.losses import recipe_loss
from dynamics.recipe.preparation import PreparedRecipe, prepare
from dynamics.support.files import save_figure, save_json
from dynamics.training.loop import run
from dynamics.training.minibatch import BATCH_STATS, batch_indices
from dynamics.training.optimisers import effective_times
from dynamics.training.recorder import SpectrumRecorder, recording_steps
from dynamics.training.state import Metrics, TrainState
from dynamics.trajectories.ahead import half_time_by_growth
from dynamics.trajectories.comparison import half_times
from dynamics.trajectories.metrics import span_overlap
from dynamics.trajectories.trajectory import Trajectory

HERE = Path(__file__).parent
VARIANTS = {
    "batch": "batch norm",
    "group": "group norm",
    "none": "no norm",
    "fixed": "batch norm, fixed views",
}
OBJECTIVES = {"barlow-twins": "Barlow Twins", "vicreg": "VICReg", "simclr": "SimCLR"}
FORECASTS = {"growth": "own growth rate", "frozen_features": "frozen features", "relinearised": "relinearised"}
SEEDS = (0, 1, 2)
KNOWN_AT = (0.05, 0.2, 0.5, 1.0)
"""Shares of the steps after which the subspace is predicted; at the end it is known."""

PAIRS = 256
"""Pairs on which forecasts are made."""

SMALL = {
    "network": "resnet10",
    "dim": 3,
    "batch": 32,
    "probe_images": 128,
    "steps": 800,
    "records": 100,
}
QUICK = {
    **SMALL,
    "dim": 2,
    "batch": 8,
    "num_images": 24,
    "probe_images": 16,
    "steps": 30,
    "records": 10,
    "width": 1 / 32,
}
AHEAD = 300
"""Records of a forecast, over three times the time that the run has left."""

INNER = 10
"""Steps of a forecast between two records."""


@dataclass(frozen=True, eq=False)
class Method:
    """A recipe with the programs that all of its seeds share; views that are looked at are those of the first seed."""

    prepared: PreparedRecipe
    fixed_views: bool = False

    @property
    def recipe(self) -> Recipe:
        """The settings."""
        return self.prepared.recipe

    @cached_property
    def views(self) -> jax.Array:
        """Two fresh views of `PAIRS` images, on which the forecasts are made, x_1 … x_n, x'_1 … x'_n."""
        return in_order(self.prepared.draw(jax.random.key(1), min(PAIRS, len(self.prepared.images))))

    @cached_property
    def probe(self) -> jax.Array:
        """Views of the probe batch, on which the run was recorded, in the same order."""
        return in_order(self.prepared.probe)

    @cached_property
    def embed(self) -> Callable:
        """(parameters, model state) -> embeddings and features of the probe batch."""
        return jax.jit(lambda variables: self.prepared.embed(*variables))

    @cached_property
    def loss(self) -> Loss:
        """The loss of the embeddings of all views: the mean over batches of the size of training."""
        return in_batches(recipe_loss(self.recipe), self.recipe.batch)

    @cached_property
    def features(self) -> Callable[[Any], jax.Array]:
        """Parameters -> inputs of the last layer on the views, with their batch statistics, and ones for its bias."""
        return readout_inputs(self.prepared, self.views)

    @cached_property
    def evaluate(self) -> Callable[[Any], jax.Array]:
        """`features`, compiled."""
        return jax.jit(self.features)

    @cached_property
    def evaluate_all(self) -> Callable[[Any], jax.Array]:
        """The same on two views of every image, whose modes are those of no few outliers, and on the probe batch."""
        every = in_order(self.prepared.draw(jax.random.key(2), len(self.prepared.images)))
        return jax.jit(readout_inputs(self.prepared, jnp.concatenate([every, self.probe])))

    @cached_property
    def spectrum(self) -> Callable[[jax.Array], jax.Array]:
        """Eigenvalues (d,) of C of embeddings, as the recorder has them."""
        scale_free = get_objective(self.recipe.objective).scale_free

        def eigenvalues(F: jax.Array) -> jax.Array:
            F = F / jnp.linalg.norm(F, axis=1, keepdims=True) if scale_free else F
            return jnp.linalg.eigvalsh(cross_correlation(F - F.mean(axis=0)))[::-1]

        return jax.jit(eigenvalues)

    @cached_property
    def descend(self) -> Callable:
        """(h, W, rate) -> eigenvalues (AHEAD, d) of C, every `INNER` steps, while the last layer alone learns."""

        def course(h: jax.Array, W: jax.Array, rate: jax.Array) -> jax.Array:
            def record(W: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
                step = jax.grad(lambda W: self.loss(h @ W))
                W = jax.lax.fori_loop(0, INNER, lambda _, W: W - rate * step(W), W)
                return W, self.spectrum(h @ W)

            return jax.lax.scan(record, W, length=AHEAD)[1]

        return jax.jit(course)

    @cached_property
    def update(self) -> tuple[Callable, jax.Array]:
        """One step of training, and what it draws from: images, or two fixed views of each."""
        prepared, batch = self.prepared, self.recipe.batch
        if not self.fixed_views:
            return prepared.update, prepared.images
        count = len(prepared.images)
        views = prepared.draw(jax.random.key(3), count)

        def step(state: TrainState, pairs: jax.Array) -> tuple[TrainState, Metrics]:
            index = batch_indices(jax.random.split(state.key)[0], state.step, count, batch)
            return prepared.descend(state, pairs[index].reshape(2 * batch, *pairs.shape[2:]))

        return step, views.reshape(count, 2, *views.shape[1:])

    def recorded(self, seed: int) -> tuple[Trajectory, list[tuple[Any, Any]]]:
        """Train from a seed: the trajectory, and parameters and model state at every record."""
        prepared, recipe = self.prepared, self.recipe
        start = prepared.state if seed == recipe.seed else prepare(replace(recipe, seed=seed)).state
        steps = recording_steps(recipe.steps, recipe.records // 2)
        recorder = SpectrumRecorder(self.embed, steps, center=True)
        times = dict(zip(steps.tolist(), effective_times(prepared.schedule, steps), strict=True))
        states: list[tuple[Any, Any]] = []

        def observe(state: TrainState, metrics: Metrics) -> None:
            if not recorder.due(int(state.step)):
                return
            states.append(jax.tree.map(np.array, (state.params, state.model_state)))
            recorder.record(int(state.step), states[-1], loss=metrics["loss"], time=times[int(state.step)])

        update, data = self.update
        _, outcome = run(
            update,
            start,
            steps=recipe.steps,
            data=(data,),
            observe=observe,
            observe_at=steps,
        )
        return recorder.trajectory(rung="recipe", outcome=outcome, objective=recipe.objective), states


def in_order(images: jax.Array) -> jax.Array:
    """Views x_1, x'_1, x_2, x'_2, … in the order x_1 … x_n, x'_1 … x'_n."""
    return jnp.concatenate([images[0::2], images[1::2]])


def in_batches(loss: Loss, batch: int) -> Loss:
    """The mean of a loss over batches of views (2n, d), for a population that is larger than a batch."""

    def mean_loss(F: jax.Array) -> jax.Array:
        pairs = F.reshape(2, -1, min(batch, len(F) // 2), F.shape[1]).transpose(1, 0, 2, 3)
        return jax.vmap(lambda both: loss(both.reshape(-1, F.shape[1])))(pairs).mean()

    return mean_loss


def readout_inputs(prepared: PreparedRecipe, views: jax.Array) -> Callable[[Any], jax.Array]:
    """Parameters -> inputs of the last layer on the views, with their batch statistics, and ones for its bias."""
    stats = prepared.state.model_state[BATCH_STATS]
    readout = jax.tree.map(np.array, prepared.state.params["projector"]["readout"])

    def features(params: Any) -> jax.Array:
        params = {**params, "projector": {**params["projector"], "readout": readout}}
        variables = {"params": params, BATCH_STATS: stats}
        apply = partial(prepared.encoder.apply, train=True, method="readout_features", mutable=[BATCH_STATS])
        h = apply(variables, views)[0]
        return jnp.concatenate([h, jnp.ones((len(h), 1), h.dtype)], axis=1) if "bias" in readout else h

    return features


def parts(params: Any) -> tuple[Any, np.ndarray]:
    """The parameters below the last layer, and the last layer with its bias as a last row."""
    projector = {name: part for name, part in params["projector"].items() if name != "readout"}
    layer = params["projector"]["readout"]
    rows = [layer["kernel"], *([layer["bias"][None]] if "bias" in layer else [])]
    return {**params, "projector": projector}, np.concatenate(rows).astype(np.float64)


def first_time(times: np.ndarray, u: np.ndarray, level: float) -> float:
    """The first time at which a curve reaches a level; infinite if it never does."""
    reached = np.flatnonzero(u >= level)
    return float(times[reached[0]]) if reached.size else np.inf


def ahead(method: Method, trained: Trajectory, states: list[tuple[Any, Any]]) -> dict[str, list[float | str | None]]:
    """Predicted / measured time of every dimension after the first, forecast when the one before was half learned.

    It is None where the step was not measured, or not later than that of the dimension before, "inf" where the forecast
    has no step within three times the time that the run had left, and "nan" where the reduced model diverges.
    """
    measured = half_times(trained)
    found: dict[str, list[float | str | None]] = {name: [] for name in FORECASTS}
    for j in range(1, trained.dim):
        if not np.isfinite(measured[j - 1 : j + 1]).all() or measured[j] <= measured[j - 1]:
            for ratios in found.values():
                ratios.append(None)
            continue
        at = int(np.searchsorted(trained.times, measured[j - 1]))
        now, u = trained.times[at], trained.eigenvalues[: at + 1]
        # a step is half of what the first dimension has reached, which is all that is known of where the others end
        level = u[-1, 0] / 2
        times = np.linspace(now, now + 3 * (trained.times[-1] - now), AHEAD + 1)
        hidden, W = parts(states[at][0])
        h, rate = method.evaluate(hidden), (times[-1] - now) / (AHEAD * INNER)
        frozen = np.asarray(method.descend(h, jnp.asarray(W, jnp.float32), rate))[:, j]
        network = ReadoutNetwork(method.features, hidden, W, scale=1.0)
        predicted = {
            "growth": half_time_by_growth(trained.times[: at + 1], u[:, j] / u[-1, 0]),
            "frozen_features": now if u[-1, j] >= level else first_time(times[1:], frozen, level),
            "relinearised": _by_relinearised(method, network, times, j, level),
        }
        for name, when in predicted.items():
            found[name].append(round(float(when / measured[j]), 3) if np.isfinite(when) else str(when))
    return found


def _by_relinearised(method: Method, network: ReadoutNetwork, times: np.ndarray, j: int, level: float) -> float:
    """When dimension j is half learned by the reduced model of the network of that moment."""
    steps, dim = AHEAD * INNER, network.readout.shape[1]
    rate = (times[-1] - times[0]) / steps
    try:
        reduction = reduced_model(network, rate, steps, objective=method.loss, rounds=1, directions=2 * dim)
        records = np.arange(0, steps + 1, INNER)
        descent = bilinear_descent(reduction.model, rate, records, objective=method.loss, keep_embeddings=True)
    except DivergenceError:
        return np.nan
    u = np.array([method.spectrum(F) for F in descent.embeddings.astype(np.float32)])
    return first_time(times, u[:, j], level)


def overlaps(method: Method, trained: Trajectory, states: list[tuple[Any, Any]]) -> dict[str, float]:
    """Overlap of what is learned at the end with the strongest modes of the conjugate kernel of earlier moments."""
    steps, dim = trained.steps, trained.dim
    end = np.asarray(method.embed(states[-1])["embeddings"], np.float64)
    found = {}
    for share in KNOWN_AT:
        at = int(np.abs(steps - share * steps[-1]).argmin())
        hidden = parts(states[at][0])[0]
        h, h_probe = np.split(np.asarray(method.evaluate_all(hidden), np.float64), [-len(method.probe)])
        functions = h_probe @ (h.T @ contrastive_modes_from_features(h, center=True).duals[:, :dim])
        overlap = span_overlap(end - end.mean(axis=0), functions - functions.mean(axis=0), dim)
        found[f"{share:g}"] = round(overlap, 3)
    return found


def measured_run(method: Method, seed: int) -> dict:
    """All numbers of one run."""
    trained, states = method.recorded(seed)
    if trained.partial:
        return {"outcome": trained.outcome.describe()}
    return {
        "step_times": half_times(trained),
        "eigenvalues_at_the_end": trained.eigenvalues[-1].round(3),
        "predicted_to_measured": ahead(method, trained, states),
        "overlap": overlaps(method, trained, states),
        "chance": round(trained.dim / len(method.probe), 3),
    }


def measure(path: Path, quick: bool, variants: Sequence[str], objectives: Sequence[str], seeds: Sequence[int]) -> None:
    """Make the runs that the file does not hold, and write each as it ends."""
    settings = QUICK if quick else SMALL
    found = json.loads(path.read_text()) if path.exists() else {}
    as_stored = json.loads(json.dumps(settings))
    if found.setdefault("settings", as_stored) != as_stored:
        raise SystemExit(f"error: {path} holds runs with other settings; remove it to measure anew")
    for variant, objective in itertools.product(variants, objectives):
        of_method = found.setdefault(variant, {}).setdefault(objective, {})
        missing = [seed for seed in seeds if str(seed) not in of_method]
        if not missing:
            continue
        fixed = variant == "fixed"
        recipe = replace(recipe_preset("cpu", objective), norm="batch" if fixed else variant, **settings)
        method = Method(prepare(recipe), fixed)
        for seed in missing:
            began = time.process_time()
            of_method[str(seed)] = measured_run(method, seed)
            save_json(path, found)
            print(
                f"{VARIANTS[variant]}, {objective}, seed {seed}: {time.process_time() - began:.0f} s of CPU", flush=True
            )


def draw(found: dict) -> plt.Figure:
    """Predicted / measured step times, one panel a method, and the overlap with what is learned at the end."""
    figure, axes = plt.subplots(1, len(OBJECTIVES) + 1, figsize=(10.2, 2.9), width_ratios=(1, 1, 1, 0.9))
    colors = dict(zip(VARIANTS, ("#4c72b0", "#dd8452", "#55a868", "#937860"), strict=True))
    for ax, (objective, title) in zip(axes, OBJECTIVES.items(), strict=False):
        ax.axhspan(0.85, 1.15, color="0.92", zorder=0)
        for column, name in enumerate(FORECASTS):
            for shift, variant in zip((-0.27, -0.09, 0.09, 0.27), VARIANTS, strict=True):
                ratios = [ratio for run_ in runs_of(found, variant, objective) for ratio in finite(run_, name)]
                ax.plot([column + shift] * len(ratios), ratios, "o", ms=3, mfc="none", color=colors[variant])
        ax.set(title=title, yscale="log", ylim=(0.2, 30), xlim=(-0.5, len(FORECASTS) - 0.5))
        ax.set_xticks(range(len(FORECASTS)), [label.replace(" ", "\n", 1) for label in FORECASTS.values()], fontsize=6)
        label_log_axis(ax.yaxis, 0.2, 5)
    axes[0].set_ylabel("predicted / measured step time")
    last = axes[-1]
    for variant, color in colors.items():
        curves = [list(run_["overlap"].values()) for name in OBJECTIVES for run_ in runs_of(found, variant, name)]
        for curve in curves:
            last.plot(KNOWN_AT, curve, "-o", ms=2.5, lw=0.6, color=color)
        if curves:
            last.plot([], [], "-o", ms=2.5, color=color, label=VARIANTS[variant])
    last.axhline(0.6, color="0.6", lw=0.8, ls=(0, (2, 2)))
    last.set(xlabel="share of the steps", ylabel="overlap with the end", ylim=(0, 1), xlim=(0, 1.05))
    legend_above(last, columns=1, fontsize=6)
    return figure


def runs_of(found: dict, variant: str, objective: str) -> list[dict]:
    """The finished runs of a method."""
    return [run_ for run_ in found.get(variant, {}).get(objective, {}).values() if "outcome" not in run_]


def finite(run_: dict, name: str) -> list[float]:
    """The ratios of a forecast that there are."""
    return [ratio for ratio in run_["predicted_to_measured"][name] if isinstance(ratio, float | int)]


def main() -> None:
    """Make the runs that are missing, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(VARIANTS)
    parser.add_argument("--variants", nargs="+", choices=names, default=names, help="normalisation and views to run")
    parser.add_argument("--objectives", nargs="+", choices=list(OBJECTIVES), default=list(OBJECTIVES), help="methods")
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=SEEDS, help="seeds")
    parser.add_argument("--quick", action="store_true", help="one tiny run each: shows that it works")
    parser.add_argument("--redraw", action="store_true", help="only draw the numbers again")
    parser.add_argument("--out", type=Path, default=HERE, help="where the results go")
    arguments = parser.parse_args()
    path = arguments.out / "practical_steps.json"
    if not arguments.redraw:
        arguments.out.mkdir(parents=True, exist_ok=True)
        seeds = SEEDS[:1] if arguments.quick else arguments.seeds
        measure(path, arguments.quick, arguments.variants, arguments.objectives, seeds)
    with style():
        save_figure(draw(json.loads(path.read_text())), arguments.out / "practical_steps")


if __name__ == "__main__":
    main()
