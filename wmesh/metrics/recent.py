"""How long things took lately: a histogram that forgets.

Two histograms take turns: one is filled, the other one is what was filled before. So what is told is of the last one to
two spans, at twice the cost of one that never forgets, and an observation costs the same.
"""

from __future__ import annotations

from wmesh.metrics.histogram import Histogram, merged


class Recent:
    """`span` is seconds."""

    __slots__ = ("_before", "_now", "_span", "_until")

    def __init__(self, span: float = 30.0) -> None:
        self._span = span
        self._until = 0.0
        self._now = Histogram()
        self._before = Histogram()

    def observe(self, seconds: float, now: float) -> None:
        """One thing that ended at `now`."""
        if now >= self._until:
            self._turn(now)
        self._now.observe(seconds)

    def quantile(self, share: float, now: float) -> tuple[int, float | None]:
        """Of how many, and the seconds within which that share of them (0 to 1) was done; None: of none."""
        if now >= self._until:
            self._turn(now)
        both = merged((self._before, self._now))
        return both.count, both.percentile(share)

    def _turn(self, now: float) -> None:
        late = now - self._until
        self._before = self._now if late < self._span else Histogram()
        self._now = Histogram()
        self._until = now + self._span
