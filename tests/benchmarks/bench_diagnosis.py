"""How often `dynamics diagnose` is right: small networks under eight objectives, half of them made to collapse.

    uv run python tests/benchmarks/bench_diagnosis.py                  # runs that the rules were not tuned on
    uv run python tests/benchmarks/bench_diagnosis.py --set tuning     # the runs that they were tuned on

Every run trains an MLP with a projector on the embedded digits (shifts by one pixel, contrast, noise), records the
spectra of 256 pairs, and measures a k-NN accuracy beside them. A collapse is built in: the term or the branch of the
objective that prevents it is taken away. What `diagnose` says is compared with what was built in, at the end of the run
and after every record, which shows how early a collapse is flagged: before the k-NN accuracy has lost a tenth of its
best? The loss of a run that collapses falls as it does in a run that learns.
"""

import argparse
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from dynamics.diagnosis import diagnose, log_of
from dynamics.objectives import OBJECTIVES, moving_average, objective_loss
from dynamics.objectives.graph import partners, unit_rows
from dynamics.training.recorder import SpectrumRecorder
from dynamics.trajectories.metrics import knn_probe

PROBED, RECORDS_APART = 256, 20


class Setting(NamedTuple):
    """One run: what is trained, how, and whether the collapse is built in."""

    objective: str
    collapses: bool
    learning_rate: float
    seed: int
    steps: int = 1200
    width: int = 128
    dim: int = 32
    init_scale: float = 1.0

    @property
    def name(self) -> str:
        kind = "collapse" if self.collapses else "healthy"
        return f"{self.objective}-{kind}-{self.learning_rate:g}-s{self.init_scale:g}-{self.seed}"


class Method(NamedTuple):
    """An objective as it should be and as it collapses."""

    loss: Callable[..., Any]
    broken: Callable[..., Any]
    rate: float
    predictor: bool = False
    momentum: float = 0.0
    small_start: bool = True
    broken_weight_decay: float = 0.0
    broken_predictor: bool = True


def _aligned_cosines(z):
    return 1 - jnp.vdot(unit_rows(z, 1e-12), partners(unit_rows(z, 1e-12))) / len(z)


def _through_the_target(p, z):
    """SimSiam or BYOL without the stopped gradient."""
    return -jnp.vdot(unit_rows(p, 1e-12), partners(unit_rows(z, 1e-12))) / len(p)


METHODS = {
    "barlow-twins": Method(objective_loss("barlow-twins"), objective_loss("barlow-twins", off_diagonal=0.0), 0.003),
    "barlow-twins-practical": Method(
        objective_loss("barlow-twins-practical", off_diagonal=0.05),
        objective_loss("barlow-twins-practical", off_diagonal=0.0),
        0.03,
        small_start=False,
    ),
    "vicreg": Method(
        objective_loss("vicreg", covariance_weight=12.5), objective_loss("vicreg", variance_weight=0.0), 0.01
    ),
    "simclr": Method(objective_loss("simclr"), _aligned_cosines, 0.3, small_start=False),
    "infonce": Method(objective_loss("infonce"), objective_loss("infonce"), 0.05, broken_weight_decay=3.0),
    "spectral-contrastive": Method(
        objective_loss("spectral-contrastive"), objective_loss("spectral-contrastive"), 0.003, broken_weight_decay=6.0
    ),
    "byol": Method(
        objective_loss("byol"), _through_the_target, 0.3, True, 0.99, small_start=False, broken_predictor=False
    ),
    "simsiam": Method(objective_loss("simsiam"), _through_the_target, 0.3, True, small_start=False),
}


def settings_of(which: str) -> list[Setting]:
    """The runs of one set; the sets differ in seed, learning rates, width, dimension and length."""
    tuning = which == "tuning"
    shape: dict[str, Any] = {"steps": 1200} if tuning else {"steps": 1500, "width": 96, "dim": 48}
    rates = (0.5, 1.0, 2.0) if tuning else (0.4, 0.8, 1.6)
    runs = [
        Setting(name, collapses, factor * method.rate, seed, init_scale=scale, **shape)
        for (name, method), collapses, (factor, seed) in itertools.product(
            METHODS.items(), (False, True), zip(rates, (0, 1, 2) if tuning else (10, 11, 12), strict=True)
        )
        for scale in [(0.02, 0.3)[seed % 2] if method.small_start else 1.0]
    ]
    extra = [Setting("barlow-twins", False, 0.15, 3, **shape), Setting("vicreg", False, 2.0, 3, **shape)]
    return runs + extra  # 50 runs; the learning rates of the last two are far above the limit


