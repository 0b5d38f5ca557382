# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which assumption breaks
#
# The ladder describes one experiment by models that each drop one assumption. Turn one knob and one distance
# between neighbouring rungs grows, while the others stay:
#
# | knob | assumption | distance that grows |
# |---|---|---|
# | initialisation scale | modes start aligned and do not interact | closed form – kernel flow |
# | learning rate | steps are infinitesimal | kernel flow – linearised network |
# | width | the kernel stays frozen | linearised – bilinear |
# | width | features are linear in their weights | bilinear – network |
# | minibatches | every step sees all pairs | network, full batch – network, minibatches |

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import dynamics
from dynamics.drawing.trajectories import mode_colors, style
from dynamics.experiment import forecast_trajectories, prepare, train
from dynamics.experiment.bilinear import bilinear_trajectory
from dynamics.experiment.config import Config
from dynamics.objectives import barlow_twins
from dynamics.training import apply_gradient, initial_state, optimiser, recording_steps, run
from dynamics.trajectories.comparison import step_times

COMMON = {"num_pairs": 32, "dim": 4, "network": "mlp", "depth": 1, "multiplier": 1.0}
RUNGS = ("closed_form", "ode", "linearised", "bilinear", "network")
DISTANCES = {
    "closed form – kernel flow": ("closed_form", "ode", "#c2410c"),
    "kernel flow – linearised": ("ode", "linearised", "#1d4ed8"),
    "linearised – bilinear": ("linearised", "bilinear", "#15803d"),
    "bilinear – network": ("bilinear", "network", "#0e7490"),
}


def climb(**settings):
    """Step times (d,) of every rung for one setting."""
    experiment = prepare(Config(**{**COMMON, "width": 512, **settings}))
    trajectories = forecast_trajectories(experiment) | {"network": train(experiment)}
    trajectories["bilinear"] = bilinear_trajectory(experiment)  # also where the kernel hardly moves
    return {rung: step_times(trajectories[rung]) for rung in RUNGS}


def distances(times):
    """Median relative distance between the step times of neighbouring rungs."""
    return {name: np.nanmedian(np.abs(times[one] / times[other] - 1)) for name, (one, other, _) in DISTANCES.items()}


def draw(ax, knob, values, results):
    """One line a distance."""
    for name, (_, _, color) in DISTANCES.items():
        ax.plot(values, [100 * max(result[name], 1e-5) for result in results], "o-", ms=3, color=color, label=name)
    ax.set(xscale="log", yscale="log", ylim=(1e-3, 200), xlabel=knob)
    ax.set_xticks(values, [f"{value:g}" for value in values])
    ax.xaxis.set_minor_locator(plt.NullLocator())


def turn(setting, values):
    """The distances along one knob, printed and returned."""
    results = []
    for value in values:
        results.append(distances(climb(**{setting: value})))
        shown = ", ".join(f"{name} {100 * distance:.2g} %" for name, distance in results[-1].items())
        print(f"{setting} {value:g}: {shown}")
    return results


# %% [markdown]
# ## Initialisation scale

# %%
SCALES = (1e-4, 1e-2, 1e-1)
by_scale = turn("init_scale", SCALES)

# %% [markdown]
# ## Learning rate
#
# As a fraction of the stability limit 1/(4γ₁).

# %%
RATES = (0.02, 0.1, 0.5)
by_rate = turn("lr_fraction", RATES)

# %% [markdown]
# ## Width

# %%
WIDTHS = (16, 64, 512)
by_width = turn("width", WIDTHS)

# %%
with style():
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.5), sharey=True)
    draw(axes[0], r"initialisation scale $\alpha$", SCALES, by_scale)
    draw(axes[1], "learning rate / stability limit", RATES, by_rate)
    draw(axes[2], "width", WIDTHS, by_width)
    axes[0].set_ylabel("distance of step times (%)")
    axes[0].legend(fontsize=6)

# %% [markdown]
# Each knob moves its own distance, and hardly the others, with two exceptions: a large start makes the network
# leave its kernel a little further, too, and from width to width another draw of the weights moves all of them.
# What a frozen kernel misses at a small width is the product of readout and features, which the bilinear rung
# keeps: between it and the network little is left.

# %% [markdown]
# ## Minibatches
#
# The same network at the same learning rate, but each step sees a random part of the pairs. Now the loop is our
# own: `dynamics.training.run` with a `SpectrumRecorder` that looks at all pairs.

# %%
experiment = prepare(Config(**COMMON, width=512))
views = jnp.asarray(experiment.pairs.stacked)
n = len(experiment.pairs)
whole = jnp.arange(n)


def train_on_batches(size):
    """Train on `size` pairs a step."""
    schedule = experiment.schedule
    sgd = optimiser("sgd", schedule.learning_rate, steps=schedule.steps, decay="constant", momentum=0.0)

    def update(state):
        key = jax.random.fold_in(state.key, state.step)
        rows = whole if size == n else jax.random.choice(key, n, (size,), replace=False)
        batch = jnp.concatenate([views[rows], views[n + rows]])

        def loss(params):
            F = experiment.network.apply(params, batch)
            return barlow_twins(F - F.mean(axis=0))

        value, gradient = jax.value_and_grad(loss)(state.params)
        return apply_gradient(sgd, state, gradient), {"loss": value}

    recorder = dynamics.SpectrumRecorder(
        jax.jit(lambda params: experiment.network.apply(params, views)),
        recording_steps(experiment.schedule.steps, 100),
        learning_rate=experiment.schedule.learning_rate,
    )
    run(
        update,
        initial_state(experiment.network.params, sgd, jax.random.key(1)),
        steps=experiment.schedule.steps,
        observe=lambda state, metrics: recorder.record(int(state.step), state.params, loss=metrics["loss"]),
        observe_at=recorder.steps.tolist(),
        steps_per_dispatch=16,  # no convolutions here, so a compiled loop is fast on a CPU, too
        description=f"batches of {size}",
    )
    return recorder.trajectory()


SIZES = (n, 16, 8)
on_batches = {size: train_on_batches(size) for size in SIZES}
theory = forecast_trajectories(experiment)["ode"]

# %%
with style():
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.4), sharey=True)
    for ax, (size, trajectory) in zip(axes, on_batches.items(), strict=True):
        for j, color in enumerate(mode_colors(trajectory.dim)):
            ax.plot(trajectory.times, trajectory.eigenvalues[:, j], color=color)
            ax.plot(theory.times, theory.eigenvalues[:, j], color=color, ls=(0, (3, 1.5)), lw=0.9)
        ratio = step_times(theory) / step_times(trajectory)
        ax.set(xlabel="effective time", title=f"{size} of {n} pairs a step")
        print(f"{size:3} of {n} pairs a step, predicted / measured: {np.round(ratio, 2)}")
    axes[0].set_ylabel("eigenvalues of $C$ on all pairs")

# %% [markdown]
# Solid is the network, dashed the forecast for the full batch. A batch of few pairs has a cross-correlation and a
# mean of its own: noise at the plateaus, and every step comes later, by a tenth with half of the pairs, by a
# quarter with a quarter of them.
