"""One coarse clock for all deadlines of the data plane.

A timer per connection or per request costs 3 to 5 µs each time it is set and cancelled. Here connections only leave
marks (a flag, a stamp they have anyway), and every half second a sweep asks each of them whether it has waited too
long. Whoever may wait less than five seconds is asked ten times as often. So a deadline is kept to within half a
second, a short one to within a twentieth. The slow sweep also renews the text of the Date field.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Protocol

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

log = Logger()


class Swept(Protocol):
    def sweep(self, now: float) -> None:
        """Close, fail or refuse what has waited too long as of `now`; else do nothing."""


class Deadlines:
    """Everything that can wait too long has itself watched, and says when that ends."""

    PERIOD = 0.05
    SLOWLY = 0.5
    """Seconds between two questions to those that have time."""
    SHORT = 5.0
    """Seconds; who may wait less is asked in each sweep."""

    def __init__(self, reactor: Any, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: set[Swept] = set()
        self._pressing: set[Swept] = set()
        self.date = b""
        self._slowly_at = 0.0
        self._loop = LoopingCall(self._sweep)
        self._loop.clock = reactor

    def start(self) -> None:
        self._slowly_at = 0.0
        self._loop.start(self.PERIOD, now=True)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    def watch(self, swept: Swept, seconds: float) -> None:
        """Ask it from now on. `seconds` is the shortest wait that may be too long for it."""
        (self._pressing if seconds < self.SHORT else self._waiting).add(swept)

    def forget(self, swept: Swept) -> None:
        """Ask it no more."""
        self._waiting.discard(swept)
        self._pressing.discard(swept)

    def watched(self) -> set[Swept]:
        """All that are asked, now and then or often."""
        return self._waiting | self._pressing

    def watches(self, swept: Swept) -> bool:
        """Is it asked?"""
        return swept in self._pressing or swept in self._waiting

    def clear(self) -> None:
        """Nobody is asked any more."""
        self._waiting.clear()
        self._pressing.clear()

    def _sweep(self) -> None:
        now = self._clock()
        if now >= self._slowly_at:
            self._slowly_at = now + self.SLOWLY - self.PERIOD / 2
            self.date = formatdate(usegmt=True).encode("ascii")
            self._ask(self._waiting, now)
        if self._pressing:
            self._ask(self._pressing, now)

    def _ask(self, waiting: set[Swept], now: float) -> None:
        for swept in list(waiting):
            try:
                swept.sweep(now)
            except Exception:  # noqa: BLE001 - a LoopingCall stops for good at the first error
                log.failure("A deadline could not be kept for {swept}", swept=swept)
