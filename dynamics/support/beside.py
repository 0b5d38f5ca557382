"""Work that a thread does beside its caller, one piece after another.

>>> done = []
>>> beside = Beside(most=2)
>>> for piece in range(5):
...     beside.add(done.append, piece)
>>> beside.wait()
>>> done
[0, 1, 2, 3, 4]
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Beside:
    """A thread that does pieces of work in the order in which they come, while its caller goes on.

    What a piece of work raises is raised in the caller, by the next `check` or `wait`; the pieces after it are done all
    the same. The thread ends with the object, and Python does not end before the work is done.

    Parameters
    ----------
    most : int
        Number of pieces that may be unfinished at a time. Another one is added when one of these is done, so that a
        caller that is quicker than the thread does not fill the memory.
    """

    def __init__(self, most: int):
        self.most = most
        self._thread = ThreadPoolExecutor(max_workers=1)  # which starts it when there is work
        self._unfinished: deque[Future] = deque()
        self._errors: deque[BaseException] = deque()

    def add(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Have the thread call `work(*arguments)` after what was added before."""
        self._take(self.most - 1)
        self._unfinished.append(self._thread.submit(work, *arguments))

    def check(self) -> None:
        """Raise the first error that is known and was not raised yet, without waiting for anything."""
        while self._unfinished and self._unfinished[0].done():
            self._take(len(self._unfinished) - 1)
        if self._errors:
            raise self._errors.popleft()

    def finish(self) -> None:
        """Return when all work is done, and leave errors to the next `check` or `wait`."""
        self._take(0)

    def wait(self) -> None:
        """Return when all work is done, or raise the first error that was not raised yet."""
        self.finish()
        self.check()

    def _take(self, left: int) -> None:
        """Wait until no more than so many pieces are unfinished."""
        while len(self._unfinished) > left:
            error = self._unfinished[0].exception()  # taken out only afterwards: Ctrl-C may end the wait
            self._unfinished.popleft()
            if error is not None:
                self._errors.append(error)
