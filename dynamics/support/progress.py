"""How long work reports on itself: by a progress bar in a terminal, and by single lines about what it will cost."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

log = logging.getLogger(__name__)

QUIET: ContextVar[bool] = ContextVar("QUIET", default=False)
"""Whether neither bars nor lines are shown."""


@contextmanager
def progress_bar(description: str, total: int, *, after: float = 0.0) -> Iterator[Callable[..., None]]:
    """Show a bar while the block runs; call what it yields with the number of units done so far.

    A second argument is text that stands beside the bar. Nothing is shown in the first `after` seconds.

    >>> with progress_bar("counting", total=3) as done:
    ...     for i in range(3):
    ...         done(i + 1)
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[beside]}", markup=False),
    )
    bar = Progress(*columns, console=console, transient=True, disable=QUIET.get() or not console.is_terminal)
    task = bar.add_task(description, total=total, beside="")
    began = time.monotonic()

    def tell(done: int, beside: str = "") -> None:
        if time.monotonic() - began >= after:
            bar.start()
        bar.update(task, completed=done, beside=beside)

    try:
        tell(0)
        yield tell
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Log, at the level INFO, how long the block took."""
    began = time.perf_counter()
    yield
    log.info("%s took %.1f s.", name, time.perf_counter() - began)


def note(line: str) -> None:
    """Write one line about the course of long work to the standard error stream, apart from its results."""
    if QUIET.get():
        return
    from rich.console import Console

    Console(stderr=True, highlight=False, markup=False, emoji=False).print(line, soft_wrap=True)
