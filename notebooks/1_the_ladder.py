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
# # The ladder on digits
#
# A self-supervised network learns its embedding one dimension at a time. We forecast when, train the network, and
# lay both on one time axis.

# %%
import matplotlib.pyplot as plt
import numpy as np

import dynamics
from dynamics.drawing.trajectories import comparison_figure, draw_eigenvalues, mode_colors, style
from dynamics.experiment import compare_run, forecast_trajectories, prepare, train
from dynamics.experiment.config import Config
from dynamics.experiment.forecasting import forecast_of

# %% [markdown]
# ## What the learner sees
#
# Positive pairs: two noisy, shifted views of each of 48 digits. No labels.

# %%
pairs = dynamics.load_pairs("digits", num_pairs=48)
print(pairs.source)
with style():
    figure, axes = plt.subplots(2, 10, figsize=(6, 1.3))
    for i, (top, bottom) in enumerate(axes.T):
        for ax, view in ((top, pairs.x[i]), (bottom, pairs.x_prime[i])):
            ax.imshow(view[..., 0], cmap="gray_r")
            ax.set_axis_off()

# %% [markdown]
# ## What can be learned, and in which order
#
# A residual network whose last layer starts small is driven by the kernel of its last hidden layer. That kernel
# and the pairs have *contrastive modes*, each with an eigenvalue γ. Positive ones can be learned, large ones
# first; on negative ones partners disagree.

# %%
config = Config(num_pairs=48, dim=6, network="resnet", width=16, init="readout", init_scale=1e-4, multiplier="auto")
experiment = prepare(config)
gamma = experiment.kernel.modes.eigenvalues
print(f"{experiment.kernel.name}; {experiment.kernel.reason}")
print(f"{experiment.kernel.modes.num_positive} of {len(gamma)} modes are positive")
with style():
    figure, ax = plt.subplots(figsize=(4, 2.2))
    ax.bar(range(1, len(gamma) + 1), gamma, width=1.0, color="0.7")
    ax.bar(range(1, 7), gamma[:6], width=1.0, color=mode_colors(6))
    ax.set(xlabel="mode", ylabel=r"contrastive eigenvalue $\gamma$")

# %% [markdown]
# ## The forecast
#
# Before a single step of training:

# %%
ahead = forecast_of(experiment)
print(f"learning rate {ahead.learning_rate:.3g}; stable below {ahead.stability_limit:.3g}")
for j, step in enumerate(ahead.steps, start=1):
    print(f"dimension {j} is half learned at step {step:5.0f}")
print(f"learned by step 400: {ahead.learned_by(400)} dimensions; all six: step {ahead.steps_for(6)}")
print(f"neighbours that will blur into one step: {ahead.blurred}")

# %% [markdown]
# ## The run
#
# Every rung returns a `Trajectory`: closed form, kernel flow, linearised network, and now the network itself.

# %%
rungs = forecast_trajectories(experiment)
measured = train(experiment)
comparison = compare_run(experiment, measured, rungs)
with style():
    comparison_figure(comparison, measured, rungs)

# %% [markdown]
# Solid is measured, dashed was forecast. The loss falls in steps (a), each eigenvalue of the cross-correlation
# rises in its turn (b), and predicted and measured step times lie on the diagonal (c). The numbers, as predicted
# / measured:

# %%
print("mode   measured at step " + "".join(f"{name:>13}" for name in comparison.step_time_ratio))
for j, time in enumerate(comparison.step_times["network"]):
    ratios = "".join(f"{ratio[j]:13.3f}" for ratio in comparison.step_time_ratio.values())
    print(f"{j + 1:4} {time / experiment.schedule.learning_rate:18.0f} {ratios}")
for overlap in comparison.subspace_overlap:
    print(f"{overlap.learned} learned: subspace overlap {overlap.overlap:.3f} (chance {overlap.chance:.3f})")

# %% [markdown]
# ## Where the kernel stops being frozen
#
# The automatic output multiplier made this network lazy. At multiplier 1 it is free to learn features. The kernel
# at the start is the same, and so is the forecast of a frozen kernel in steps; the network runs ahead of it. Two
# rungs keep the product of readout and features while both learn, and follow the network (right, dashed).

# %%
free = prepare(Config(num_pairs=48, dim=6, network="resnet", width=16, multiplier=1.0))
rungs = forecast_trajectories(free)
learned = train(free)
with style():
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.6), sharey=True)
    draw_eigenvalues(axes[0], measured, forecast_trajectories(experiment)["ode"])
    draw_eigenvalues(axes[1], learned, rungs["relinearised"])
    axes[0].set_title(f"multiplier {experiment.multiplier:.1f}", loc="left")
    axes[1].set_title("multiplier 1", loc="left")
ratios = compare_run(free, learned, rungs).step_time_ratio
for name in ("ode", "bilinear", "relinearised"):
    print(f"predicted / measured at multiplier 1, {name}: {np.round(ratios[name], 2)}")

# %% [markdown]
# By the frozen kernel, the first dimensions come on time and the later ones early: while it waits for them the
# network improves its kernel. The forecasts in which the kernel moves keep up. Which other assumptions can
# break, and how each shows, is in notebook 4.
