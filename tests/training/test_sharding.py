"""One loss and one gradient, whatever the number of devices and processes; each in fresh interpreters."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.training.sharding import DeviceMesh

UPDATE = """
import functools, sys
import jax, jax.numpy as jnp, numpy as np, optax
import jax.experimental.multihost_utils
from flax import linen as nn
from dynamics.networks.encoder import Encoder
from dynamics.objectives.heads import Head
from dynamics.training import Checkpoints, apply_gradient, initial_state, run
from dynamics.recipe.losses import recipe_loss
from dynamics.training.minibatch import make_step, on_minibatches
from dynamics.training.sharding import DeviceMesh
from dynamics.recipe.config import Recipe
from dynamics.views import get_augmentation


class Backbone(nn.Module):
    dtype: jnp.dtype = jnp.float64

    @nn.compact
    def __call__(self, x, train=False, taps=None):
        for width in (6, 8):
            x = nn.Conv(width, (3, 3), dtype=self.dtype)(x)
            x = nn.relu(nn.BatchNorm(not train, dtype=self.dtype)(x))
        return x.mean(axis=(1, 2))


images = np.random.default_rng(0).uniform(size=(40, 8, 8, 1))
encoder, optimiser = Encoder(Backbone(), Head((8,), 4)), optax.sgd(1.0)


@functools.cache
def initial_variables():
    return jax.tree.map(np.asarray, jax.jit(lambda key: encoder.init(key, images[:2]))(jax.random.key(0)))


def results(devices, objective, folder=None):
    # float64 throughout: what differs is the order of sums
    mesh, variables = DeviceMesh(devices), initial_variables()
    step = make_step(encoder, recipe_loss(Recipe(objective=objective)), optimiser, mesh=mesh)
    update = on_minibatches(
        step, get_augmentation("digits", (8, 8, 1)), batch=16, mean=np.array([0.5]), scale=np.array([0.3]),
        mesh=mesh,
    )
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    state = initial_state(params, optimiser, jax.random.key(1), {"batch_stats": variables["batch_stats"]})
    state = mesh.replicate(jax.tree.map(lambda leaf: leaf, state))
    seen = []
    after, outcome = run(
        update, state, steps=1, data=(mesh.replicate(images),), observe_at=[0],
        observe=lambda state, metrics: seen.append(float(metrics["loss"])),
        checkpoints=None if folder is None else Checkpoints(folder),
    )
    assert outcome.kind == "finished" and after.step.sharding.is_fully_replicated
    gradient = jax.tree.map(lambda new, old: np.ravel(old - np.asarray(new)), after.params, params)
    # the averages of batch normalisation are part of what has to agree
    return np.concatenate([seen, *jax.tree.leaves(gradient), *map(np.ravel, jax.tree.leaves(after.model_state))])
"""

DEVICES = (
    UPDATE
    + """
assert jax.local_device_count() == 8
for objective, count in (("barlow-twins", 8), ("simclr", 8), ("vicreg", 4)):
    one, many = (results(jax.devices()[:size], objective) for size in (1, count))
    assert np.abs(one).max() > 1e-3
    np.testing.assert_allclose(many, one, rtol=1e-6, atol=1e-9, err_msg=objective)
"""
)

PROCESSES = (
    UPDATE
    + """
address, process, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
jax.distributed.initialize(address, num_processes=2, process_id=process, initialization_timeout=60)
assert jax.process_count() == 2 and len(jax.devices()) == 2
first = results(None, "barlow-twins", f"{folder}/checkpoints")
np.save(f"{folder}/{process}.npy", first)
mesh = DeviceMesh()
w = mesh.replicate(np.arange(3.0))
like = mesh.replicate(initial_state(np.zeros(3), optax.sgd(1.0), jax.random.key(2)))
kept = Checkpoints(f"{folder}/small")
kept.save(like._replace(params=w))
jax.experimental.multihost_utils.sync_global_devices("written")
back, _ = kept.latest(like)
assert len(back.params.sharding.device_set) == 2
np.testing.assert_array_equal(back.params, [0.0, 1.0, 2.0])
halved = lambda state: (apply_gradient(optax.sgd(0.5), state, state.params), {"loss": state.params.sum()})
after, outcome = run(halved, back, steps=40, steps_per_dispatch=16)
assert outcome.kind == "finished" and int(after.step) == 40
np.testing.assert_array_equal(after.params, np.arange(3.0) / 2**40)
np.testing.assert_array_equal(back.params, [0.0, 1.0, 2.0])
"""
)


def environment(flags=""):
    """Small programs run once: compiling them is what takes the time."""
    flags = f"--xla_backend_optimization_level=0 {flags}"
    return {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1", "XLA_FLAGS": flags}


def one_device(folder):
    command = [sys.executable, "-c", UPDATE + 'np.save(sys.argv[1], results(None, "barlow-twins"))', folder / "one.npy"]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    return np.load(folder / "one.npy")


def test_eight_devices_give_the_loss_and_the_gradient_of_one():
    flags = environment("--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0")
    result = subprocess.run([sys.executable, "-c", DEVICES], env=flags, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-3000:]


def test_two_processes_give_the_loss_and_the_gradient_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESSES, address, str(process), str(tmp_path)],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]
    try:
        expected = one_device(tmp_path)
        shown = [process.communicate(timeout=300) for process in pair]
    finally:
        for process in pair:
            process.kill()
    assert [process.returncode for process in pair] == [0, 0], "\n".join(error[-2000:] for _, error in shown)
    for process in range(2):
        np.testing.assert_allclose(np.load(tmp_path / f"{process}.npy"), expected, rtol=1e-6, atol=1e-9)
    # the first process alone writes
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001.checkpoint"]


def test_a_batch_has_to_be_a_multiple_of_the_devices():
    mesh = DeviceMesh()
    mesh.check_batch(3 * mesh.size)
    mesh.mesh = type("Mesh", (), {"size": 8})()
    with pytest.raises(ConfigError, match=r"12 images .* 8 devices"):
        mesh.check_batch(12)
