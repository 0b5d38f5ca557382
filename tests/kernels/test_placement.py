"""One Gram matrix, whatever the number of devices and processes; each in fresh interpreters, which JAX needs for it."""

import os
import socket
import subprocess
import sys

import numpy as np

from dynamics.kernels import arc_cosine, gram, infinite_kernel, relu_network
from dynamics.modes import ContrastiveModes
from dynamics.modes.lanczos import leading_modes
from dynamics.networks import ConvNet

VIEWS = """
import sys
import jax, jax.numpy as jnp, numpy as np
from dynamics.kernels import *
from dynamics.modes.lanczos import leading_modes
from dynamics.networks import MLP, ConvNet

x = np.random.default_rng(0).normal(size=(37, 4, 4, 1))
KERNELS = {"relu": relu_network(2), "arc": arc_cosine(1), "convnet": infinite_kernel(ConvNet(depth=2), "ntk")}
pairs = np.random.default_rng(1).normal(size=(2, 130, 16)) * np.arange(1, 17) ** -0.5
views = np.concatenate([pairs[0], pairs[0] + 0.3 * pairs[1]])  # enough that the modes are found by iteration
"""

DEVICES = (
    VIEWS
    + """
assert jax.local_device_count() == 8
del KERNELS["arc"]
module = MLP(width=8, depth=1).module(dim=2)
params = module.init(jax.random.key(0), jnp.asarray(x[:1], jnp.float32))
KERNELS["ntk"] = empirical_ntk(module.apply, params)
KERNELS["conjugate"] = conjugate_kernel(lambda p, x: module.apply(p, x, method="features"), params)
shardings = []
def dot(x1, x2):
    if isinstance(x1, jax.Array):
        shardings.append(tuple((len(x.sharding.device_set), x.sharding.shard_shape(x.shape)[0]) for x in (x1, x2)))
    return jnp.tanh(x1.reshape(len(x1), -1) @ x2.reshape(len(x2), -1).T)
KERNELS["dot"] = dot
KERNELS["numpy"] = lambda x1, x2: np.tanh(np.reshape(x1, (len(x1), -1)) @ np.reshape(x2, (len(x2), -1)).T)
for name, kernel in KERNELS.items():
    one = gram(kernel, x, tile=16, devices=jax.local_devices()[:1])
    assert not shardings
    for settings in ({"tile": 16}, {"devices": jax.local_devices()[3:6]}) if name == "dot" else ({"tile": 16},):
        many = gram(kernel, x, **settings)
        np.testing.assert_array_equal(many, many.T)
        np.testing.assert_allclose(many, one, rtol=1e-12, atol=1e-13, err_msg=f"{name} {settings}")
    if name == "dot":  # every device has its share of the rows and all columns
        np.testing.assert_allclose(gram(kernel, x, x[:5], tile=16), one[:, :5], rtol=1e-12, atol=1e-13)
        assert set(shardings) == {((8, 2), (8, 16)), ((3, 7), (3, 21)), ((8, 2), (8, 5))}, set(shardings)
    shardings.clear()
# fewer views than devices
np.testing.assert_allclose(gram(relu_network(2), x[:3]), gram(relu_network(2), x)[:3, :3], rtol=1e-12)
np.save(sys.argv[1], gram(KERNELS["relu"], x))
K = TiledGram(relu_network(2), views, tile=16)
held = [sum(tile.values.nbytes for tile in tiles) for tiles in K.tiles]  # 153 tiles in 17 row blocks
assert len(held) == 8 and max(held) < 1.6 * min(held), held
assert all(tile.values.devices() == {device} for device, tiles in zip(jax.devices(), K.tiles) for tile in tiles)
Q = np.random.default_rng(2).normal(size=(260, 16))
np.testing.assert_allclose(K(Q), gram(relu_network(2), views) @ Q, atol=1e-10)
leading_modes(K, 6).save(sys.argv[2])
"""
)

