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
# # The spectrum recorder in a plain loop
#
# You have a training loop in Flax and Optax and want to know what your embedding learns, direction by direction.
# Three lines are enough. Everything else here is ordinary code: a small convolutional network with normalisation,
# fresh augmentations in every step, Adam, the Barlow Twins loss as it is used in practice.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import linen as nn

import dynamics
from dynamics.drawing.trajectories import mode_colors, style
from dynamics.objectives import barlow_twins_normalised
from dynamics.trajectories.probes import knn_probe
from dynamics.views import get_augmentation, load_images

digits = load_images("digits")
views = get_augmentation("digits", digits.shape)
images = jnp.asarray(digits.images)
train_rows, test_rows = np.split(np.random.default_rng(0).permutation(len(images)), [1400])


class Encoder(nn.Module):
    """Two convolutions, a hidden layer, eight outputs."""

    dim: int = 8

    @nn.compact
    def __call__(self, x):
        h = nn.relu(nn.Conv(16, (3, 3), strides=2)(x))
        h = nn.relu(nn.Conv(32, (3, 3), strides=2)(h))
        backbone = nn.relu(nn.LayerNorm()(nn.Dense(64)(h.reshape(len(h), -1))))
        return nn.Dense(self.dim)(backbone), backbone


@jax.jit
def two_views(key, rows):
    """Fresh views (2b, h, w, c) of some images, x first, then x'."""
    keys = jax.random.split(key, (2, len(rows)))
    return jnp.concatenate(
        [jax.vmap(views.first)(keys[0], images[rows]), jax.vmap(views.second)(keys[1], images[rows])]
    )


encoder = Encoder()
params = encoder.init(jax.random.key(0), images[:1])
optimiser = optax.adam(1e-3)
opt_state = optimiser.init(params)


@jax.jit
def train_step(params, opt_state, batch):
    loss, gradient = jax.value_and_grad(lambda p: barlow_twins_normalised(encoder.apply(p, batch)[0], 0.05))(params)
    updates, opt_state = optimiser.update(gradient, opt_state)
    return optax.apply_updates(params, updates), opt_state, loss


# %% [markdown]
# ## The recorder
#
# It takes one function, from variables to the embeddings of a probe batch that stays the same; hidden layers may
# come along. The steps at which it looks are evenly and logarithmically spaced.

# %%
STEPS, BATCH = 600, 128
probe = two_views(jax.random.key(1), test_rows[:128])


@jax.jit
def embed(params):
    embeddings, backbone = encoder.apply(params, probe)
    return {"embeddings": embeddings, "backbone": backbone}


recorder = dynamics.SpectrumRecorder(embed, steps=STEPS)  # 1

key = jax.random.key(2)
for step in range(STEPS + 1):
    if recorder.due(step):  # 2
        recorder.record(step, params)  # 3
    row_key, view_key = jax.random.split(jax.random.fold_in(key, step))
    rows = jax.random.choice(row_key, jnp.asarray(train_rows), (BATCH,), replace=False)
    params, opt_state, loss = train_step(params, opt_state, two_views(view_key, rows))

trajectory = recorder.trajectory({"seed": 0})
print(f"{len(trajectory.steps)} records; recording took {recorder.seconds:.1f} s in all")

# %%
with style():
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(8.4, 2.4))
    for j, color in enumerate(mode_colors(trajectory.dim)):
        left.plot(trajectory.steps, trajectory.covariance[:, j], color=color)
    left.set(xlabel="training step", ylabel="covariance eigenvalues", yscale="log", title="embeddings")
    for j, color in enumerate(mode_colors(16)):
        middle.plot(trajectory.steps, trajectory.hidden["backbone"][:, j], color=color, lw=0.9)
    middle.set(xlabel="training step", yscale="log", title="backbone, 16 largest")
    for name, color in (("rankme", "#1b1b1b"), ("participation_ratio", "#c2410c")):
        right.plot(trajectory.steps, trajectory.metrics[name], color=color, label=name.replace("_", " "))
    right.set(xlabel="training step", ylabel="dimensions", title="how many count", ylim=(0, None))
    right.legend(loc="lower right")

# %% [markdown]
# In the first steps the embedding falls onto about two directions (participation ratio), then takes up further
# ones, each in its turn; at the end the sixth is still rising. The backbone keeps a long tail all the time. What
# that is good for, by the nearest neighbours of held-out digits:

# %%
apply = jax.jit(encoder.apply)
for name, weights in (("at the start", encoder.init(jax.random.key(0), images[:1])), ("after training", params)):
    z, z_test = (np.asarray(apply(weights, images[rows])[1]) for rows in (train_rows, test_rows))
    accuracy = knn_probe(z, digits.labels[train_rows], z_test, digits.labels[test_rows])
    print(f"{name}: {100 * accuracy:.1f} % of held-out digits")

# %% [markdown]
# ## Keep it
#
# A `Trajectory` is saved as one `.npz`; with xarray it is a labelled data set.

# %%
print(trajectory.to_xarray()[["eigenvalues", "covariance", "metric_rankme"]])
