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
# # Forecast a ResNet, then train it
#
# Notebook 1 forecasts a network that theory describes: no normalisation, full batch, fixed pairs. Here is
# training as it is done: a standard residual network with batch normalisation and a projector, minibatches, fresh
# augmentations in every step. How much of the forecast is left?

# %%
import dataclasses

import matplotlib.pyplot as plt
import numpy as np

import dynamics
from dynamics.drawing.trajectories import draw_eigenvalues, mode_colors, style
from dynamics.recipe.config import recipe_preset
from dynamics.recipe.preparation import prepare
from dynamics.recipe.training import train
from dynamics.training.minibatch import BATCH_STATS, deinterleave
from dynamics.trajectories.comparison import step_times

recipe = dataclasses.replace(
    recipe_preset("cpu"),
    network="resnet10",
    momentum=0.0,  # with momentum the small steps add up, but the first of them do not
    learning_rate=0.02,
    decay="constant",
    steps=800,
    records=100,
    probe_images=512,
)
prepared = prepare(recipe)
print(prepared.describe())
print(prepared.title())

# %% [markdown]
# ## The forecast
#
# The last layer of the projector starts small, so at first it alone learns, and what drives it is the kernel of
# its inputs: here the normalised activations of the last hidden layer on a probe batch of 512 pairs. (Readout
# weights are in standard parameterisation, so the kernel is h hᵀ without a division.)

# %%
variables = {"params": prepared.state.params, **prepared.state.model_state}
h, _ = prepared.encoder.apply(variables, prepared.probe, train=True, method="readout_features", mutable=[BATCH_STATS])
start = prepared.embed(prepared.state.params, prepared.state.model_state)["embeddings"]
start = np.asarray(start, np.float64) - np.asarray(start, np.float64).mean(axis=0)
modes = dynamics.contrastive_modes_from_features(np.asarray(deinterleave(h), np.float64), center=True)
print(
    f"γ: {np.round(modes.eigenvalues[:8], 2)}; "
    f"learning rate {recipe.learning_rate}, stable below {modes.stability_limit:.2f}"
)

times = np.linspace(0, 800 * recipe.learning_rate, 400)
forecast = dynamics.kernel_flow(modes, start, times)
print("half learned at step:", np.round(step_times(forecast) / recipe.learning_rate))

# %% [markdown]
# ## The run

# %%
measured = train(prepared)
print("half learned at step:", np.round(step_times(measured) / recipe.learning_rate))
with style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.6), dpi=80)
    draw_eigenvalues(left, measured, forecast)
    left.set_ylim(-0.1, 2)
    for j, color in enumerate(mode_colors(16)):
        right.plot(measured.times, measured.hidden["features"][:, j], color=color, lw=0.9)
    right.set(yscale="log", xlabel="effective time", ylabel="covariance eigenvalues", title="features of the backbone")

# %% [markdown]
# The first dimension comes within 15 % of its forecast, and dimensions still come one at a time. The later ones
# take up to twice as long as the kernel at the start says, and that kernel is no longer there: with the first
# step the features of the backbone change (right). Noise shows at the plateaus: each minibatch has a
# cross-correlation of its own.

# %% [markdown]
# ## The forecast, updated on the way
#
# While the run goes on, its own record makes the rest more certain: modes that already grow tell their own rates.

# %%
ahead = dynamics.Forecast(
    modes.eigenvalues[:8],
    step_times(forecast),
    learning_rate=recipe.learning_rate,
    stability_limit=modes.stability_limit,
)
reached = step_times(measured)
for share in (0.25, 0.5, 0.75):
    seen = measured.times <= share * measured.times[-1]
    so_far = dynamics.Trajectory(measured.times[seen], measured.eigenvalues[seen], measured.loss[seen])
    ratio = ahead.updated(so_far).step_times / reached
    print(
        f"after {100 * share:.0f} % of the run, {int(np.isfinite(step_times(so_far)).sum())} learned; "
        f"predicted / measured: {np.round(ratio, 2)}"
    )
