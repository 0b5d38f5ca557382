"""Paired timing: ours and its peers by turns in one process, so that a noisy machine is noisy for both."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np


@dataclass(frozen=True)
class Row:
    """One comparison. `limit` is the fraction of the time that the stated limit of the machine leaves no way around."""

    what: str
    ours: float
    peer: str
    theirs: float
    ratio: float
    limit: str = ""


def seconds(call: Callable) -> float:
    """Time of one call, its result waited for."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def paired(calls: dict[str, Callable], repetitions: int) -> dict[str, np.ndarray]:
    """Seconds (repetitions,) of every call, taken in turns after one round that compiles."""
    for call in calls.values():
        jax.block_until_ready(call())
    times = [[seconds(call) for call in calls.values()] for _ in range(repetitions)]
    return dict(zip(calls, np.array(times).T, strict=True))


def median(call: Callable, repetitions: int = 3) -> float:
    """Median of the seconds of one call, compiled."""
    return float(np.median(paired({"": call}, repetitions)[""]))


def processor_seconds(call: Callable, repetitions: int = 3) -> float:
    """Median of the time that all threads of a compiled call were at work, to which other programs add little.

    On an accelerator, where the work is elsewhere, the time that passed.
    """
    if jax.default_backend() != "cpu":
        return median(call, repetitions)
    jax.block_until_ready(call())
    times = []
    for _ in range(repetitions):
        start = time.process_time()
        jax.block_until_ready(call())
        times.append(time.process_time() - start)
    return float(np.median(times))


def compare(what: str, calls: dict[str, Callable], repetitions: int, limit: str = "") -> list[Row]:
    """Rows of the first call against each of the others; medians, and medians of ratios."""
    times = paired(calls, repetitions)
    ours, *peers = times
    return [
        Row(
            what,
            float(np.median(times[ours])),
            peer,
            float(np.median(times[peer])),
            float(np.median(times[peer] / times[ours])),
            limit,
        )
        for peer in peers
    ]


def exponent(sizes: list[float], times: list[float]) -> float:
    """Slope of log time against log size."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [
        "| what | ours | peer | peer's time | peer / ours | limit of the machine |",
        "|---|---:|---|---:|---:|---|",
    ]
    lines += [
        f"| {r.what} | {_duration(r.ours)} | {r.peer} | {_duration(r.theirs)} | {r.ratio:.3g} | {r.limit} |"
        for r in rows
    ]
    return "\n".join(lines)


def _duration(value: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if value * scale >= 1:
            return f"{value * scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"
