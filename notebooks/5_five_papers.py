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
# # Five papers in five figures
#
# Each study of this library tests the claims of one paper and prints a table of expected against measured. Here
# is the quick core of each, one figure a paper. `uv run dynamics study NAME` runs all of it.

# %%
import matplotlib.pyplot as plt
import numpy as np

import dynamics
from dynamics.drawing.trajectories import draw_eigenvalues, draw_step_marks, mode_colors, style
from dynamics.networks import PlaneGroup
from dynamics.optima import free_space, simclr_squared_optimum, vicreg_squared_optimum
from dynamics.studies.homomorphic.identity import spectral_filter
from dynamics.studies.inductive_bias.exact import average_errors, law
from dynamics.studies.simve.exact import linear_courses
from dynamics.studies.simve.figures import courses_figure
from dynamics.studies.stepwise.linear_model import descend, flattened, random_weights, trajectory
from dynamics.views import SignedCube, load_images

pairs = dynamics.load_pairs("digits", num_pairs=100)

# %% [markdown]
# ## 1 Learning is stepwise
#
# Simon et al. (2023). A linear model on pairs of digits, trained by plain gradient descent on its weights,
# against independent logistic steps from its initial function (dashed). Nothing is fitted.

# %%
views = flattened(pairs)
modes = dynamics.contrastive_modes_from_features(views)
weights = random_weights(6, views.shape[1], 1e-4, np.random.default_rng(0))
rate = 0.03 * modes.stability_limit
ahead = dynamics.closed_form(modes, views @ weights.T, np.linspace(0, 1, 2))
end = 1.2 * ahead.mode_step_times.max()
steps = np.unique(np.linspace(0, end / rate, 300).astype(int))
linear = trajectory(views, descend(views, weights, rate, steps), rate * steps)
ahead = dynamics.closed_form(modes, views @ weights.T, linear.times)
with style():
    figure, ax = plt.subplots(figsize=(4.6, 2.6))
    draw_eigenvalues(ax, linear, ahead)
    draw_step_marks(ax, ahead.mode_step_times)
print("predicted / measured step:", np.round(dynamics.step_times(ahead) / dynamics.step_times(linear), 3))

# %% [markdown]
# ## 2 Methods end at spectral embeddings
#
# Balestriero & LeCun (2022). The relation alone decides where VICReg (with squares) and SimCLR (with squares)
# end: at Laplacian eigenmaps and at classical scaling. Here 90 views of three classes, whose partners are mostly
# of the same class. Closed forms, no training; colours are classes.

# %%
rng = np.random.default_rng(0)
labels = np.repeat([0, 1, 2], 30)
relation = ((labels[:, None] == labels) & (rng.uniform(size=(90, 90)) < 0.3)) | (rng.uniform(size=(90, 90)) < 0.02)
relation = np.triu(relation, 1).astype(float)
relation += relation.T
optima = {
    "VICReg: Laplacian eigenmaps": vicreg_squared_optimum(free_space(90), relation, dim=2, weight=0.02),
    "SimCLR: classical scaling": simclr_squared_optimum(free_space(90), relation, dim=2),
}
with style():
    figure, axes = plt.subplots(1, 2, figsize=(5.6, 2.5))
    for ax, (name, optimum) in zip(axes, optima.items(), strict=True):
        ax.scatter(*optimum.embeddings.T, c=[mode_colors(3)[label] for label in labels], s=8)
        ax.set(title=name, xlabel="output 1", ylabel="output 2")

# %% [markdown]
# ## 3 A limited class of functions needs fewer dimensions
#
# HaoChen & Ma (2023), Example 5.1. Views are corners of a cube with rescaled entries; the label is one of the s =
# 3 entries that partners share. How much of it do k outputs miss, averaged over random starts? Hollow marks are
# the exact flow, dashed the law. A universal class needs 2^6 outputs for what linear functions have with 3.

# %%
cube = SignedCube(dim=6, signal=3)
errors = average_errors(0, cube)
with style():
    figure, ax = plt.subplots(figsize=(4.6, 2.6))
    for (name, points), color in zip(errors.items(), ("#1d4ed8", "#0891b2", "0.45"), strict=True):
        ks = np.array(sorted(points))
        grid = np.arange(1, ks[-1] + 1)
        ax.plot(grid, [law(name, k, cube) for k in grid], color=color, ls=(0, (3, 1.5)), lw=1)
        ax.plot(ks, [points[k][0] for k in ks], "o", mfc="none", mec=color, ms=5, label=name)
    ax.set(xscale="log", xlabel="outputs $k$", ylabel="mean error of the label")
    ax.set_xticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
    ax.legend()

# %% [markdown]
# ## 4 Pairs in feature space, and the distance between them
#
# Keller, Suau, Zappella (2023). Partners are two fibers of one pass through an equivariant network. How far apart
# they are decides which frequencies over the group agree: μ_m = cos(2πmd/n) at a fixed distance d (dashed),
# measured on the fibers of a random network on digits (marks).

# %%
digits = load_images("digits", limit=48).images
filtered = spectral_filter(PlaneGroup("cyclic", 8, 8), (digits - digits.mean()) / digits.std(), seed=0)
distances = [name for name in filtered.predicted if name.startswith("distance")]
with style():
    figure, ax = plt.subplots(figsize=(4.6, 2.6))
    for name, color in zip(distances, mode_colors(len(distances)), strict=True):
        m = np.arange(filtered.predicted[name].size)
        ax.plot(m, filtered.predicted[name], color=color, ls=(0, (3, 1.5)), lw=1)
        ax.plot(m, filtered.measured[name], "o", color=color, ms=4, label=name)
    ax.set(xlabel="frequency $m$ over the group", ylabel=r"correlation of partners $\mu_m$", xticks=m)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

# %% [markdown]
# ## 5 A generative model learns other modes first
#
# Bizeul, Schölkopf, Allen (2024). Eight modes with different variance v of a view and different correlation μ of
# partners, numbered by arrival. Barlow Twins learns by γ = vμ: what partners share (bright) comes first. The
# linear SimVAE, which has to explain its views, begins with the modes of largest variance, shared or not. Solid
# is gradient flow, dashed the forecast.

# %%
figure = courses_figure(linear_courses(seed=0))
figure.set_dpi(60)
