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
# # Your own kernel and pairs: time series
#
# Nothing in the theory knows about images. Here a view is a window of a noisy oscillation, its partner another
# window of the same recording. The frequency is shared by partners; phase and noise are not. We make a
# kernel for such data, ask it what will be learned, and train a network on the same pairs.

# %%
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LinearRegression

import dynamics
from dynamics.drawing.trajectories import comparison_figure, mode_colors, style
from dynamics.experiment import compare_run, forecast_trajectories, prepare, train
from dynamics.experiment.config import Config

rng = np.random.default_rng(0)
LENGTH = 64


def window(frequency, rng):
    """One view of each recording: LENGTH samples from a random phase on, with noise."""
    t = np.arange(LENGTH)
    phase = rng.uniform(0, 2 * np.pi, size=(len(frequency), 1))
    return np.sin(2 * np.pi * frequency[:, None] * t + phase) + 0.3 * rng.normal(size=(len(frequency), LENGTH))


def recordings(n, rng):
    """Positive pairs, and the frequency that partners share."""
    frequency = rng.uniform(0.05, 0.2, size=n)
    x, x_prime = window(frequency, rng), window(frequency, rng)
    return dynamics.Pairs(x, x_prime, source="oscillations"), frequency


pairs, frequency = recordings(96, rng)
with style():
    figure, axes = plt.subplots(1, 3, figsize=(7, 1.5), sharey=True)
    for ax, i in zip(axes, np.argsort(frequency)[[5, 48, 90]], strict=True):
        ax.plot(pairs.x[i], color="#1d4ed8", lw=1)
        ax.plot(pairs.x_prime[i], color="#c2410c", lw=1)
        ax.set(title=f"frequency {frequency[i]:.3f}", xlabel="sample")

# %% [markdown]
# ## Two kernels
#
# A kernel is any function (a, …), (b, …) → (a, b). The linear kernel compares samples one by one, so that a shift
# of phase destroys the agreement of partners. The other compares power spectra, which do not see the phase.


# %%
def power_spectrum(x1, x2):
    """Gaussian kernel between root power spectra."""
    p1, p2 = (jnp.abs(jnp.fft.rfft(jnp.asarray(x), axis=1)) / LENGTH**0.5 for x in (x1, x2))
    distance = jnp.square(p1[:, None] - p2[None]).sum(-1)
    return jnp.exp(-distance / (2 * 2.0**2))


KERNELS = {"linear": dynamics.linear(), "power spectrum": power_spectrum}
modes = {
    name: dynamics.contrastive_modes(dynamics.gram(kernel, pairs.stacked), center=True)
    for name, kernel in KERNELS.items()
}
with style():
    figure, ax = plt.subplots(figsize=(4.2, 2.2))
    for name, color in (("linear", "0.5"), ("power spectrum", "#1d4ed8")):
        gamma = modes[name].eigenvalues
        ax.plot(np.linspace(0, 1, gamma.size), gamma / gamma[0], color=color, label=name)
    ax.axhline(0, color="0.8", lw=0.7, zorder=0)
    ax.set(xlabel="share of the modes", ylabel=r"contrastive eigenvalue $\gamma_j\ /\ \gamma_1$")
    ax.legend()

# %% [markdown]
# Under the linear kernel for every mode on which partners agree there is one on which they disagree as much: what
# agrees does so by chance. Under the power spectrum nearly all the weight is on modes on which they agree.

# %% [markdown]
# ## What the modes mean
#
# A mode is a function on *all* inputs. Evaluate the first three on recordings that were not used: with the kernel
# of power spectra they are smooth functions of the frequency, which is what partners share. Agreement is the
# correlation of a mode between the two views of new pairs.

# %%
new, new_frequency = recordings(200, np.random.default_rng(1))
with style():
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.4), sharey=True)
    for ax, (name, kernel) in zip(axes, KERNELS.items(), strict=True):
        phi = modes[name].functions(dynamics.gram(kernel, new.stacked, pairs.stacked))[:, :3]
        agreement = [np.corrcoef(*np.split(values, 2))[0, 1] for values in phi.T]
        print(f"{name:15} agreement of partners on new pairs: {np.round(agreement, 2)}")
        for values, color in zip(phi[:200].T, mode_colors(3), strict=True):
            ax.plot(new_frequency, values / values.std(), ".", ms=3, color=color)
        ax.set(title=name, xlabel="frequency of a new recording")
    axes[0].set_ylabel("mode function")

# %% [markdown]
# ## The forecast, in one call

# %%
for name, kernel in KERNELS.items():
    ahead = dynamics.forecast(pairs, kernel, dim=4)
    print(f"{name:15} all four dimensions by step {ahead.steps_for(4)}, blurred: {ahead.blurred}")

# %% [markdown]
# Nothing ever told the modes about frequency. A linear map from four of them, fitted on one view of the new
# recordings, gives the frequency from the other view:

# %%
for name, kernel in KERNELS.items():
    phi = modes[name].functions(dynamics.gram(kernel, new.stacked, pairs.stacked))[:, :4]
    one, other = np.split(phi, 2)
    fit = LinearRegression().fit(one, new_frequency)
    print(f"{name:15} R² of the frequency: {fit.score(other, new_frequency):.3f}")

# %% [markdown]
# ## A network on the same pairs
#
# The network gets what the kernel gets: root power spectra. Pairs of feature vectors are pairs like any others,
# and an MLP with a small readout is driven by the kernel of its own hidden layer.


# %%
def features(x):
    """Root power spectrum of every window."""
    return np.abs(np.fft.rfft(x, axis=1)) / LENGTH**0.5


spectra = dynamics.Pairs(features(pairs.x), features(pairs.x_prime), source="power spectra").standardised()
experiment = prepare(
    Config(dim=4, init="readout", multiplier="auto"), pairs=spectra, declared=dynamics.MLP(depth=1, width=256)
)
rungs = forecast_trajectories(experiment)
measured = train(experiment)
comparison = compare_run(experiment, measured, rungs)
with style():
    comparison_figure(comparison, measured, rungs)
print("predicted / measured:", np.round(comparison.step_time_ratio["ode"], 3))
