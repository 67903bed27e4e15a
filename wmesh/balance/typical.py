"""The median of something measured over a fleet, known cheaply: what a member counts as of which nothing is known.

A sample of up to 101 members is looked at once a second, by the pick that comes next; of fleets up to that size it is
all of them. So the cost for a pick is next to nothing, whatever the number of members, and the median is off by a few
ranks of a hundred at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmesh.cluster.member import Member

SAMPLE = 101
RENEW = 1.0


class Typical:
    """`measure(member, now)` gives the figure of one member or None; `unknown` is the median of a fleet of Nones."""

    def __init__(
        self, draw: Callable[[], float], measure: Callable[[Member, float], float | None], unknown: float
    ) -> None:
        self._draw = draw
        self._measure = measure
        self._unknown = unknown
        self._members: Sequence[Member] = ()
        self._level: float | None = None
        self._stamp = 0.0

    def rebuild(self, members: Sequence[Member]) -> None:
        self._members = members
        self._level = None

    def level(self, now: float) -> float:
        """The median, at most a second old."""
        level = self._level
        if level is None or not self._stamp <= now < self._stamp + RENEW:
            members = self._members
            count = len(members)
            if count > SAMPLE:
                members = [members[int(self._draw() * count)] for _ in range(SAMPLE)]
            self._level = level = self._median(members, now)
            self._stamp = now
        return level

    def peek(self, now: float) -> float:
        """The same without an effect."""
        return self._level if self._level is not None else self._median(self._members, now)

    def _median(self, members: Sequence[Member], now: float) -> float:
        found = [figure for member in members if (figure := self._measure(member, now)) is not None]
        return median(found) if found else self._unknown
