"""Members drawn at random, each as often as its share says; what several strategies need, and all need for retries.

Those that were tried are stepped over: the draw is made among what is left of the whole and then moved past each tried
member's part, so a retry is as fair as a first attempt and its cost does not depend on how many there are. Draw: O(1)
where all shares are equal, else O(log n); with t members tried O(t log t + log n), after O(n) once between two changes
of the fleet.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmesh.cluster.member import Member


class Draws:
    """`draw` gives numbers in [0, 1). `shares` are those of the members where `member.share` is not meant."""

    __slots__ = ("_bounds", "_draw", "_places", "_shares", "equal", "members", "whole")

    def __init__(
        self, draw: Callable[[], float], members: Sequence[Member] = (), shares: Sequence[float] | None = None
    ) -> None:
        self._draw = draw
        self._shares = shares = [member.share for member in members] if shares is None else shares
        self.members = tuple(members)
        self.equal = not shares or min(shares) == max(shares)
        self._bounds = list(accumulate(shares))
        self.whole = self._bounds[-1] if shares else 0.0
        self._places: dict[Member, int] | None = None

    def one(self, tried: Sequence[Member] = ()) -> Member | None:
        """A member not in `tried`, or None when there is no other."""
        members = self.members
        count = len(members)
        if tried:
            return self._other(tried)
        if not count:
            return None
        if self.equal:
            return members[int(self._draw() * count)]
        return members[bisect(self._bounds, self._draw() * self.whole, 0, count - 1)]

    def two(self, tried: Sequence[Member] = ()) -> tuple[Member, Member] | None:
        """Two different members not in `tried`; the only one twice where there is one, None where there is none."""
        members = self.members
        count = len(members)
        if tried or count < 2:
            one = self.one(tried)
            return None if one is None else (one, self._other((*tried, one)) or one)
        if self.equal:
            # Two different places from one draw each: the second is drawn from the rest and stepped over the first.
            first = int(self._draw() * count)
            second = int(self._draw() * (count - 1))
            return members[first], members[second if second < first else second + 1]
        bounds = self._bounds
        first = bisect(bounds, self._draw() * self.whole, 0, count - 1)
        below = bounds[first - 1] if first else 0.0
        part = bounds[first] - below
        point = self._draw() * (self.whole - part)
        second = bisect(bounds, point if point < below else point + part, 0, count - 1)
        if second == first:  # by rounding, at the edge of two parts
            second = (first + 1) % count
        return members[first], members[second]

    def chance(self, place: int) -> float:
        """How likely the member at this place of `members` is drawn."""
        return self._shares[place] / self.whole

    def _other(self, tried: Sequence[Member]) -> Member | None:
        members = self.members
        if self._places is None:
            self._places = {member: place for place, member in enumerate(members)}
        places = self._places
        gaps = sorted({places[member] for member in tried if member in places})
        left = len(members) - len(gaps)
        if left < 1:
            return None
        if self.equal:
            place = int(self._draw() * left)
            for gap in gaps:
                if place >= gap:
                    place += 1
            return members[place]
        bounds = self._bounds
        point = self._draw() * (self.whole - sum(self._shares[gap] for gap in gaps))
        for gap in gaps:
            below = bounds[gap - 1] if gap else 0.0
            if point >= below:
                point += bounds[gap] - below
        place = bisect(bounds, point, 0, len(members) - 1)
        while place in gaps:  # by rounding, at the edge of two parts
            place = (place + 1) % len(members)
        return members[place]
