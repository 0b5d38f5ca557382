"""Data parallelism: the batch over all devices of all processes, everything else on each of them.

There is one program for any number of devices. Means over a batch that is divided among devices are means over the
whole batch, so batch statistics and losses are the global ones without further ado; XLA adds what has to be sent.

>>> import jax.numpy as jnp
>>> mesh = DeviceMesh()
>>> mesh.replicate({"w": jnp.ones(3)})["w"].sharding.is_fully_replicated
True
"""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from dynamics.errors import ConfigError

BATCH = "batch"


class DeviceMesh:
    """The devices of a training, and how its arrays lie on them.

    Parameters
    ----------
    devices : sequence of jax.Device, optional
        Devices to use; all devices of all processes by default.
    """

    def __init__(self, devices: list[jax.Device] | None = None):
        self.mesh = Mesh(jax.devices() if devices is None else devices, (BATCH,))

    @property
    def size(self) -> int:
        """Number of devices."""
        return self.mesh.size

    def describe(self) -> str:
        """Number and kind of the devices, and of the processes if there are several."""
        kinds = sorted({device.device_kind for device in self.mesh.devices.flat})
        processes = len({device.process_index for device in self.mesh.devices.flat})
        among = f" of {processes} processes" if processes > 1 else ""
        return f"{self.size} × {', '.join(kinds)}{among}"

    def check_batch(self, batch: int) -> None:
        """Raise `ConfigError` unless every device gets equally many images."""
        if batch % self.size:
            raise ConfigError(
                f"A batch of {batch} images cannot be divided evenly among {self.size} devices; give a multiple of "
                f"{self.size}."
            )

    def replicate(self, tree: Any) -> Any:
        """Put the same values on every device; every process has to give the same values."""
        sharding = NamedSharding(self.mesh, PartitionSpec())
        return jax.tree.map(lambda leaf: place(leaf, sharding), tree)

    def distribute(self, x: jax.Array) -> jax.Array:
        """Divide an array by its first axis, inside a compiled function."""
        return jax.lax.with_sharding_constraint(x, NamedSharding(self.mesh, PartitionSpec(BATCH)))

    def gather(self, tree: Any) -> Any:
        """Have the values on every device again, inside a compiled function."""
        return jax.lax.with_sharding_constraint(tree, NamedSharding(self.mesh, PartitionSpec()))


def place(value: Any, sharding: Sharding) -> jax.Array:
    """Lay a value that every process has over the devices of a sharding, those of other processes included."""
    if sharding.is_fully_addressable:
        return jax.device_put(value, sharding)
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(place(jax.random.key_data(value), sharding), impl=jax.random.key_impl(value))
    host = np.asarray(value)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def join_processes() -> None:
    """Join the other processes of the job, before anything else uses JAX.

    On TPU slices and under Slurm, Open MPI and Kubernetes the environment says which processes belong together.
    Elsewhere set JAX_COORDINATOR_ADDRESS (host:port of the first process), JAX_NUM_PROCESSES and JAX_PROCESS_ID.

    Raises
    ------
    ConfigError
        If nothing says which processes belong together, or the others do not answer.
    """
    settings = {"num_processes": os.environ.get("JAX_NUM_PROCESSES"), "process_id": os.environ.get("JAX_PROCESS_ID")}
    try:
        jax.distributed.initialize(**{name: int(value) for name, value in settings.items() if value is not None})
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(
            f"The processes of this job did not find each other ({reason}); set JAX_COORDINATOR_ADDRESS, "
            "JAX_NUM_PROCESSES and JAX_PROCESS_ID in each."
        ) from error


def is_first_process() -> bool:
    """Whether this is the only process of the job, or the first: the one that prints and writes."""
    return jax.process_index() == 0


def wait_for_all(what: str) -> None:
    """Return when every process of the job has come here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(what)
