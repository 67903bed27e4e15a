"""The harness: a statement is run often enough to be measurable, several times over, and the best time counts.

The best, because everything that disturbs a pure function makes it slower. The garbage collector is off meanwhile (as
`timeit` does it), so what allocates cycles looks better here than it is. Statements are compiled into the timing loop:
there is no call in the figure but those that the statement makes.
"""

from __future__ import annotations

import timeit
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TRIES = 7
SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Timing:
    """`statement` is Python, run with `names` as its globals. `label` says what it is, in a table of its subject."""

    label: str
    statement: str
    names: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Timed:
    """Nanoseconds for one run of the statement, the best try; `scatter`: how far above it the worst was (0.1: 10%)."""

    label: str
    best: float
    scatter: float


def loops_for(timer: timeit.Timer, seconds: float) -> int:
    """How many runs take at least so long."""
    loops = 1
    while (taken := timer.timeit(loops)) < seconds:
        # Aim a little beyond the mark, but do not trust very short measurements with more than a factor of ten.
        loops = max(loops + 1, int(loops * min(10.0, 1.1 * seconds / max(taken, 1e-9))))
    return loops


def measure(timing: Timing, tries: int = TRIES, seconds: float = SECONDS) -> Timed:
    timer = timeit.Timer(timing.statement, globals=dict(timing.names))
    loops = loops_for(timer, seconds)
    taken = [taken * 1e9 / loops for taken in timer.repeat(tries, loops)]
    return Timed(timing.label, min(taken), max(taken) / min(taken) - 1)


def in_order(timings: Iterable[Timing], tries: int = TRIES, seconds: float = SECONDS) -> list[Timed]:
    return [measure(timing, tries, seconds) for timing in timings]


def lines(subject: str, timed: Sequence[Timed]) -> list[str]:
    """A table as text."""
    width = max([len(entry.label) for entry in timed] + [len(subject)])
    found = [f"{subject:<{width}}  {'ns':>10}  scatter"]
    found += [f"{entry.label:<{width}}  {entry.best:>10,.0f}  {entry.scatter:>7.0%}" for entry in timed]
    return found
