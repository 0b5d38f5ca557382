"""One attempt: a call that may answer or refuse, and must neither crash nor hang."""

import contextlib
import io
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dynamics.cli.main import main
from dynamics.errors import DynamicsError

ANSWERED, REFUSED, CRASHED, HUNG = "answered", "refused", "TRACEBACK", "HANG"


class TimeIsUp(BaseException):
    """Raised by the alarm; no handler for errors catches it."""


@dataclass
class Tally:
    """What came out of many attempts.

    Parameters
    ----------
    counts : Counter
        How often each outcome was seen.
    failures : list of str
        Names and last lines of those that crashed or hung.
    """

    counts: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, name: str, outcome: str, detail: str = "") -> None:
        self.counts[outcome] += 1
        if outcome in (CRASHED, HUNG):
            self.failures.append(f"{outcome}: {name}\n{detail}")
            print(f"{outcome}: {name[:200]}", flush=True)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(self.counts.items()))


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise `TimeIsUp` in the block after so many seconds."""

    def ring(number, frame):
        raise TimeIsUp

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def read(call: Callable[[], object], seconds: float = 20.0) -> tuple[str, str]:
    """Outcome of a reader: what it returns does not matter, what it raises does."""
    try:
        with alarm(seconds):
            call()
    except DynamicsError as error:
        return _one_sentence(str(error))
    except TimeIsUp:
        return HUNG, f"no answer in {seconds:g} s"
    except Exception:
        return CRASHED, traceback.format_exc(limit=-4)
    return ANSWERED, ""


def command(arguments: list[str], seconds: float = 60.0) -> tuple[str, str]:
    """Outcome of a command line: 0 (3 of a diagnosis), or 2 with a sentence on stderr."""
    out, err = io.StringIO(), io.StringIO()
    began = time.monotonic()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), alarm(seconds):
            status = main(arguments)
    except SystemExit as stopped:  # the parser of the command line
        outcomes = {0: ANSWERED, 2: REFUSED}  # help was asked for, or a flag is wrong
        return (outcomes[stopped.code], "") if stopped.code in outcomes else (CRASHED, f"exit status {stopped.code}")
    except TimeIsUp:
        return HUNG, f"no answer in {seconds:g} s"
    except BaseException:
        return CRASHED, traceback.format_exc(limit=-4)
    if time.monotonic() - began > seconds:
        return HUNG, f"no answer in {seconds:g} s"
    if status == 0 or (status == 3 and arguments[0] == "diagnose"):  # it found a collapse
        return ANSWERED, ""
    said = [line for line in err.getvalue().splitlines() if line.startswith("error: ")]
    if status == 2 and len(said) == 1:
        return _one_sentence(said[0])
    return CRASHED, f"exit status {status}: {err.getvalue()[-300:]}"


def _one_sentence(message: str) -> tuple[str, str]:
    if not message.strip() or "Traceback" in message or len(message) > 1500:
        return CRASHED, f"no sentence: {message[:300]!r}"
    return REFUSED, message
