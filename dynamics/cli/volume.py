"""How much commands say: --quiet prints errors alone, --verbose also what is read and how long each stage takes."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dynamics.errors import ConfigError
from dynamics.support.progress import QUIET

_QUIET, _VERBOSE = {"-q", "--quiet"}, {"-v", "--verbose"}

HELP = (
    "--help-all lists every setting, --quiet shows errors alone, and --verbose says what is read and what takes time."
)
"""The sentence on the flags that every command takes and none lists among its own."""


@contextmanager
def volume(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Say as much as the command line asks for while the block runs; yield the arguments without these flags.

    Raises
    ------
    ConfigError
        If it asks for both.
    """
    quiet, verbose = (bool(flags & set(arguments)) for flags in (_QUIET, _VERBOSE))
    if quiet and verbose:
        raise ConfigError("Give one of `quiet` and `verbose`.")
    log, lines = logging.getLogger("dynamics"), logging.StreamHandler()
    before = QUIET.set(quiet)
    log.setLevel(logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING)
    log.addHandler(lines)
    log.propagate = False
    try:
        yield [word for word in arguments if word not in _QUIET | _VERBOSE]
    finally:
        log.removeHandler(lines)
        log.propagate = True
        log.setLevel(logging.NOTSET)
        QUIET.reset(before)
