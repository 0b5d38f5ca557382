"""Step times of objectives, forecast and measured on lazy MLPs: `uv run python figures/objective_steps.py [--quick]`.

For every objective that leaves a small start exponentially the kernel flow says when each direction of the embeddings
is learned, and an MLP with a small last layer and a large output multiplier is trained by full-batch gradient descent
of all its weights. A direction is an eigenvalue of the covariance of what the loss compares; it leaves the start when
it reaches a hundredth of its end value, and it is learned at half of it. Objectives with a predictor or a teacher that
have no such phase are followed from a start of ordinary size, and the whole course of their eigenvalues is compared.
`--only NAME …` measures some of them and keeps the other rows. Writes `objective_steps.json`, `.png` and `.pdf`.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from dynamics.drawing.trajectories import style
from dynamics.experiment import Experiment, prepare
from dynamics.experiment.config import Config
from dynamics.flow import learned_first, objective_flow, teacher_flow
from dynamics.objectives import OBJECTIVES, moving_average, objective_loss
from dynamics.support.files import save_figure, save_json
from dynamics.support.precision import double_precision

HERE = Path(__file__).parent
COMMAND = "uv run python figures/objective_steps.py"
PAIRS, DIM, MULTIPLIER, SCALE, SEEDS = 24, 3, 30.0, 1e-4, 3
WIDTH = 256
CURVATURE = 0.02  # learning rate times the largest curvature that the flow meets
TEACHER_STEPS = 250  # age of a teacher in steps, 1/(1 − 0.996)
LEAVES, LEARNED = 0.01, 0.5  # shares of the end value
RECORDS = 400
_LONGER = 10


@dataclass(frozen=True)
class Case:
    """How one objective is measured.

    Parameters
    ----------
    settings : mapping
        Settings of the loss that differ from those of its source.
    why : str
        What these are for.
    directions : int
        Number of directions that are learned.
    scale : float
        Size of the start; a case that does not start small has no steps, and its course is compared.
    end : float
        For those, effective time at the end, over the time that the embeddings take to move by their own size.
    """

    settings: Mapping[str, float] = field(default_factory=dict)
    why: str = ""
    directions: int = DIM
    scale: float = SCALE
    end: float = 20.0


_FEW_OUTPUTS = "for three outputs; the weight of the source is for thousands and lets few outputs share one direction"
STEPS = {
    "barlow-twins": Case(),
    "barlow-twins-practical": Case({"off_diagonal": 1.0}, _FEW_OUTPUTS),
    "vicreg": Case({"covariance_weight": 25.0}, _FEW_OUTPUTS),
    "infonce": Case(),
    "spectral-contrastive": Case(),
    "dino": Case(directions=DIM - 1, why="a sum of all outputs is not seen by the softmax, so two directions"),
    "sigreg": Case(),
    "lejepa": Case(),
}
COURSES = {name: Case(scale=1.0, end=10.0) for name in ("byol", "simsiam", "latent-prediction")}
CASES = STEPS | COURSES


def seen(name: str, F: np.ndarray) -> np.ndarray:
    """Eigenvalues (T, d) of the covariance of embeddings (T, 2n, d) as the loss compares them, descending."""
    F = np.asarray(F, np.float64)
    if name == "barlow-twins-practical":  # each half is standardised, with the ε of batch normalisation
        halves = [half - half.mean(axis=1, keepdims=True) for half in np.split(F, 2, axis=1)]
        F = np.concatenate([half / np.sqrt(half.var(axis=1, keepdims=True) + 1e-5) for half in halves], axis=1)
    F = F - F.mean(axis=1, keepdims=True)
    return np.linalg.eigvalsh(np.einsum("tni,tnj->tij", F, F) / F.shape[1])[:, ::-1]


def reached(times: np.ndarray, u: np.ndarray, share: float) -> np.ndarray:
    """Time at which every eigenvalue (T, d) first has that share of its end value, between records by its logarithm."""
    found = []
    for course in u.T:
        after = int(np.argmax(course >= share * course[-1]))
        pair = slice(max(after - 1, 0), after + 1)
        found.append(np.interp(np.log(share * course[-1]), np.log(course[pair]), times[pair]))
    return np.array(found)


class Flow:
    """The kernel flow of one objective from the start of one network.

    Parameters
    ----------
    name : str
        Objective.
    experiment : Experiment
        Pairs, network, kernel and start.
    """

    def __init__(self, name: str, experiment: Experiment) -> None:
        self.name, self.case, self.record = name, CASES[name], OBJECTIVES[name]
        self.loss = objective_loss(name, **self.case.settings, **self.record.flow_settings)
        self.features, self.F0 = experiment.kernel.modes.on_views, experiment.initial_embeddings
        self.K = self.features @ self.features.T
        self.predictor = np.eye(DIM) if self.record.predictor else None
        # a predictor that moves about as fast as the embeddings
        self.predictor_rate = float(np.linalg.eigvalsh(self.K)[-1] / len(self.K)) if self.record.predictor else 1.0

    def embeddings(self, times: np.ndarray, age: float) -> np.ndarray:
        """Embeddings (T, 2n, d), with a teacher of some age where the objective has one."""
        settings = {"embedding_times": times, "tolerance": 1e-7}
        if self.record.takes_targets:
            states = {"predictor": self.predictor, "predictor_rate": self.predictor_rate, "teacher_age": age}
            return teacher_flow(self.K, self.F0, times, self.loss, **states, **settings).embeddings
        return objective_flow(self.K, self.F0, times, self.loss, **settings).embeddings

    def curvature(self, F: np.ndarray) -> float:
        """Largest curvature of the loss in the kernel's metric at embeddings (S, 2n, d)."""
        targets = (F,) if self.record.takes_targets else ()

        @jax.jit
        def largest(F, *targets):
            hessian = jax.hessian(lambda a: self.loss((self.features @ a.reshape(-1, DIM)) + F, *targets))
            return jnp.abs(jnp.linalg.eigvalsh(hessian(jnp.zeros(self.features.shape[1] * DIM)))).max()

        with double_precision():
            return max(float(largest(*(each[i] for each in (F, *targets)))) for i in range(len(F)))

    def first_rate(self) -> float:
        """Rate of the slowest direction that is learned from zero."""
        first = learned_first(self.name, self.K, dim=DIM, **self.case.settings)
        return float(first.modes.rates[self.case.directions - 1])

    def first_time(self) -> float:
        """Time in which the embeddings move by their own size."""
        with double_precision():
            targets = (self.F0,) if self.record.takes_targets else ()
            speed = self.K @ np.asarray(jax.grad(self.loss)(jnp.asarray(self.F0), *targets))
        return float(np.abs(self.F0).max() / np.abs(speed).max())


