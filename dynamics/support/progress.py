"""How long work reports on itself: by a progress bar in a terminal, and by single lines about what it will cost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs; call what it yields with the number of units done so far.

    >>> with progress_bar("counting", total=3) as done:
    ...     for i in range(3):
    ...         done(i + 1)
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda done: bar.update(task, completed=done)


def note(line: str) -> None:
    """Write one line about the course of long work to the standard error stream, apart from its results."""
    from rich.console import Console

    Console(stderr=True, highlight=False, markup=False).print(line, soft_wrap=True)
