"""Two members drawn at random, the less busy one wins.

Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001): nearly as even as comparing all, at a cost
that does not grow. Pick: O(1); on a retry O(n) once draws have failed to hit an untried member.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmesh.cluster.member import Member


class PowerOfTwo:
    """Draws without regard to weight; compares (in_flight + 1) / weight."""

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
        # Two different indices from one draw each: the second is drawn from the rest and stepped over the first.
        first = int(self._draw() * count)
        second = int(self._draw() * (count - 1))
        if second >= first:
            second += 1
        one, other = members[first], members[second]
        if (other.in_flight + 1) * one.weight < (one.in_flight + 1) * other.weight:
            return other
        return one
