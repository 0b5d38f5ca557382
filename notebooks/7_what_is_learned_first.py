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
# # Which method learns what first
#
# Twelve lines of theory answer a question that otherwise takes a training for each method: of the same images, the
# same augmentation and the same network, what does Barlow Twins learn first, and what does LeJEPA?
# The page of this name in the documentation has the formulas.

# %%
import matplotlib.pyplot as plt
import numpy as np

import dynamics
from dynamics.drawing.trajectories import style
from dynamics.flow import learned_first, objective_flow
from dynamics.kernels import infinite_kernel
from dynamics.networks import MLP
from dynamics.objectives import OBJECTIVES, equivalent_weights, escape_law
from dynamics.solvable import lagging_fixed_point, lagging_teacher
from dynamics.trajectories.metrics import span_overlap

pairs = dynamics.load_pairs("digits", num_pairs=100)
K = dynamics.gram(infinite_kernel(MLP(depth=1), "nngp"), pairs.stacked)
n = len(pairs)
print(pairs)

# %% [markdown]
# ## How each method leaves a small start
#
# A network that starts as a small function waits, if its loss moves small embeddings at a speed proportional to their
# size. Not every loss does.

# %%
for name in OBJECTIVES:
    law = escape_law(name)
    print(f"{name:24} {law.law:12} speed proportional to size^{law.order:g}")

# %% [markdown]
# ## What comes first, and how much later the next one comes
#
# The exponential ones have a growth matrix. Its eigenvectors with the kernel are what is learned, one after the other,
# and its eigenvalues are the rates. The fastest rate of each method is set to 1 here.

# %%
METHODS = ("barlow-twins", "infonce", "vicreg", "dino", "lejepa", "sigreg")
COLOURS = dict(zip(METHODS, ("#1b1b1b", "#7c3aed", "#15803d", "#0891b2", "#c2410c", "#e0a458"), strict=True))
MODES = 12
H = np.eye(2 * n) - 1 / (2 * n)  # constant functions aside
first = {name: learned_first(name, H @ K @ H, dim=4) for name in METHODS}

with style():
    figure, ax = plt.subplots(figsize=(5.4, 2.6))
    for name in METHODS:
        rates = first[name].modes.rates[:MODES]
        ax.plot(np.arange(1, MODES + 1), rates / rates[0], "o-", ms=3, color=COLOURS[name], label=name)
    ax.axhline(0, color="0.8", lw=0.8, zorder=0)
    ax.set(xlabel="mode", ylabel="rate over that of the first")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

# %% [markdown]
# A mode with a negative rate is never learned. The steeper the curve, the longer a network stays on each of its
# plateaus.

# %% [markdown]
# ## Do they learn the same?
#
# Three numbers for the first four modes of each method: how much of their span lies in that of Barlow Twins; how far
# partners agree on them; and how much of the variance of the class of a digit they explain.

# %%
classes = np.eye(10)[np.concatenate([pairs.labels, pairs.labels])]
classes = classes - classes.mean(axis=0)


def explained(functions, targets):
    """Share of the variance of the targets that linear functions of the modes explain."""
    Q = np.linalg.qr(functions)[0]
    return np.square(Q.T @ targets).sum() / np.square(targets).sum()


print(f"{'':14} with Barlow Twins   partners agree   class explained")
for name in METHODS:
    f = first[name].modes.functions[:, :4]
    agreement = np.mean([2 * g[:n] @ g[n:] / (g @ g) for g in f.T])
    overlap = span_overlap(f, first["barlow-twins"].modes.functions[:, :4], 4)
    print(f"{name:14} {overlap:17.2f} {agreement:16.2f} {explained(f, classes):17.2f}")

# %% [markdown]
# SIGReg alone asks for Gaussian embeddings and does not know which views are partners, so it learns the principal
# components of the kernel, also where partners disagree. In LeJEPA the distance of partners holds it back: how much is
# the choice of λ.

# %% [markdown]
# ## λ of LeJEPA belongs to a batch size
#
# The same λ = 0.02 on ever larger batches: the statistic is multiplied by the number of pairs, so partners count for
# less and less. `equivalent_weights` moves λ so that the rates of the population stay. What is left of the change is
# that of the images: of twice as many, the strongest modes are others.

# %%
sizes = (25, 50, 100)
for count in sizes:
    rows = np.r_[:count, n : n + count]
    centre = np.eye(2 * count) - 1 / (2 * count)
    gram = centre @ K[np.ix_(rows, rows)] @ centre
    moved = equivalent_weights("lejepa", batch=(sizes[0], count))
    line = f"{count:4} pairs"
    for weight in (0.02, moved.settings["weight"]):
        f = learned_first("lejepa", gram, dim=4, weight=weight).modes.functions[:, :4]
        agreement = np.mean([2 * g[:count] @ g[count:] / (g @ g) for g in f.T])
        line += f"   λ = {weight:.4f}: partners agree {agreement:.2f}"
    print(line)

# %% [markdown]
# ## The whole course
#
# The rates are the beginning. The kernel flow of each loss follows the embeddings to the end.

# %%
start = 1e-3 * np.random.default_rng(0).normal(size=(2 * n, 3))
with style():
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.3), layout="constrained")
    for ax, name in zip(axes, ("spectral-contrastive", "lejepa", "infonce"), strict=True):
        rates = learned_first(name, H @ K @ H, dim=3).modes.rates
        end = 3 * np.log(1e3) / rates[2]
        run = objective_flow(H @ K @ H, H @ start, np.linspace(0, end, 120), name, tolerance=1e-6)
        ax.plot(run.times / end, run.covariance, color=COLOURS.get(name, "#1b1b1b"))
        ax.set(title=name, xlabel="time", ylim=(0, None))
    axes[0].set_ylabel("eigenvalues of the covariance")

# %% [markdown]
# ## A teacher, a predictor, weight decay
#
# BYOL and its kin have no growth matrix: predictor and teacher are states of their own. A mode with agreement γ is
# learned if weight decay η stays below γ²/4, whatever the age of the teacher; what starts too small collapses.

# %%
gamma, times = np.array([0.9, 0.7, 0.5]), np.linspace(0, 60, 200)
with style():
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.3), sharey=True, layout="constrained")
    for ax, (age, decay) in zip(axes, ((0.0, 0.02), (10.0, 0.02), (0.0, 0.1)), strict=True):
        w = lagging_teacher(
            gamma, np.ones(3), np.full((3, 3), 0.4), times, teacher_age=age, weight_decay=decay, tolerance=1e-7
        )
        for j, colour in enumerate(("#1b1b1b", "#15803d", "#c2410c")):
            ax.plot(times, w[:, 0, j], color=colour, label=f"γ = {gamma[j]:g}")
            ax.axhline(lagging_fixed_point(gamma, np.ones(3), weight_decay=decay)[0][j], color=colour, lw=0.6, ls=":")
        ax.set(title=f"teacher's age {age:g}, decay {decay:g}", xlabel="time")
    axes[0].set_ylabel("encoder $w$ of a mode")
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

# %% [markdown]
# Dotted are the learned states. The older teacher makes learning slower; the larger decay loses the mode on which
# partners agree least, since 0.1 > 0.5²/4.
