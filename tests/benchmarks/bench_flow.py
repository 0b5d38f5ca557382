"""The flow in mode coordinates against a solver on the raw weights; a forecast against its training."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from bench_kernels import _median
from jax.flatten_util import ravel_pytree
from timing import Row, compare, seconds

from dynamics.config import Config
from dynamics.experiment import forecast, prepare, train
from dynamics.flow import kernel_flow, kernel_flow_batch
from dynamics.modes import ContrastiveModes, contrastive_modes_from_features
from dynamics.networks import MLP
from dynamics.objectives.barlow_twins import barlow_twins
from dynamics.precision import double_precision


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
    """`dynamics simulate` against the training, at the settings of the README's first example."""
    config = Config()
    found = {}

    def forecasted():
        found["experiment"] = prepare(config)
        return [trajectory.eigenvalues for trajectory in forecast(found["experiment"]).values()]

    first = seconds(forecasted)
    second = seconds(forecasted)
    training = seconds(lambda: train(found["experiment"]).eigenvalues)
    what = f"forecast of {found['experiment'].steps} training steps (default `dynamics compare`)"
    peer = "training"
    return [
        Row(what + ", first call", first, peer, training, training / first, f"{first / training:.1%} of the training"),
        Row(what + ", compiled", second, peer, training, training / second, f"{second / training:.1%} of the training"),
    ]


def exponents(quick: bool) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds of `kernel_flow` against γ₁/γ_d and d, modes with prescribed eigenvalues."""
    rng, views, m = np.random.default_rng(0), 256, 100
    Q = np.linalg.qr(rng.normal(size=(views, m)))[0]

    def flow(gamma, dim):
        modes = ContrastiveModes(gamma, Q, Q, np.zeros(m))
        F0 = 1e-4 * Q @ rng.normal(size=(m, dim))
        times = np.linspace(0, 3 / gamma[dim - 1], 50)
        return _median(lambda: kernel_flow(modes, F0, times))

    ratios = [10.0, 30.0, 100.0, 300.0]
    dims = [4, 8, 16, 32]
    return {
        "flow, d = 4, seconds against γ₁/γ_d": (ratios, [flow(ratio ** (-np.arange(m) / 3), 4) for ratio in ratios]),
        "flow, γ₁/γ_d = 10, seconds against d": (dims, [flow(10.0 ** (-np.arange(m) / (d - 1)), d) for d in dims]),
    }
