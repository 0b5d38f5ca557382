"""Compiled programs that outlive their process, on accelerators.

XLA takes minutes to compile the programs of a large network for a card, and JAX can read them from files the next time.
On a CPU it does not pay: XLA warns there that a program may have been compiled for another processor.

>>> print(keep_compiled())  # where there is no accelerator
None
"""

from pathlib import Path
from typing import Any

import jax
import pooch

from dynamics.errors import ConfigError
from dynamics.support.files import output_folder


def keep_compiled() -> Path | None:
    """Have JAX keep what it compiles in the user's cache folder, if there is an accelerator.

    This is a setting of the whole process, which a program makes before it compiles anything; the library does not make
    it. JAX's own environment variables go first: JAX_COMPILATION_CACHE_DIR names another folder, and
    JAX_ENABLE_COMPILATION_CACHE=false turns this off.

    Returns
    -------
    Path, optional
        Folder of the programs; None on a CPU, where the variable turns it off, and where the folder cannot be written.
    """
    config: Any = jax.config  # its settings are attributes that checkers of types do not see
    if jax.default_backend() == "cpu" or not config.jax_enable_compilation_cache:
        return None
    if config.jax_compilation_cache_dir is not None:
        return Path(config.jax_compilation_cache_dir)
    try:
        folder = output_folder(Path(pooch.os_cache("dynamics")) / "compiled")
    except ConfigError:  # a home that is read only: JAX would warn of every program
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    return folder
