"""The member that would answer soonest: recent latency times requests waiting.

The score is peak-EWMA latency (`wmesh.cluster.ewma`) times (in_flight + 1) / weight, the lower the better, of up to
eight members or of two drawn at random. A member without a sample counts as the fleet's median, not as zero: Traefik's
leasttime scores it zero and stampedes every newcomer. Failures are charged as a full timeout when they are recorded, so
failing fast never attracts load. One pick in fifty goes to a member drawn at random (the exploration floor), so that a
recovered instance is found out. Pick: O(min(n, 8)).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from statistics import median
from typing import TYPE_CHECKING

from wmesh.balance.least_connections import SCAN_LIMIT

if TYPE_CHECKING:
    from wmesh.cluster.member import Member

EXPLORE = 0.02
COLD = 0.030
"""Seconds assumed while nobody has a sample (Linkerd's default round trip)."""


class LeastResponseTime:
    def __init__(self, random: Random) -> None:
        self._draw = random.random
        self._members: tuple[Member, ...] = ()

    def rebuild(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        members: Sequence[Member] = self._members
        if tried:
            members = [member for member in members if member not in tried]
        count = len(members)
        if count < 2:
            return members[0] if count else None
        draw = self._draw()
        if draw < EXPLORE:
            return members[int(self._draw() * count)]
        draw = (draw - EXPLORE) / (1.0 - EXPLORE)
        if count > SCAN_LIMIT:
            members = (members[int(draw * count)], members[int(self._draw() * count)])
        else:
            # The scan starts at a random place, so that equal scores are spread.
            start = int(draw * count)
            members = (*members[start:], *members[:start])
        levels = [member.latency.value(now) for member in members]
        known = [level for level in levels if level is not None]
        cold = median(known) if known else COLD
        best, least = members[0], float("inf")
        for member, level in zip(members, levels, strict=True):
            score = (cold if level is None else level) * (member.in_flight + 1) / member.weight
            if score < least:
                best, least = member, score
        return best
