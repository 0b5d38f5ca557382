"""The flow in mode coordinates against a solver on the raw weights; a forecast against its training."""

import shlex
import subprocess

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from timing import Row, compare, seconds

from dynamics.experiment import Experiment, forecast_trajectories, prepare, train
from dynamics.experiment.bilinear import bilinear_trajectory, relinearised_trajectory
from dynamics.experiment.config import Config
from dynamics.flow import kernel_flow, kernel_flow_batch
from dynamics.modes import contrastive_modes_from_features
from dynamics.networks import MLP
from dynamics.objectives.correlation import barlow_twins
from dynamics.support.precision import double_precision


def against_raw_weights(quick: bool) -> list[Row]:
    """One network, one start: its weights integrated, or its mode coordinates with the kernel frozen."""
    rng = np.random.default_rng(0)
    n, dim, width = 64, 4, 256
    x = rng.normal(size=(n, 32)) * np.arange(1, 33) ** -0.7
    views = np.concatenate([x, x + 0.2 * rng.normal(size=x.shape) * x.std(axis=0)])
    module = MLP(width=width, depth=1).module(dim)
    with double_precision():
        params = jax.tree.map(lambda p: p.astype(jnp.float64), module.init(jax.random.key(0), jnp.asarray(views[:1])))
        params["params"]["readout"]["kernel"] *= 1e-4
        h = np.asarray(module.apply(params, views, method="features")) / width**0.5
        F0 = np.asarray(module.apply(params, views))
        flat, unravel = ravel_pytree(params)
    modes = contrastive_modes_from_features(h)
    times = np.linspace(0, 3.0 / modes.eigenvalues[dim - 1], 100)

    def modes_and_flow():
        return kernel_flow(contrastive_modes_from_features(h), F0, times).eigenvalues

    X, ts = views, times

    @jax.jit
    def raw(w0, ts):
        loss = lambda w: barlow_twins(module.apply(unravel(w), jnp.asarray(X)))  # noqa: E731
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, w, args: -jax.grad(loss)(w)),
            diffrax.Tsit5(),
            t0=0.0,
            t1=ts[-1],
            dt0=None,
            y0=w0,
            saveat=diffrax.SaveAt(ts=ts),
            stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-9),
            max_steps=None,
        ).ys

    def weights():
        with double_precision():
            return jax.block_until_ready(raw(jnp.asarray(flat), jnp.asarray(ts)))

    what = (
        f"flow of n = {n} pairs, d = {dim}: {len(modes)} modes, tolerance 1e-10, solution of the eigenproblem included"
    )
    peer = f"diffrax on the {flat.size} raw weights, tolerance 1e-6"
    rows = compare(what, {"modes": modes_and_flow, peer: weights}, 3)
    starts = [F0 * scale for scale in np.geomspace(0.1, 10, 16)]
    calls = {
        "batch": lambda: kernel_flow_batch(modes, starts, times),
        "one by one": lambda: [kernel_flow(modes, F, times) for F in starts],
    }
    return rows + compare("16 initial functions by vmap", calls, 3)


def against_training(quick: bool) -> list[Row]:
    """The forecast that `dynamics simulate` makes against the training, at the settings of `dynamics compare`."""
    config = Config(multiplier="auto")
    experiment = prepare(config)  # pairs, network and modes, which training needs as well
    first = seconds(lambda: forecast_numbers(experiment))
    second = seconds(lambda: forecast_numbers(prepare(config)))
    training = seconds(lambda: train(experiment).eigenvalues)
    what = f"forecast of {experiment.schedule.steps} training steps of the default `dynamics compare`"
    rows = [(what + ", compiling", first), (what + ", compiled, with the modes", second)]
    return [Row(w, s, "training", training, training / s, f"{s / training:.1%} of the training") for w, s in rows]


def moving_kernel_against_training(quick: bool) -> list[Row]:
    """The forecasts in which the kernel moves against the training that they forecast, at multiplier 1."""
    rows = []
    for network, width in (("mlp", 256), ("resnet", 8 if quick else 32)):
        experiment = prepare(Config(network=network, width=width, depth=1, num_pairs=32, dim=6, multiplier=1.0))
        training = seconds(lambda experiment=experiment: train(experiment).eigenvalues)
        for name, forecast in (("bilinear", bilinear_trajectory), ("relinearised", relinearised_trajectory)):
            call = lambda forecast=forecast, experiment=experiment: forecast(experiment).eigenvalues  # noqa: E731
            what = f"`{name}` of a {network} of width {width}, {experiment.schedule.steps} steps"
            for when, taken in (("compiling", seconds(call)), ("compiled", seconds(call))):
                share = f"{taken / training:.0%} of the training"
                rows.append(Row(f"{what}, {when}", taken, "training, compiling", training, training / taken, share))
    return rows


def forecast_numbers(experiment: Experiment) -> list[np.ndarray]:
    return [trajectory.eigenvalues for trajectory in forecast_trajectories(experiment).values()]


def against_command(simulate: str, training: str) -> Row:
    """Two command lines from start to end, imports and compilation included."""
    ours, theirs = (seconds(lambda c=c: subprocess.run(shlex.split(c), check=True)) for c in (simulate, training))
    return Row(f"`{simulate}`", ours, f"`{training}`", theirs, theirs / ours, f"{ours / theirs:.1%} of the training")
