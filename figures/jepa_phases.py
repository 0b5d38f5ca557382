"""When a student with a predictor collapses: `uv run python figures/jepa_phases.py [--quick]`.

Linear encoders with a linear predictor are trained on pairs whose partners agree on some directions more than on
others, by plain descent of all weights at once: 200 of them under the squared loss, with a teacher of some age, a
learning rate of the predictor and a weight decay each. Theory says beforehand what becomes of each, one mode after the
other (`dynamics.solvable.lagging_teacher`). 50 small networks with a hidden layer are laid over the same regions.
Writes `jepa_phases.json`, `.png` and `.pdf` beside this file.
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from dynamics.drawing.trajectories import style
from dynamics.objectives import latent_prediction
from dynamics.solvable import lagging_teacher
from dynamics.support.files import save_figure, save_json

HERE = Path(__file__).parent
INPUTS, OUTPUTS, PAIRS, HIDDEN = 8, 4, 64, 32
AGREEMENT = np.array([0.95, 0.85, 0.7, 0.5, 0.3, 0.2, 0.1, 0.0])
RATE, END = 0.04, 200.0  # learning rate of the encoder, and effective time of a run
SIZE = 0.3  # of encoder and predictor at the start
ALIVE = 0.05  # a direction counts as learned above this share of its largest possible size
AGES, DECAYS, PREDICTOR_RATES = (0.3, 100.0), (3e-3, 0.4), (0.05, 20.0)
COLORS = ("#e5e7eb", "#bfdbfe")


def pairs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Views (n, 8) of unit covariance in the sample, whose partners have the covariances `AGREEMENT`."""
    both = np.linalg.qr(np.random.default_rng(seed).normal(size=(PAIRS, 2 * INPUTS)))[0] * np.sqrt(PAIRS)
    common, own = np.split(both, 2, axis=1)
    return common, AGREEMENT * common + np.sqrt(1 - AGREEMENT**2) * own


def encode(params: dict, x: jax.Array) -> jax.Array:
    """Linear, or with a hidden layer of tanh units."""
    return x @ params["W"] if "V" not in params else jnp.tanh(x @ params["V"]) @ params["W"]


def start(key: jax.Array, hidden: bool) -> dict:
    """A random encoder whose function has the size of the start, and a predictor that is a multiple of the identity."""
    first, second = jax.random.split(key)
    P = SIZE * jnp.eye(OUTPUTS)
    if not hidden:
        return {"encoder": {"W": SIZE * jax.random.orthogonal(first, INPUTS)[:, :OUTPUTS]}, "P": P}
    V = jax.random.normal(first, (INPUTS, HIDDEN)) / np.sqrt(INPUTS)
    W = jax.random.normal(second, (HIDDEN, OUTPUTS)) / np.sqrt(HIDDEN)
    return {"encoder": {"V": V, "W": 2 * SIZE * W}, "P": P}


@partial(jax.jit, static_argnames=("hidden", "steps"))
def train(keys: jax.Array, constants: jax.Array, x: jax.Array, hidden: bool, steps: int):
    """Train one network for each row (age, predictor rate, decay): singular values at the end, and the linear start."""

    def run(key, row):
        age, alpha, eta = row
        begun = start(key, hidden)

        def step(state, _):
            params, teacher = state

            def objective(params):
                predictions = encode(params["encoder"], x) @ params["P"]
                return OUTPUTS / 2 * latent_prediction(predictions, encode(teacher, x))  # ½ of the squared distance

            slope = jax.grad(objective)(params)
            encoder = jax.tree.map(lambda w, g: w - RATE * (g + eta * w), params["encoder"], slope["encoder"])
            P = params["P"] - RATE * (alpha * slope["P"] + eta * params["P"])
            share = jnp.where(age > 0, RATE / jnp.maximum(age, RATE), 1.0)
            moved = jax.tree.map(lambda u, w: u + share * (w - u), teacher, encoder)
            return ({"encoder": encoder, "P": P}, moved), None

        (params, _), _ = jax.lax.scan(step, (begun, begun["encoder"]), None, length=steps)
        z = encode(params["encoder"], x)
        began = encode(begun["encoder"], x).T @ x / len(x)
        return jnp.linalg.svd(z / np.sqrt(len(x)), compute_uv=False), began

    return jax.vmap(run)(keys, constants)


def sizes(began: np.ndarray) -> np.ndarray:
    """Sizes w_j of a linear start (d, 8) along the modes, each at right angles to the stronger ones in the outputs."""
    return np.abs(np.diag(np.linalg.qr(began)[1]))


TYPICAL = SIZE * np.sqrt(np.arange(OUTPUTS, 0, -1) / INPUTS)
"""The same of a random start on average, as the root of the mean square."""


