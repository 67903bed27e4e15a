"""A member at random, in proportion to its weight. Pick: O(log n)."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmesh.cluster.member import Member


class RandomChoice:
    def __init__(self, random: Random) -> None:
        self._draw = random.random
        self._members: tuple[Member, ...] = ()
        self._bounds: list[int] = []

    def rebuild(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)
        self._bounds = list(accumulate(member.weight for member in members))

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        members: Sequence[Member] = self._members
        bounds = self._bounds
        if tried:
            members = [member for member in members if member not in tried]
            bounds = list(accumulate(member.weight for member in members))
        if not members:
            return None
        return members[bisect(bounds, self._draw() * bounds[-1])]