PROCESSES = (
    VIEWS
    + """
address, process, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
jax.distributed.initialize(address, num_processes=2, process_id=process, initialization_timeout=60)
for name, kernel in KERNELS.items():
    np.save(f"{folder}/{name}-{process}.npy", gram(kernel, x, tile=8))
np.save(f"{folder}/two-{process}.npy", gram(relu_network(2), x, x[:9], tile=8))
np.save(f"{folder}/single-{process}.npy", gram(relu_network(2), x, tile=8, dtype="float32"))
np.save(f"{folder}/cached-{process}.npy", gram(relu_network(2), x, tile=8, cache=f"{folder}/cache"))
K = TiledGram(relu_network(2), views, tile=16, cache=f"{folder}/tiles")
assert 0.4 * 153 < sum(map(len, K.tiles)) < 0.6 * 153
leading_modes(K, 6).save(f"{folder}/modes-{process}.npz")
np.save(f"{folder}/tiled-{process}.npy", K(np.eye(260)[:, :16]))
# a failure in one process ends both, each with an error of its own
def fails_in_one(x1, x2):
    values = x1.reshape(len(x1), -1) @ x2.reshape(len(x2), -1).T
    return values * np.nan if process == 1 else values
for function in gram, TiledGram:
    try:
        function(fails_in_one, x, tile=8)
    except Exception as error:
        print(f"process {process}: {type(error).__name__}: {error}")
"""
)


def environment(**more):
    return {**os.environ, "JAX_PLATFORMS": "cpu", **more}


def expected():
    x = np.random.default_rng(0).normal(size=(37, 4, 4, 1))
    kernels = {"relu": relu_network(2), "arc": arc_cosine(1), "convnet": infinite_kernel(ConvNet(depth=2), "ntk")}
    return {name: gram(kernel, x) for name, kernel in kernels.items()}


def require_modes_of_one_device(found):
    """Signs are fixed, so that modes can be compared one by one."""
    pairs = np.random.default_rng(1).normal(size=(2, 130, 16)) * np.arange(1, 17) ** -0.5
    views = np.concatenate([pairs[0], pairs[0] + 0.3 * pairs[1]])
    expected = leading_modes(gram(relu_network(2), views), 6)
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, rtol=1e-12)
    np.testing.assert_allclose(found.on_views, expected.on_views, atol=1e-9)


def test_eight_devices_give_the_matrix_of_one(tmp_path):
    flags = environment(XLA_FLAGS="--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0")
    command = [sys.executable, "-c", DEVICES, tmp_path / "gram.npy", tmp_path / "modes.npz"]
    result = subprocess.run(command, env=flags, capture_output=True, text=True, timeout=180)
    assert result.returncode == 0, result.stderr[-3000:]
    np.testing.assert_allclose(np.load(tmp_path / "gram.npy"), expected()["relu"], rtol=1e-12)
    require_modes_of_one_device(ContrastiveModes.load(tmp_path / "modes.npz"))


def test_two_processes_give_the_matrix_of_one(tmp_path):
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
        shown = [process.communicate(timeout=180) for process in pair]
    finally:
        for process in pair:
            process.kill()
    assert [process.returncode for process in pair] == [0, 0], "\n".join(error[-2000:] for _, error in shown)
    grams = expected()
    grams |= {"two": grams["relu"][:, :9], "cached": grams["relu"]}
    for name, values in grams.items():
        for process in range(2):
            np.testing.assert_allclose(np.load(tmp_path / f"{name}-{process}.npy"), values, rtol=1e-12, err_msg=name)
    for process in range(2):
        single = np.load(tmp_path / f"single-{process}.npy")
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, grams["relu"], rtol=1e-4)
        require_modes_of_one_device(ContrastiveModes.load(tmp_path / f"modes-{process}.npz"))
    np.testing.assert_array_equal(np.load(tmp_path / "tiled-0.npy"), np.load(tmp_path / "tiled-1.npy"))
    # each process wrote its own row blocks; a single one finds them
    assert len(list((tmp_path / "cache").rglob("*.block"))) == 5
    assert shown[1][0].count("process 1: KernelError: kernel 'fails_in_one': 64 values are not finite") == 2
    message = "process 0: KernelError: The evaluation failed in process 1; its own message says why."
    assert shown[0][0].count(message) == 2
