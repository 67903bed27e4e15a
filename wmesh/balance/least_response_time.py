"""The member that would answer soonest: recent latency times requests waiting.

The score is peak-EWMA latency (`wmesh.cluster.ewma`) times (in_flight + 1) / share, the lower the better, of up to
eight members or of two drawn at random by share. A member without a sample counts as the fleet's median, not as zero:
Traefik's leasttime scores it zero and stampedes every newcomer. Failures are charged as a full timeout when they are
recorded, so failing fast never attracts load. One first attempt in fifty or so goes to each member in turn, or to one
drawn at random where shares differ (the exploration floor), so that a recovered instance is found out. Where shares
differ, (in_flight + u) / share is taken, u drawn from [0, 1), for the reason that `least_connections` gives: who ramps
up would wait for its whole share else.

Old measurements fade towards zero, which is how slowness is forgiven; but nobody counts as faster than half the median
by fading, or the one that rested longest would get every request until its first answer. Slowness that is over is
forgiven sooner: who counts as more than twice the median is passed over nearly always, so when it gives an answer
within the median (the floor sees to it that it is asked), it is asked again at once, one request at a time, and a few
such answers in a row make it count as the median again. Pick: O(min(n, 8)), above that O(log n); on a retry the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from wmesh.balance.draws import Draws
from wmesh.balance.least_connections import SCAN_LIMIT
from wmesh.balance.typical import Typical
from wmesh.model import ServiceSpec

if TYPE_CHECKING:
    from wmesh.cluster.member import Member

EXPLORE = 0.02
COLD = 0.030
"""Seconds assumed while nobody has a sample (Linkerd's default round trip)."""
LEAST = 1e-6
"""Seconds below which a median is no measurement any more, only old."""
FADED = 0.5
"""The part of the median below which no latency counts."""
SHUNNED = 2.0
"""How many times the median keeps nearly all requests away, unless the others have much to do."""


def _latency(member: Member, now: float) -> float | None:
    return member.latency.value(now)


class LeastResponseTime:
    """Scores: seconds that a request would take there, for each unit of share; low wins, of all or of two drawn."""

    def __init__(self, spec: ServiceSpec, random: Random) -> None:
        self._draw = random.random
        self._draws = Draws(random.random)
        self._equal = True
        self._turn = 0
        self._rest = self._pause()
        self._typical = Typical(random.random, _latency, COLD)

    def rebuild(self, members: Sequence[Member]) -> None:
        self._draws = Draws(self._draw, members)
        self._equal = len({member.share for member in members}) < 2
        self._typical.rebuild(members)

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        draws = self._draws
        members: Sequence[Member] = draws.members
        count = len(members)
        if not tried:
            self._rest -= 1
            if self._rest <= 0:
                return self._explored()
        if count > SCAN_LIMIT:
            pair = draws.two(tried)
            if pair is None:
                return None
            members = pair
        elif count:
            # The scan starts at a random place, so that equal scores are spread.
            start = int(self._draw() * count)
            members = (*members[start:], *members[:start])
        equal, draw = self._equal, self._draw
        typical = max(self._typical.level(now), LEAST)
        floor, shunned = typical * FADED, typical * SHUNNED
        best: Member | None = None
        least = 0.0
        for member in members:
            latency = member.latency
            level = latency.value(now)
            if level is None:
                level = typical
            elif level < floor:
                level = floor
            elif level > shunned:
                latency.question(typical)
                if latency.better and not member.in_flight and not tried:
                    return member
            score = level * (member.in_flight + 1 if equal else (member.in_flight + draw()) / member.share)
            if (best is None or score < least) and (not tried or member not in tried):
                best = member
                least = score
        return best

    def _explored(self) -> Member | None:
        """By share, or in turns: with lots alone, some would wait for theirs five times as long as others."""
        self._rest = self._pause()
        members = self._draws.members
        if not self._equal or not members:
            return self._draws.one()
        self._turn = (self._turn + 1) % len(members)
        return members[self._turn]

    def _pause(self) -> int:
        """First attempts until the next one that explores; jittered, or it might always be the same request."""
        return round((0.5 + self._draw()) / EXPLORE)

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        typical = max(self._typical.peek(now), LEAST)
        found = []
        for member in self._draws.members:
            level = member.latency.value(now)
            known = typical if level is None else max(level, typical * FADED)
            words = f"{known * 1000:.3g} ms{' (the median: not measured)' if level is None else ''}"
            words += f", {member.in_flight} in flight / share {member.share:g}"
            if member.latency.better:
                words += f", asked again: {member.latency.better} good in a row"
            found.append((member, known * (member.in_flight + 1) / member.share, words))
        return found
