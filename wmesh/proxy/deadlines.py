"""One coarse clock for all deadlines of the data plane.

A timer per connection or per request costs 3 to 5 µs each time it is set and cancelled. Here connections only leave
marks (a flag, a stamp they have anyway), and every half second a sweep asks each of them whether it has waited too
long. Deadlines are kept to within that half second. The sweep also renews the text of the Date field.
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
    """Everything that can wait too long registers itself in `waiting`, and takes itself out when it ends."""

    PERIOD = 0.5

    def __init__(self, reactor: Any, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.waiting: set[Swept] = set()
        self.date = b""
        self._loop = LoopingCall(self._sweep)
        self._loop.clock = reactor

    def start(self) -> None:
        self._loop.start(self.PERIOD, now=True)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    def _sweep(self) -> None:
        self.date = formatdate(usegmt=True).encode("ascii")
        now = self._clock()
        for swept in list(self.waiting):
            try:
                swept.sweep(now)
            except Exception:  # noqa: BLE001 - a LoopingCall stops for good at the first error
                log.failure("A deadline could not be kept for {swept}", swept=swept)
