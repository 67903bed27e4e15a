"""Each in turn, weights ignored. Pick: O(1), or O(tried) on a retry."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmesh.cluster.member import Member


class RoundRobin:
    """Starts at a random place, so that many gateways do not all send their first request to the same instance."""

    def __init__(self, random: Random) -> None:
        self._members: tuple[Member, ...] = ()
        self._next = random.randrange(1 << 16)

    def rebuild(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        members = self._members
        count = len(members)
        for _ in range(count):
            self._next = index = (self._next + 1) % count
            member = members[index]
            if member not in tried:
                return member
        return None
