"""What a result depends on besides its configuration: versions, devices, and the memory that is left."""

import os
import platform
from importlib import metadata
from pathlib import Path

_PACKAGES = ("dynamics", "jax", "jaxlib", "flax", "optax", "neural-tangents", "diffrax", "numpy", "scipy")
_DISTRIBUTION = {"dynamics": "ssl-dynamics"}  # packages that are installed under another name than they are imported by


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on."""
    return {"python": platform.python_version()} | {name: _version(_DISTRIBUTION.get(name, name)) for name in _PACKAGES}


def devices() -> list[str]:
    """JAX's devices, by platform and kind. Starts the backend."""
    import jax

    return [f"{device.platform}: {device.device_kind} (id {device.id})" for device in jax.devices()]


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes of main memory that this process may still take, or None where the system does not say.

    On Linux it is the smaller of the memory that the kernel reports as available and what the control groups
    (containers, batch jobs) leave. Elsewhere it is the physical memory.

    Parameters
    ----------
    root : Path
        Folder in which /proc and /sys are found.
    """
    limits = [_meminfo(root), _control_group(root, "memory.max", "memory.current")]
    limits.append(_control_group(root, "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
    known = [limit for limit in limits if limit is not None]
    if known:
        return max(0, min(known))
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not a POSIX system
        return None


def _meminfo(root: Path) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return None


def _control_group(root: Path, limit: str, usage: str) -> int | None:
    """What a control group leaves of its limit, or None without one.

    The second version of control groups writes "max" where there is no limit, which is not read as a number; the first
    version writes a number larger than any memory, which the least of all limits leaves out.
    """
    group = root / "sys/fs/cgroup"
    try:
        return int((group / limit).read_text()) - int((group / usage).read_text())
    except (OSError, ValueError):
        return None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
