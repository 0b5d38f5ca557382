"""What a result depends on besides its configuration: versions and devices."""

import platform
from importlib import metadata

_PACKAGES = ("dynamics", "jax", "jaxlib", "flax", "optax", "neural-tangents", "diffrax", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on."""
    return {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}


def devices() -> list[str]:
    """JAX's devices, by platform and kind. Starts the backend."""
    import jax

    return [f"{device.platform}: {device.device_kind} (id {device.id})" for device in jax.devices()]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