class Run(NamedTuple):
    trajectory: Any
    knn: np.ndarray


def train(setting: Setting) -> Run:
    """Train one network and record it until the end or until its loss is not finite."""
    method = METHODS[setting.objective]
    images, labels = load_digits(return_X_y=True)
    images = jnp.asarray(images.reshape(-1, 8, 8) / 16, jnp.float32)
    with_predictor = method.predictor and not (setting.collapses and not method.broken_predictor)
    key = jax.random.key(setting.seed)
    params = init(key, setting, with_predictor)
    target = params["encoder"]
    loss_function = method.broken if setting.collapses else method.loss
    decay = method.broken_weight_decay if setting.collapses else 0.0
    optimiser = optax.chain(
        optax.add_decayed_weights(decay), optax.sgd(setting.learning_rate, momentum=0.9 if method.predictor else None)
    )
    state = optimiser.init(params)
    keeps_target = method.predictor and method.momentum and not setting.collapses

    @jax.jit
    def step(params, target, state, key):
        choice, augmentation = jax.random.split(key)
        batch = augment(images[jax.random.randint(choice, (256,), 0, len(images))], augmentation)

        def loss(params):
            z = encode(params["encoder"], batch, method.predictor)
            if not method.predictor:
                return loss_function(z - z.mean(axis=0) if OBJECTIVES[setting.objective].centred else z)
            p = encode(params["predictor"], z, True) if with_predictor else z
            return loss_function(p, encode(target, batch, True) if keeps_target else z)

        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimiser.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return params, moving_average(target, params["encoder"], method.momentum), state, value

    probe = augment(images[:PROBED], jax.random.key(99))
    # Losses by cosine are recorded as directions, as `dynamics train` does.
    scale_free = OBJECTIVES[setting.objective].scale_free
    embed = jax.jit(lambda params, x: encode(params["encoder"], x, method.predictor))
    seen = (lambda p: unit_rows(embed(p, probe), 1e-12)) if scale_free else (lambda p: embed(p, probe))
    steps = range(0, setting.steps + 1, RECORDS_APART)
    recorder = SpectrumRecorder(seen, list(steps), learning_rate=setting.learning_rate, embedding_bytes=0)
    knn, value = [], np.nan
    for k in range(setting.steps + 1):
        if recorder.due(k):
            recorder.record(k, params, loss=value)
            knn.append(_knn(np.asarray(embed(params, images)), labels))
            if k and not np.isfinite(value):
                break
        params, target, state, value = step(params, target, state, jax.random.fold_in(key, k))
    return Run(recorder.trajectory(objective=setting.objective), np.array(knn))


def _knn(Z: np.ndarray, labels: np.ndarray) -> float:
    return knn_probe(Z[:1000], labels[:1000], Z[1000:], labels[1000:]) if np.isfinite(Z).all() else np.nan


def init(key, setting: Setting, with_predictor: bool) -> dict[str, list]:
    """He-initialised layers as (W, b); the last one is scaled by `init_scale`."""
    width, dim = setting.width, setting.dim
    encoder = _layers(jax.random.fold_in(key, 1), (64, width, width, dim))
    encoder[-1] = (setting.init_scale * encoder[-1][0], encoder[-1][1])
    params = {"encoder": encoder}
    if with_predictor:
        params["predictor"] = _layers(jax.random.fold_in(key, 2), (dim, width, dim))
    return params


def _layers(key, sizes):
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        (jnp.sqrt(2 / a) * jax.random.normal(k, (a, b)), jnp.zeros(b))
        for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def encode(layers, x, normalised=False):
    """The MLP, with batch normalisation of its hidden layers where the method needs it."""
    x = x.reshape(len(x), -1)
    for i, (W, b) in enumerate(layers):
        x = x @ W + b
        if i < len(layers) - 1:
            x = jax.nn.relu(jax.nn.standardize(x, axis=0) if normalised else x)
    return x