def recorded(end: float) -> np.ndarray:
    """Times of records, evenly spaced and with the first ones closer."""
    return np.unique(np.r_[0.0, np.geomspace(end / 300, end, RECORDS // 2), np.linspace(0, end, RECORDS // 2)])


def followed(flow: Flow, age: float = 0.0) -> tuple[float, float]:
    """End of a flow that has learned all its directions long before, and learning rate for it."""
    if flow.name in COURSES:
        end = flow.case.end * flow.first_time()
    else:
        end = 1.5 * np.log(1 / SCALE) / flow.first_rate()
    for _ in range(_LONGER):
        F = flow.embeddings(recorded(end), age)
        if flow.name in COURSES or has_learned(flow, F, recorded(end) / end):
            break
        end *= 1.6
    return end, CURVATURE / flow.curvature(F[:: len(F) // 12])


def has_learned(flow: Flow, F: np.ndarray, times: np.ndarray) -> bool:
    """Whether the last direction was half learned well before the end, and no longer grows as a small start does."""
    u = seen(flow.name, F)[:, : flow.case.directions]
    last = u[:, -1]
    grown = last[-1] > 1e3 * last[0] and last[-1] < 4 * last[-len(last) // 4]
    return bool(grown and reached(times, u, LEARNED).max() < 0.6)


@partial(jax.jit, static_argnames=("apply", "loss", "center", "predicts", "share", "random"))
def train(apply, loss, center, predicts, share, random, params, x, rates, gaps):
    """Descend all weights, with predictor, teacher and fresh slices where there are some; embeddings of all records."""

    def step(number, state):
        params, P, teacher = state
        key = {"key": jax.random.fold_in(jax.random.key(0), number)} if random else {}

        def objective(params, P):
            F = apply(params, x)
            F = F - F.mean(axis=0) if center else F
            if share is None and not predicts:
                return loss(F, **key)
            targets = F if share is None else apply(teacher, x)
            return loss(F @ P if predicts else F, jax.lax.stop_gradient(targets))

        of_params, of_P = jax.grad(objective, argnums=(0, 1))(params, P)
        teacher = teacher if share is None else moving_average(teacher, params, 1 - share)
        params = jax.tree.map(lambda w, g: w - rates[0] * g, params, of_params)
        return params, P - rates[1] * of_P, teacher

    def to_next_record(carry, gap):
        number, state = carry
        state = jax.lax.fori_loop(number, number + gap, step, state)
        return (number + gap, state), apply(state[0], x)

    start = (params, jnp.eye(DIM), None if share is None else params)
    return jax.lax.scan(to_next_record, (0, start), gaps)[1]


def measure(name: str, seed: int, width: int) -> dict:
    """Forecast one network under one objective, and train it."""
    record, case = OBJECTIVES[name], CASES[name]
    settings = {"multiplier": MULTIPLIER, "init_scale": case.scale, "center": record.centred, "seed": seed}
    experiment = prepare(Config(num_pairs=PAIRS, dim=DIM, network="mlp", width=width, depth=1, **settings))
    flow = Flow(name, experiment)
    end, rate = followed(flow)
    if record.moving_target:  # how old a teacher is in effective time follows from the learning rate
        end, _ = followed(flow, age=TEACHER_STEPS * rate)
    steps = int(np.ceil(end / rate))
    at = np.unique(np.round(recorded(end) / rate).astype(int))
    teacher = TEACHER_STEPS * rate if record.moving_target else 0.0
    forecast = seen(name, flow.embeddings(at * rate, teacher))
    F = train(
        experiment.network.apply,
        objective_loss(name, **case.settings),
        record.centred,
        record.predictor is not None,
        1 / TEACHER_STEPS if record.moving_target else None,
        record.random,
        experiment.network.params,
        jnp.asarray(experiment.pairs.stacked),
        jnp.array([rate, rate * flow.predictor_rate]),
        jnp.asarray(np.diff(at, prepend=0)),
    )
    trained = seen(name, np.asarray(F))
    found = {"objective": name, "seed": seed, "steps": steps, "learning_rate": rate, "times": (at * rate).tolist()}
    found |= {"forecast": forecast.tolist(), "trained": trained.tolist()}
    found["course"] = float(np.abs(forecast - trained).max() / trained.max())
    if name in STEPS:
        for label, share in (("leaves", LEAVES), ("learned", LEARNED)):
            pair = [reached(at * rate, u, share)[: case.directions] for u in (forecast, trained)]
            found[label] = [times.tolist() for times in pair]
    return found


def worst(row: dict, label: str) -> float:
    """Largest |predicted/measured − 1| of a row."""
    predicted, measured = map(np.array, row[label])
    return float(np.abs(predicted / measured - 1).max())


def report(row: dict) -> str:
    """One line of numbers."""
    text = f"{row['objective']:24} seed {row['seed']} {row['steps']:7,} steps"
    if row["objective"] in STEPS:
        for label in ("leaves", "learned"):
            ratios = np.divide(*row[label])
            text += f"  {label} {' '.join(f'{ratio:.3f}' for ratio in ratios)}"
    return f"{text}  course off by {100 * row['course']:.1f} %"


def draw(rows: list[dict]) -> plt.Figure:
    """Measured course of the eigenvalues of the first seed, under the forecast."""
    names = [name for name in CASES if any(row["objective"] == name for row in rows)]
    across = 4
    figure, axes = plt.subplots(
        -(-len(names) // across), across, figsize=(11.0, 2.1 * -(-len(names) // across)), layout="constrained"
    )
    for ax, name in zip(np.ravel(axes), names, strict=False):
        row = next(row for row in rows if row["objective"] == name)
        times = np.array(row["times"])
        shown = slice(None, CASES[name].directions)
        ax.plot(times, np.array(row["trained"])[:, shown], color="#1d4ed8", lw=2.4, alpha=0.35)
        ax.plot(times, np.array(row["forecast"])[:, shown], color="#1b1b1b", lw=0.8, ls="--")
        ax.set_title(name)
        ax.set(ylim=(0, None), xlim=(0, times[-1]))
    for ax in np.ravel(axes)[len(names) :]:
        ax.axis("off")
    figure.supxlabel("effective time (learning rate × step)")
    figure.supylabel("eigenvalues of the covariance")
    trained = plt.Line2D([], [], color="#1d4ed8", lw=2.4, alpha=0.35, label="trained MLP")
    forecast = plt.Line2D([], [], color="#1b1b1b", lw=0.8, ls="--", label="forecast")
    np.ravel(axes)[-1].legend(handles=[trained, forecast], loc="center")
    return figure


def thinned(row: dict, most: int = 120) -> dict:
    """The row as it is kept: of the first seed, which is drawn, so many records to four digits, of others none."""
    courses = ("times", "forecast", "trained")
    if row["seed"] > 0:
        return {name: value for name, value in row.items() if name not in courses}
    every = max(len(row["times"]) // most, 1)
    return row | {name: [*map(_rounded, row[name][::every])] for name in courses}


def _rounded(value):
    return [_rounded(each) for each in value] if isinstance(value, list) else float(f"{value:.4g}")


def main() -> None:
    """Measure what is asked for, keep the other rows, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed of two objectives, on a narrow network")
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="NAME", help="measure these and keep other rows")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    path = arguments.out / "objective_steps.json"
    names = arguments.only or (["barlow-twins", "dino"] if arguments.quick else list(CASES))
    kept = json.loads(path.read_text())["rows"] if arguments.only and path.exists() else []
    rows = [row for row in kept if row["objective"] not in names]
    for name in names:
        for seed in range(1 if arguments.quick else SEEDS):
            rows.append(measure(name, seed, 64 if arguments.quick else WIDTH))
            print(report(rows[-1]), flush=True)
            rows[-1] = thinned(rows[-1])
        settings = {"pairs": PAIRS, "dim": DIM, "width": WIDTH, "multiplier": MULTIPLIER, "scale": SCALE}
        losses = {name: {**case.settings} for name, case in CASES.items()}
        save_json(path, {"command": COMMAND, "settings": settings, "losses": losses, "rows": rows})
    with style():
        save_figure(draw(rows), arguments.out / "objective_steps")


if __name__ == "__main__":
    main()
