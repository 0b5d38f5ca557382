"""The step of bench_training with `dynamics`, as `dynamics train` makes it."""

import os
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dynamics.networks.encoder import Encoder
from dynamics.networks.standard_resnet import StandardResNet
from dynamics.objectives import objective_loss
from dynamics.objectives.heads import Head
from dynamics.training import SpectrumRecorder
from dynamics.training.minibatch import make_step, on_minibatches
from dynamics.training.state import initial_state
from dynamics.views.written import get_augmentation


def build(images: np.ndarray, width: float, batch: int, hidden: int, dim: int):
    """Encoder, compiled update (state, images) -> (state, metrics), state, images on the device."""
    encoder = Encoder(StandardResNet(depth=18, stem="cifar", width=width), Head((hidden,), dim))
    optimiser = optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(0.05, momentum=0.9))
    variables = dict(jax.jit(encoder.init)(jax.random.key(0), jnp.zeros((2, *images.shape[1:]))))
    params = variables.pop("params")
    update = on_minibatches(
        make_step(encoder, objective_loss("barlow-twins-practical"), optimiser),
        get_augmentation("simclr", images.shape[1:]),
        batch=batch,
        mean=jnp.full(3, 0.5),
        scale=jnp.full(3, 0.25),
    )
    state = initial_state(params, optimiser, jax.random.key(1), variables)
    return encoder, jax.jit(update), state, jnp.asarray(images)


def training_step(
    images: np.ndarray, width: float, batch: int, hidden: int, dim: int, threads: int
) -> Callable[[], float]:
    """One update a call; JAX takes as many threads as there are cores that it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    _, update, state, images = build(images, width, batch, hidden, dim)

    def step() -> float:
        nonlocal state
        state, metrics = update(state, images)
        return float(jax.block_until_ready((state, metrics))[1]["loss"])

    return step


def recorder_share(width: float, batch: int, hidden: int, dim: int, steps: int = 200) -> str:
    """Time of the recorder in percent of that of training, with a probe batch as large as the training batch."""
    images = np.random.default_rng(0).uniform(size=(2048, 32, 32, 3)).astype(np.float32)
    encoder, update, state, images = build(images, width, batch, hidden, dim)
    probe = (images[: 2 * batch] - 0.5) / 0.25

    @jax.jit
    def embed(state):
        return encoder.apply({"params": state.params, **state.model_state}, probe, method="hidden")

    recorder = SpectrumRecorder(embed, steps, learning_rate=0.05)
    embed(state)  # compiled before the clock runs, like the update
    state, _ = jax.block_until_ready(update(state, images))
    start = time.perf_counter()
    for step in range(1, steps + 1):
        state, metrics = update(state, images)
        if recorder.due(step):
            recorder.record(step, state, loss=metrics["loss"])
    jax.block_until_ready(state)
    recorder.wait()
    total = time.perf_counter() - start
    share = recorder.seconds / (total - recorder.seconds)
    return (
        f"recorder, width {width:g}: {len(recorder.trajectory().steps)} records of {2 * batch} views and all hidden "
        f"layers in {steps} steps of {(total - recorder.seconds) / steps:.2f} s: {share:.1%} of training"
    )
