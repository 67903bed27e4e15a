"""What happened in the last seconds: calls, failures, slow calls and their time, in a sliding window.

Strategy: the window is cut into ten slots that are filled in turn; the totals are kept beside them, so that adding a
call and asking for the totals both cost the same whatever the traffic is. What is older than the window leaves slot by
slot: a call counts for at least nine and at most ten tenths of it. A window of calls instead of seconds would remember
yesterday's failures of an instance that is hardly used (resilience4j offers both, and its default trips on that).

An empty window has no slots: the first call makes them. Most of a large fleet had no call in the last seconds, and what
is not there takes no memory, nor the time of the garbage collector.
"""

from __future__ import annotations

SLOTS = 10
EMPTY = float("-inf")
"""When the present slot of an empty window ends: before any call."""
_NO_SLOT: list[float] = []
_NO_SLOTS: list[list[float]] = []


class Window:
    """`calls`, `failures`, `slow` and `seconds` (of all calls together) are the totals as of the last `add` or
    `slide`. `span` is seconds, at least 0.1. `slot` is the one being filled, until `end`: its first and last number are
    the calls and their seconds (see `wmesh.cluster.cluster.Ticket.release`, which adds good calls by itself).
    """

    __slots__ = ("_index", "_slots", "_width", "calls", "end", "failures", "seconds", "slot", "slow")

    def __init__(self, span: float) -> None:
        self._width = span / SLOTS
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._slots = _NO_SLOTS
        self._index = 0
        self.slot = _NO_SLOT
        self.end = EMPTY
        self.calls: float = 0
        self.failures: float = 0
        self.slow: float = 0
        self.seconds = 0.0

    @property
    def mean(self) -> float:
        """Seconds of an average call; 0 where there was none."""
        return self.seconds / self.calls if self.calls else 0.0

    def add(self, failed: bool, slow: bool, seconds: float, now: float) -> None:
        """One call that ended at `now`. Time never runs backwards here: an earlier `now` counts as the latest."""
        if now >= self.end:
            self.slide(now)
            if not self._slots:
                self._begin(now)
        slot = self.slot
        slot[0] += 1
        slot[3] += seconds
        self.calls += 1
        self.seconds += seconds
        if failed:
            slot[1] += 1
            self.failures += 1
        if slow:
            slot[2] += 1
            self.slow += 1

    def slide(self, now: float) -> None:
        """Let go of what is older than the window as of `now`."""
        if now < self.end or not self._slots:
            return
        steps = int((now - self.end) / self._width) + 1
        if steps >= SLOTS:
            self.clear()
            return
        for _ in range(steps):
            self._index = index = (self._index + 1) % SLOTS
            slot = self.slot = self._slots[index]
            self.calls -= slot[0]
            self.failures -= slot[1]
            self.slow -= slot[2]
            self.seconds -= slot[3]
            slot[:] = 0, 0, 0, 0.0
        self.end += steps * self._width

    def _begin(self, now: float) -> None:
        self._slots = [[0, 0, 0, 0.0] for _ in range(SLOTS)]
        self.slot = self._slots[0]
        self.end = now + self._width