def augment(images, key):
    """Two views of each image, x_1 … x_n, x'_1 … x'_n: shifted by up to a pixel, contrast, noise."""
    x = jnp.concatenate([images, images])
    shift, contrast, noise = jax.random.split(key, 3)
    rows, columns = jax.random.randint(shift, (2, len(x)), -1, 2)
    x = jax.vmap(lambda image, r, c: jnp.roll(image, (r, c), (0, 1)))(x, rows, columns)
    x = x * jax.random.uniform(contrast, (len(x), 1, 1), minval=0.6, maxval=1.4)
    return x + 0.1 * jax.random.normal(noise, x.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=["held-out", "tuning"], default="held-out")
    parser.add_argument("--only", nargs="+", choices=METHODS, help="objectives, all by default")
    parser.add_argument("--keep", type=Path, help="folder to keep the records of the runs in")
    parser.add_argument("--out", type=Path, help="folder for the results, diagnosis.json")
    arguments = parser.parse_args()
    results = []
    for setting in settings_of(arguments.set):
        if arguments.only and setting.objective not in arguments.only:
            continue
        run = train(setting)
        results.append(judged(setting, run))
        print(json.dumps(results[-1]), flush=True)
        if arguments.keep:
            run.trajectory.save(arguments.keep / f"{setting.name}.npz")
            np.save(arguments.keep / f"{setting.name}.knn.npy", run.knn)
    summary = summarised(results)
    print(json.dumps(summary, indent=2))
    if arguments.out:
        content = json.dumps({"summary": summary, "runs": results}, indent=1)
        (arguments.out / "diagnosis.json").write_text(content + "\n")


def judged(setting: Setting, run: Run) -> dict[str, Any]:
    """What was built in, what `diagnose` says at the end and at every record, and when the k-NN accuracy shows it."""
    log = log_of(run.trajectory)
    course = [diagnose(log.until(records)).state for records in range(1, len(log.steps) + 1)]
    finite = np.isfinite(log.covariance).all()
    built_in = "collapsing" if setting.collapses else "healthy" if finite else "diverging"
    says = course[-1] if course[-1] in ("collapsing", "diverging") else "healthy"
    alarms = [state == "collapsing" for state in course]
    lasting = len(alarms) - int(np.argmin(alarms[::-1])) if not all(alarms) else 0
    below = run.knn < 0.9 * np.maximum.accumulate(run.knn)
    seen = len(below) - int(np.argmin(below[::-1])) if below[-1] and not below.all() else None
    loss = log.loss[np.isfinite(log.loss)]
    return {
        "run": setting.name,
        "built_in": built_in,
        "says": says,
        "state": course[-1],
        "flagged": int(log.steps[lasting]) if alarms[-1] else None,
        "false_alarms": sum(alarms) if built_in == "healthy" else None,
        "knn_shows": None if seen is None or not setting.collapses else int(log.steps[seen]),
        "knn_best_to_end": [round(float(np.nanmax(run.knn)), 3), round(float(run.knn[-1]), 3)],
        "loss_fell": bool(len(loss) > 1 and loss[-1] < loss[0]),
    }


def summarised(results: list[dict[str, Any]]) -> dict[str, Any]:
    """How many answers are right, and how many collapses are flagged how much before the k-NN accuracy shows them."""
    collapses = [r for r in results if r["built_in"] == "collapsing"]
    flagged = [r for r in collapses if r["flagged"] is not None]
    both = [r["knn_shows"] - r["flagged"] for r in flagged if r["knn_shows"] is not None]
    return {
        "runs": len(results),
        "right": sum(r["built_in"] == r["says"] for r in results),
        "wrong": [r["run"] for r in results if r["built_in"] != r["says"]],
        "healthy_runs_with_a_false_alarm": sum(bool(r["false_alarms"]) for r in results),
        "collapses": len(collapses),
        "flagged": len(flagged),
        "first_flag_after_steps_median": float(np.median([r["flagged"] for r in flagged])) if flagged else None,
        "never_shown_by_knn": sum(r["knn_shows"] is None for r in flagged),
        "flagged_before_knn": sum(gap > 0 for gap in both),
        "flagged_after_knn": sum(gap < 0 for gap in both),
        "steps_before_knn_median": float(np.median(both)) if both else None,
        "collapses_whose_loss_fell": sum(r["loss_fell"] for r in collapses),
    }


if __name__ == "__main__":
    main()
