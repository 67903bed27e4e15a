"""The member with the fewest requests in flight for its weight; ties in turn.

Up to eight members all are compared; above that, two drawn at random are (power of two choices), so that the cost stays
flat. With very few members two draws would pick the busier of two a quarter of the time, which is why few are scanned
(Envoy's least_request FULL_SCAN note). Pick: O(min(n, 8)).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from wmesh.balance.power_of_two import PowerOfTwo

if TYPE_CHECKING:
    from wmesh.cluster.member import Member

SCAN_LIMIT = 8


class LeastConnections:
    """Compares (in_flight + 1) / weight, so that a member of weight 2 carries twice the requests."""

    def __init__(self, random: Random) -> None:
        self._members: tuple[Member, ...] = ()
        self._next = random.randrange(1 << 16)
        self._many = PowerOfTwo(random)

    def rebuild(self, members: Sequence[Member]) -> None:
        # Stored twice over, so that a scan may start anywhere and needs no modulo per member.
        self._members = (*members, *members)
        self._many.rebuild(members)

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        members = self._members
        count = len(members) >> 1
        if count > SCAN_LIMIT:
            return self._many.pick(key, tried, now)
        if not count:
            return None
        self._next = start = (self._next + 1) % count
        best: Member | None = None
        least = 0.0
        for member in members[start : start + count]:
            load = (member.in_flight + 1) / member.weight
            if (best is None or load < least) and (not tried or member not in tried):
                best = member
                least = load
        return best
