"""Where a Gram matrix is evaluated: rows over the devices of this process, row blocks over the processes.

Nothing changes in a kernel: JAX computes where its inputs lie, so a tile whose rows are sharded is evaluated on all the
devices at once. A program that called `jax.distributed.initialize` evaluates every so many-th row block in each process
and exchanges the results, so that every process holds the whole matrix.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dynamics.errors import KernelError
from dynamics.kernels.kernel import ColumnViews, RowViews
from dynamics.support.environment import available_memory


@dataclass(frozen=True)
class Placement:
    """Devices of this process, and its place among the processes that evaluate one Gram matrix together.

    Parameters
    ----------
    devices : sequence of jax.Device
        Devices of this process that share the rows of a tile.
    process, processes : int
        This process evaluates the row blocks `process`, `process + processes`, ….
    """

    devices: tuple[jax.Device, ...]
    process: int = 0
    processes: int = 1

    @staticmethod
    def over(devices: Sequence[jax.Device] | None, count: int) -> "Placement":
        """Return the placement for `count` rows: on all local devices by default, on one where rows are too few."""
        devices = tuple(jax.local_devices() if devices is None else devices)
        return Placement(devices if count >= len(devices) else devices[:1], jax.process_index(), jax.process_count())

    @property
    def alone(self) -> "Placement":
        """The same devices, as if there were no other process."""
        return Placement(self.devices)

    def rows(self, x: RowViews) -> RowViews:
        """Put the views of a row block on the devices, each its share of them."""
        return self._put(x, PartitionSpec("rows"))

    def columns(self, x: ColumnViews) -> ColumnViews:
        """Put the views of a column block on every device."""
        return self._put(x, PartitionSpec())

    def _put(self, x: np.ndarray, spec: PartitionSpec) -> np.ndarray | jax.Array:
        if len(self.devices) == 1 and self.devices[0] == jax.local_devices()[0]:
            return x  # where JAX computes by itself; a kernel written in NumPy keeps its arrays
        return jax.device_put(x, NamedSharding(Mesh(np.array(self.devices), ("rows",)), spec))

    def together(self, work: Callable[[], None]) -> None:
        """Do a part of the work in every process; a failure in one of them ends all."""
        failure = None
        try:
            work()
        except Exception as error:
            if self.processes == 1:
                raise
            failure = error
        if self.processes == 1:
            return
        failed = self.exchange(np.array([failure is not None])).ravel()
        if failure is not None:
            raise failure
        if failed.any():
            raise KernelError(f"The evaluation failed in process {int(failed.argmax())}; its own message says why.")

    def exchange(self, block: np.ndarray) -> np.ndarray:
        """Return the blocks of all processes, array (processes, *block.shape); every process has to call it."""
        if self.processes == 1:
            return block[None]
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(block))


def free_memory(devices: Sequence[jax.Device]) -> int | None:
    """Bytes that every device has left; processors share the machine's."""
    statistics = [device.memory_stats() or {} for device in devices]
    if all("bytes_limit" in s for s in statistics):
        return min(s["bytes_limit"] - s.get("bytes_in_use", 0) for s in statistics)
    memory = available_memory()
    return None if memory is None else memory // len(devices)