def foreseen(row: np.ndarray, end: float, encoder: np.ndarray = TYPICAL) -> int:
    """Number of directions that theory says are learned at the end."""
    age, alpha, eta = row
    begun = np.stack([encoder, np.full(len(encoder), SIZE), encoder])
    constants = {"teacher_age": float(age), "predictor_rate": float(alpha), "weight_decay": float(eta)}
    gamma, times = AGREEMENT[:OUTPUTS], np.array([0.0, end])
    w = lagging_teacher(gamma, np.ones(OUTPUTS), begun, times, tolerance=1e-6, **constants)[-1, 0]
    return int((w > ALIVE / np.sqrt(alpha)).sum())


def draw_rows(rng: np.random.Generator, count: int, plane: str) -> np.ndarray:
    """Rows (age, predictor rate, decay), on the plane of age and decay or on that of rate and decay."""

    def between(low: float, high: float) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), count))

    age = between(*AGES) if plane == "age" else np.zeros(count)
    alpha = between(*PREDICTOR_RATES) if plane == "rate" else np.ones(count)
    return np.stack([age, alpha, between(*DECAYS)], axis=1)


def measure(case: dict, count: int, end: float, seed: int) -> dict:
    """Train the networks of one panel and say what theory foresaw for each."""
    rng, (x, x_prime) = np.random.default_rng(seed), pairs(seed)
    rows = draw_rows(rng, count, case["plane"])
    singular, began = map(
        np.asarray,
        train(
            jax.random.split(jax.random.key(seed), count),
            jnp.asarray(rows, jnp.float32),
            jnp.asarray(np.concatenate([x, x_prime]), jnp.float32),
            case["hidden"],
            int(end / RATE),
        ),
    )
    learned = (singular > ALIVE / np.sqrt(rows[:, 1:2])).sum(axis=1)
    theory = np.array([foreseen(row, end, sizes(b)) for row, b in zip(rows, began, strict=True)])
    return {
        "rows": rows.tolist(),
        "learned": learned.tolist(),
        "theory": theory.tolist(),
        "agreement": float(np.mean((learned > 0) == (theory > 0))),
        "same_number": float(np.mean(learned == theory)),
    }


def regions(case: dict, side: int, end: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Abscissa, decay, and number of directions that theory foresees on a grid."""
    low, high = AGES if case["plane"] == "age" else PREDICTOR_RATES
    across, decays = np.geomspace(low, high, side), np.geomspace(*DECAYS, side)
    found = np.zeros((side, side))
    for i, eta in enumerate(decays):
        for j, value in enumerate(across):
            row = np.array([value, 1.0, eta] if case["plane"] == "age" else [0.0, value, eta])
            found[i, j] = foreseen(row, end)
    return across, decays, found


CASES = {
    "age": {"plane": "age", "hidden": False, "count": 100},
    "rate": {"plane": "rate", "hidden": False, "count": 100},
    "hidden layer": {"plane": "age", "hidden": True, "count": 50},
}
TITLES = {
    "age": "linear, squared loss, α = 1",
    "rate": "linear, squared loss, no average",
    "hidden layer": "hidden layer, squared loss, α = 1",
}


def draw(results: dict, side: int, end: float) -> plt.Figure:
    """One panel a case: theory's regions, and what became of the trained networks."""
    figure, axes = plt.subplots(1, len(CASES), figsize=(13.0, 3.1), sharey=True, layout="constrained")
    for ax, (name, case) in zip(axes, CASES.items(), strict=True):
        across, decays, found = regions(case, side, end)
        ax.contourf(across, decays, found > 0, levels=[-0.5, 0.5, 1.5], colors=COLORS)
        ax.contour(across, decays, found, levels=np.arange(0.5, OUTPUTS), colors="#1d4ed8", linewidths=0.6)
        rows, learned = np.array(results[name]["rows"]), np.array(results[name]["learned"])
        x = rows[:, 0] if case["plane"] == "age" else rows[:, 1]
        alive = learned > 0
        ax.scatter(x[alive], rows[alive, 2], s=10, c="#1d4ed8", label="learns")
        ax.scatter(x[~alive], rows[~alive, 2], s=12, c="#c2410c", marker="x", lw=0.9, label="collapses")
        label = "age of the teacher" if case["plane"] == "age" else "predictor rate α"
        ax.set(xscale="log", yscale="log", xlabel=label)
        ax.set_title(f"{TITLES[name]}\nagreement {results[name]['agreement']:.0%} of {len(rows)}")
    axes[0].set_ylabel("weight decay η")
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def main() -> None:
    """Train, compare and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few networks, for a short time")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    side, end = (4, 40.0) if arguments.quick else (24, END)
    results = {}
    for seed, (name, case) in enumerate(CASES.items()):
        results[name] = measure(case, 4 if arguments.quick else case["count"], end, seed)
        shown = results[name]
        print(f"{name:18} agreement {shown['agreement']:.1%}, same number of directions {shown['same_number']:.1%}")
    save_json(arguments.out / "jepa_phases.json", {"agreement": AGREEMENT.tolist(), "end": end, "cases": results})
    with style():
        save_figure(draw(results, side, end), arguments.out / "jepa_phases")


if __name__ == "__main__":
    main()
