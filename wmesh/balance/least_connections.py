"""The member with the fewest requests in flight for its share; ties in turn.

Up to eight members all are compared; above that, two drawn at random are (power of two choices), so that the cost stays
flat. With very few members two draws would pick the busier of two a quarter of the time, which is why few are scanned
(Envoy's least_request FULL_SCAN note).

Where shares differ, (in_flight + u) / share is compared, u drawn afresh for each from [0, 1). With u = 1 an idle fleet
would send everything to the heaviest member, with u = 0 a light member would have a request in flight at all times,
however light it is; so both are about in proportion, and a busy fleet exactly. Pick: O(min(n, 8)), above that O(log n);
on a retry the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from wmesh.balance.power_of_two import PowerOfTwo
from wmesh.model import ServiceSpec

if TYPE_CHECKING:
    from wmesh.cluster.member import Member

SCAN_LIMIT = 8


class LeastConnections:
    """Scores: requests in flight for each unit of share; the lowest wins, of all or of two drawn."""

    def __init__(self, spec: ServiceSpec, random: Random) -> None:
        self._draw = random.random
        self._members: tuple[Member, ...] = ()
        self._equal = True
        self._next = random.randrange(1 << 16)
        self._many = PowerOfTwo(spec, random)

    def rebuild(self, members: Sequence[Member]) -> None:
        # Stored twice over, so that a scan may start anywhere and needs no modulo per member.
        self._members = (*members, *members)
        self._equal = len({member.share for member in members}) < 2
        self._many.rebuild(members)

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        members = self._members
        count = len(members) >> 1
        if count > SCAN_LIMIT:
            return self._many.pick(key, tried, now)
        if not count:
            return None
        self._next = start = (self._next + 1) % count
        equal, draw = self._equal, self._draw
        best: Member | None = None
        least = 0.0
        for member in members[start : start + count]:
            load: float = member.in_flight if equal else (member.in_flight + draw()) / member.share
            if (best is None or load < least) and (not tried or member not in tried):
                best = member
                least = load
        return best

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        return [
            (member, member.in_flight / member.share, f"{member.in_flight} in flight / share {member.share:g}")
            for member in self._members[: len(self._members) >> 1]
        ]
