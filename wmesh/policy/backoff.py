"""How long to wait before trying something again that failed: longer each time, never all at the same moment.

Strategy: the pause doubles from `first` up to `limit` and is shortened by a random share of up to `jitter`, so that
things that failed together do not come back together, and `limit` is never exceeded. What went well for `reset`
seconds earns a fresh start; what dies sooner has proved nothing, and its next pause goes on growing from where it was.

Chance comes in as a number from 0 up to 1, so one call is one reproducible decision.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackoffSpec:
    """`first`, `limit` and `reset` are seconds; `jitter` is a share of the pause, 0 to 1."""

    first: float = 0.1
    factor: float = 2.0
    limit: float = 30.0
    jitter: float = 0.25
    reset: float = 60.0


RESTART = BackoffSpec()
"""For an instance that ended without being asked."""


def nominal(spec: BackoffSpec, failures: int) -> float:
    """The pause after this many failures in a row (1 or more), before chance shortens it."""
    pause = spec.first
    # A loop, because factor ** failures overflows long before anybody gives up restarting.
    for _ in range(failures - 1):
        if pause >= spec.limit:
            break
        pause *= spec.factor
    return min(pause, spec.limit)


class Backoff:
    """Counts failures in a row of one thing. `failures` is 0 while nothing has failed yet, or is forgiven."""

    __slots__ = ("failures", "spec")

    def __init__(self, spec: BackoffSpec = RESTART) -> None:
        self.spec = spec
        self.failures = 0

    def failed(self, well_for: float, chance: float) -> float:
        """It failed after `well_for` seconds of good health: how many seconds to wait now."""
        if well_for >= self.spec.reset:
            self.failures = 0
        self.failures += 1
        return nominal(self.spec, self.failures) * (1.0 - self.spec.jitter * chance)
